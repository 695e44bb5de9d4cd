"""A small picture with nuclei, and the Prompt dock on it in a real viewer."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import TextIO

import numpy as np
import pytest
from five_nuclei import five_nuclei
from kept_dock import KeptDock
from kept_text import KeptTextViewer
from napari._qt.qt_viewer import QtViewer
from npe2.manifest import _bases
from pointer import show_with_margin

import waiting
from histoprompt._qt.prompts.dock import PromptDock
from histoprompt._qt.shell.session import session_of
from histoprompt._qt.text.dock import TextDock
from histoprompt.core.slides.sample import SLIDE, sample_file


@pytest.fixture(autouse=True)
def _what_stays_is_no_garbage() -> None:
    """Look for garbage in what a test made only: napari does so whenever a layer goes."""
    if not QtViewer._instances:
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _manifests_are_read_once() -> Iterator[None]:
    """napari's fixture has each viewer read the manifests of all plugins anew."""
    known: dict[str, object] = {}
    read = _bases._load_yaml_no_duplicates

    def once(stream: TextIO) -> object:
        text = stream.read()
        if text not in known:
            known[text] = read(text)
        return deepcopy(known[text])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_bases, "_load_yaml_no_duplicates", once)
        yield


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    """Five dark purple discs on pink, (220, 200, 3) uint8."""
    return five_nuclei()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Serve the event loop until something is so."""
    return waiting.until


@pytest.fixture
def dock(make_napari_viewer, picture, monkeypatch, tmp_path) -> Iterator[PromptDock]:
    """The Prompt dock on the picture, with the classical model and labels of its own."""
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    viewer = make_napari_viewer()
    viewer.add_image(picture, name="picture", scale=(0.25, 0.25), units=("um", "um"))
    widget = PromptDock(viewer)
    viewer.window.add_dock_widget(widget, name="Prompt")
    widget.models.choose("classical")
    yield widget
    session_of(viewer).close()


@pytest.fixture(scope="module")
def _kept(picture) -> Iterator[KeptDock]:
    kept = KeptDock(picture)
    yield kept
    kept.close()


@pytest.fixture
def kept_dock(_kept) -> PromptDock:
    """As `dock`, one for all tests of a module in which no other viewer is made."""
    return _kept.as_new()


@pytest.fixture
def shown_dock(make_napari_viewer, picture, monkeypatch, tmp_path) -> Iterator[PromptDock]:
    """The Prompt dock on the picture, all of which is in sight in a viewer that is shown."""
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1400, 900)
    image = viewer.add_image(picture, name="picture", scale=(0.25, 0.25), units=("um", "um"))
    widget = PromptDock(viewer)
    viewer.window.add_dock_widget(widget, name="Prompt")
    widget.models.choose("classical")
    show_with_margin(viewer, image)
    yield widget
    session_of(viewer).close()


@pytest.fixture
def text_dock(make_napari_viewer, monkeypatch, tmp_path) -> Iterator[TextDock]:
    """The Text dock beside the sample slide, with nothing kept from other tests."""
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1500, 950)
    viewer.open(str(sample_file(SLIDE)), plugin="napari-histoprompt")
    widget = TextDock(viewer)
    viewer.window.add_dock_widget(widget, name="Text")
    yield widget
    session_of(viewer).close()


@pytest.fixture(scope="module")
def _kept_text() -> Iterator[KeptTextViewer]:
    kept = KeptTextViewer()
    yield kept
    kept.close()


@pytest.fixture
def kept_text_dock(_kept_text, monkeypatch, tmp_path) -> Iterator[TextDock]:
    """As `text_dock`, on one slide for all tests of a module in which no other viewer is made."""
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    dock = _kept_text.dock()
    yield dock
    _kept_text.let_go(dock)
