"""A file that asks for too much memory is opened if the person says so, and only then."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMessageBox

from histoprompt._qt.prompts.annotating import Annotating
from histoprompt._qt.prompts.dock import PromptDock
from histoprompt._qt.reader import read
from histoprompt._qt.shell.session import session_of
from histoprompt.core.errors import SlideTooLargeError
from histoprompt.core.readers import open as opening
from histoprompt.core.slides.limits import Limits

pytestmark = pytest.mark.gui


@dataclass(frozen=True)
class Tight(Limits):
    """As if slides had a hundred rows."""

    side: float = 100


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(opening, "Limits", Tight)
    path = tmp_path / "large.tif"
    picture = np.random.default_rng(0).integers(0, 256, (160, 120, 3), np.uint8)
    tifffile.imwrite(path, picture, photometric="rgb", tile=(64, 64))
    return path


def answering(button: QMessageBox.StandardButton) -> list[str]:
    """Press a button of the question that comes, with the mouse; what it says."""
    asked: list[str] = []

    def press() -> None:
        box: Any = QApplication.activeModalWidget()
        if box is None:
            QTimer.singleShot(20, press)
            return
        asked.append(f"{box.text()} {box.informativeText()}")
        QTest.mouseClick(box.button(button), Qt.MouseButton.LeftButton)

    QTimer.singleShot(20, press)
    return asked


def test_a_person_who_trusts_the_size_goes_on_with_the_slide(make_napari_viewer, large):
    viewer = make_napari_viewer(show=True)
    asked = answering(QMessageBox.StandardButton.Yes)
    viewer.open(str(large), plugin="napari-histoprompt")
    assert len(asked) == 1
    for known in ("large.tif", "160 x 120", "100 a side", "memory"):
        assert known in asked[0]
    assert "--" not in asked[0]
    # the docks open it again, and ask no more
    dock = PromptDock(viewer)
    viewer.window.add_dock_widget(dock, name="Prompt")
    annotator = session_of(viewer).part(Annotating).annotator
    assert annotator is not None
    assert annotator.slide.shape == (160, 120)
    assert len(asked) == 1
    session_of(viewer).close()


def test_without_trust_it_stays_closed(make_napari_viewer, large):
    make_napari_viewer(show=True)
    asked = answering(QMessageBox.StandardButton.Cancel)
    with pytest.raises(SlideTooLargeError, match="160 x 120"):
        read(large)
    assert len(asked) == 1


def test_without_a_window_nobody_is_asked(large, monkeypatch):
    monkeypatch.setattr("histoprompt._qt.reader._viewer", lambda: None)
    with pytest.raises(SlideTooLargeError, match="160 x 120"):
        read(large)
