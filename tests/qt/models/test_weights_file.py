"""The Prompt dock's *File...*: every layout weights are published in, and files that are no use.

Only the system's file dialog is replaced, by the path that it would give.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from five_nuclei import NUCLEI
from qtpy.QtWidgets import QFileDialog, QPushButton

from histoprompt._qt.prompts.dock import PromptDock
from histoprompt._qt.shell.session import session_of
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from layouts import LAYOUTS, saved_with
from tiny_sam import SIDE, build_tiny_sam, random_tiny_sam

pytestmark = pytest.mark.gui

Give = Callable[[Path], None]


@pytest.fixture
def dock(
    make_napari_viewer: Any, picture: np.ndarray, monkeypatch: Any, tmp_path: Path
) -> Iterator[PromptDock]:
    """The Prompt dock with SAM ViT-B chosen, which is small here, and no weights for it."""
    from segment_anything import sam_model_registry

    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(sam_model_registry, "vit_b", build_tiny_sam)
    small = tuple(
        replace(card, input_size=SIDE) if card.id == "sam-vit-b" else card
        for card in registry.all_cards()
    )
    monkeypatch.setattr(registry, "all_cards", lambda: small)
    viewer = make_napari_viewer()
    session = session_of(viewer)
    session.manager = ModelManager("cpu")
    viewer.add_image(picture, name="picture", scale=(0.25, 0.25), units=("um", "um"))
    widget = PromptDock(viewer)
    viewer.window.add_dock_widget(widget, name="Prompt")
    widget.models.choose("sam-vit-b")
    yield widget
    session.close()


@pytest.fixture
def give(dock: PromptDock, monkeypatch: Any, until: Any) -> Give:
    """Press *File...*, choose a file and wait until it is taken or refused."""

    def _give(path: Path) -> None:
        monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), "Weights"))
        before = dock._status.text()
        dock._status.setText("not said yet")
        dock.models.findChild(QPushButton).click()
        until(lambda: dock.models.weights == path or dock._status.text() != "not said yet")
        if dock._status.text() == "not said yet":
            dock._status.setText(before)

    return _give


def file_of(folder: Path, layout: str = "plain", seed: int = 4) -> Path:
    """Tiny SAM in a layout, under a name of the user's own that the dialog offers."""
    kind = "safetensors" if "safetensors" in layout else "bin" if "transf" in layout else "pth"
    path = folder / f"{layout} {seed}.{kind}"
    LAYOUTS[layout](random_tiny_sam(seed).state_dict(), path)
    return path


def answer(dock: PromptDock, until: Any) -> np.ndarray:
    """The mask of a click."""
    annotator = dock.annotator
    annotator.clear()
    annotator.prompts.points.add(NUCLEI[2])
    until(lambda: annotator.preview.shown or "not" in dock._status.text())
    assert annotator.preview.shown, dock._status.text()
    return annotator.preview.layer.data > 0


def test_every_layout_loads_and_answers_alike(
    dock: PromptDock, give: Give, until: Any, tmp_path: Path
) -> None:
    """Two networks in turn, so that an answer of the file before would be noticed."""
    masks: dict[int, list[np.ndarray]] = {4: [], 5: []}
    for i, layout in enumerate([*LAYOUTS, *LAYOUTS]):
        seed = 4 + i % 2
        path = file_of(tmp_path, layout, seed)
        give(path)
        assert dock.models.weights == path
        assert dock.annotator.segmenting.weights == path
        assert f"Weights: {path.name}." in dock.models._note.text()
        masks[seed].append(answer(dock, until))
        assert {model.card_id for model in dock.session.manager.loaded()} == {"sam-vit-b"}
    first, second = masks[4][0], masks[5][0]
    assert first.any()
    assert (first != second).any()
    assert all((mask == first).all() for mask in masks[4])
    assert all((mask == second).all() for mask in masks[5])


def _wide(path: Path) -> None:
    LAYOUTS["plain"](random_tiny_sam(width=64).state_dict(), path)


def _other(path: Path) -> None:
    saved_with(lambda _: {"model": {"visual.conv1.weight": _tensor()}})({}, path)


def _tensor() -> Any:
    import torch

    return torch.zeros(3, 3)


def _page(path: Path) -> None:
    path.write_bytes(b"<!DOCTYPE html><html>Sign in</html>")


def _cut(path: Path) -> None:
    LAYOUTS["plain"](random_tiny_sam().state_dict(), path)
    path.write_bytes(path.read_bytes()[:20_000])


class Marker:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def _code(path: Path) -> None:
    saved_with(lambda s: {"model": s, "more": Marker(path.with_suffix(".ran"))})({}, path)


WRONG = {
    "another width": (_wide, "is no SAM ViT-B: it holds "),
    "another model": (_other, "is no SAM ViT-B: it holds 1 tensors"),
    "a web page": (_page, "is not a weights file"),
    "cut off": (_cut, "is damaged"),
    "code": (_code, "could run code"),
    "gone": (lambda _: None, "does not exist"),
}


def test_a_wrong_file_is_refused_and_what_was_chosen_stays(
    dock: PromptDock, give: Give, until: Any, tmp_path: Path, caplog: Any
) -> None:
    good, note = file_of(tmp_path), dock.models._note
    give(good)
    before = answer(dock, until)
    for kind, (write, words) in WRONG.items():
        wrong = tmp_path / f"{kind}.pth"
        write(wrong)
        with caplog.at_level(logging.ERROR):
            give(wrong)
        said = dock._status.text()
        assert str(wrong) in said
        assert words in said
        assert "\n" not in said
        assert len(said) < 700
        assert not caplog.records, "nothing unforeseen happened"
        assert not wrong.with_suffix(".ran").exists()
        assert dock.models.card.id == "sam-vit-b"
        assert dock.models.weights == good
        assert dock.annotator.segmenting.weights == good
        assert f"Weights: {good.name}." in note.text()
        assert (answer(dock, until) == before).all(), "and is still of use"


def test_a_model_without_weights_stays_as_it_was(
    dock: PromptDock, give: Give, monkeypatch: Any, tmp_path: Path
) -> None:
    note = dock.models._note.text()
    assert "Weights missing" in note
    _wide(tmp_path / "wrong.pth")
    give(tmp_path / "wrong.pth")
    assert dock.models.weights is None
    assert dock.models._note.text() == note
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    dock.models.findChild(QPushButton).click()
    assert dock.models._note.text() == note, "no file was chosen"
    dock.models.choose("classical")
    give(file_of(tmp_path))
    assert "needs no weights" in dock._status.text()
    assert dock.models.weights is None


def test_a_model_chosen_while_a_file_is_looked_at_stays_chosen(
    dock: PromptDock, monkeypatch: Any, until: Any, tmp_path: Path
) -> None:
    path = file_of(tmp_path)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), "Weights"))
    dock.models.findChild(QPushButton).click()
    dock.models.choose("classical")
    until(lambda: "sam-vit-b" in dock.models._files)
    assert dock.models.card.id == "classical"
    assert dock.annotator.segmenting.card.id == "classical"
    dock.models.choose("sam-vit-b")
    assert dock.models.weights == path
