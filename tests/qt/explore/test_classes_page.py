"""The page Classes in a real viewer: taught by clicks, learnt, shown, kept, saved and applied."""

from __future__ import annotations

import numpy as np
import pytest
from pointer import Pointer, show_with_margin
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog
from tile_values import tile_values

from histoprompt._qt.explore.class_marks import MARKS
from histoprompt._qt.explore.classes import CLASSES
from histoprompt._qt.explore.dock import ExploreDock
from histoprompt._qt.shell.session import session_of
from histoprompt.core.slides.sample import SLIDE, sample_file
from histoprompt.pipelines.explore.tile_classes.apply import TilesParams
from histoprompt.pipelines.explore.tile_classes.fit import load_tiles

pytestmark = pytest.mark.gui

# Middles of tiles of 448 px: tumour in the west, what is round it in the north-east.
TUMOUR = ((1120, 224), (1120, 672), (672, 672))
REST = ((224, 672), (224, 1120), (672, 1568))


@pytest.fixture
def explore(make_napari_viewer, monkeypatch, tmp_path):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1500, 950)
    viewer.open(str(sample_file(SLIDE)), plugin="napari-histoprompt")
    dock = ExploreDock(viewer)
    viewer.window.add_dock_widget(dock, name="Explore")
    show_with_margin(viewer, dock.session.slide.image)
    dock.pages.setCurrentWidget(dock.classes)
    yield dock
    session_of(viewer).close()


def shown_values(explore):
    """The class that is shown of each tile of 448 pixels a side."""
    image = explore.session.slide.image
    return tile_values(explore.viewer.layers[CLASSES], image, 448)


def check_grey(explore, alone) -> None:
    """Of marks of one class: look-alikes that nobody has marked are unsure, and grey."""
    assert alone.names == ("tumour", "other")
    assert "Only tumour has examples" in explore.classes.told.text()
    layer = explore.viewer.layers[CLASSES]
    unsure = int((alone.code < 0).sum())
    assert 0 < unsure == int((shown_values(explore) == 3).sum())
    assert layer.colormap.color_dict[3][:3] == pytest.approx([128 / 255] * 3, abs=0.01)


def test_classes_are_taught_learnt_kept_saved_and_applied(
    explore, until, qtbot, tmp_path, monkeypatch
):
    page, control = explore.classes, explore.teaching
    pointer = Pointer(explore.annotating.annotator)
    page.mark.click()
    assert "Type the name of a class" in explore.report.status.text()
    assert not page.mark.isChecked()
    assert not page.keep.isEnabled()

    # clicks are marks of the class that is typed; each is a step; Control takes one away
    for name, places in (("tumour", TUMOUR), ("rest", REST)):
        page.name.clear()
        qtbot.keyClicks(page.name, name)
        if not control.picking.active:
            page.mark.click()
        until(lambda: control.picking.active)
        for place in places:
            pointer.click(place)
        if name == "tumour":
            page.learn.click()
            until(lambda: control.found is not None and not explore.control.batch.active)
            alone = control.found
            check_grey(explore, alone)
    assert [mark.name for mark in control.marks] == ["tumour"] * 3 + ["rest"] * 3
    assert control.marks[0].box[:2] == (1119.5, 223.5)
    marks = explore.viewer.layers[MARKS]
    assert len(marks.data) == 6
    assert not np.allclose(marks.border_color[0], marks.border_color[3])
    pointer.click(REST[2], "Control")
    assert len(control.marks) == 5
    explore.session.steps.undo()
    assert len(control.marks) == 6
    page.mark.click()
    assert not control.picking.active

    # learnt: a score on marks left out, a map, marked tiles as they were marked
    page.learn.click()
    until(lambda: control.found is not alone and not explore.control.batch.active)
    found = control.found
    assert found.fit.one_out is not None
    score = f"balanced accuracy {found.fit.one_out.balanced_accuracy:.2f}"
    assert score in page.told.text()
    assert [page.table.item(k, 0).text() for k in range(2)] == ["tumour", "rest"]
    assert [page.table.item(k, 1).text() for k in range(2)] == ["3", "3"]
    shown = shown_values(explore)
    tiles = [int((shown == k + 1).sum()) for k in range(2)]
    assert [page.table.item(k, 2).text() for k in range(2)] == [str(n) for n in tiles]
    assert {int(shown[r // 448, c // 448]) for r, c in TUMOUR} == {1}
    assert {int(shown[r // 448, c // 448]) for r, c in REST} == {2}

    # a tile is offered: an answer is a mark, and what it teaches is learnt
    asked = found.queue.question
    assert f"<b>{asked.suggestion.proposed}</b>" in page.question.question.text()
    page.question.answers["a"].click()
    until(lambda: control.found.queue.question not in (None, asked))
    assert [mark.name for mark in control.marks[6:]] == [asked.suggestion.proposed]
    assert len(page.question.curve._points) == 2
    table = tmp_path / "marks.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(table), ""))
    page.write.click()
    explore.session.steps.undo()
    assert len(control.marks) == 6
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(table), ""))
    page.read.click()
    assert {(m.box, m.name) for m in control.marks[6:]} == {
        ((*asked.box.centre, *(v + 1 for v in asked.box.centre)), asked.suggestion.proposed)
    }
    explore.session.steps.undo()
    until(lambda: not explore.control.batch.active)

    # a click on the list chooses a class, which is kept as regions
    middle = page.table.visualItemRect(page.table.item(0, 0)).center()
    qtbot.mouseClick(page.table.viewport(), Qt.MouseButton.LeftButton, pos=middle)
    assert control.name == page.name.text() == "tumour"
    page.keep.click()
    store = explore.annotating.annotator.store.on("regions")
    until(lambda: set(store.classes().values()) == {"tumour"})
    until(lambda: not explore.control.batch.active)

    # saved, and applied again: marks are gone, what the file learnt is not
    path = tmp_path / "tissue.safetensors"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    page.save.click()
    assert set(load_tiles(path)[0].classes) == {"rest", "tumour"}
    for _ in range(7):  # the regions, and six marks
        explore.session.steps.undo()
    assert control.marks == ()
    page.apply.click()
    until(lambda: "Classifier: no file is given" in explore.report.status.text())
    page.file.set_value(TilesParams(path))
    page.apply.click()
    until(lambda: control.found is not found and not explore.control.batch.active)
    assert "classified by tissue.safetensors" in page.told.text()
    assert sorted(page.table.item(k, 0).text() for k in range(2)) == ["rest", "tumour"]
    assert not page.save.isEnabled()
