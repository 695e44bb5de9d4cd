"""The page Concepts in a real viewer: learnt, asked of a tile, struck out, taken back, applied."""

from __future__ import annotations

import pytest
from pointer import Pointer, show_with_margin
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog
from tile_values import tile_values

from histoprompt._qt.explore.concepts import CONCEPTS
from histoprompt._qt.explore.dock import ExploreDock
from histoprompt._qt.shell.session import session_of
from histoprompt.core.slides.sample import SLIDE, sample_file
from histoprompt.models import registry
from histoprompt.pipelines.explore.concepts.concept_file import read_concepts
from histoprompt.pipelines.explore.concepts.params import ConceptApplyParams
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.tile_classes.marks import TileMark

pytestmark = pytest.mark.gui

# Middles of tiles of 448 px: tumour in the west, what is round it in the north-east.
TUMOUR = ((1120, 224), (1120, 672), (672, 672))
REST = ((224, 672), (224, 1120), (672, 1568))


@pytest.fixture
def explore(make_napari_viewer, monkeypatch, tmp_path):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 768)
    viewer.open(str(sample_file(SLIDE)), plugin="napari-histoprompt")
    dock = ExploreDock(viewer)
    viewer.window.add_dock_widget(dock, name="Explore")
    show_with_margin(viewer, dock.session.slide.image)
    dock.pages.setCurrentWidget(dock.concepts)
    yield dock
    session_of(viewer).close()


def select(page, qtbot, name):
    names = [page.table.item(k, 0).text() for k in range(page.table.rowCount())]
    page.table.scrollToItem(page.table.item(names.index(name), 0))
    middle = page.table.visualItemRect(page.table.item(names.index(name), 0)).center()
    qtbot.mouseClick(page.table.viewport(), Qt.MouseButton.LeftButton, pos=middle)


def test_concepts_are_learnt_asked_struck_out_and_applied(
    explore, until, qtbot, tmp_path, monkeypatch
):
    page, control = explore.concepts, explore.deciding
    said, steps = explore.report.status, explore.session.steps
    page.learn.click()
    assert "Mark tiles of two classes" in said.text()
    page.ask.click()
    assert "Learn concepts first" in said.text()
    assert not page.ask.isChecked()

    key = explore.session.slide.slide.key
    explore.teaching.marks = tuple(
        TileMark(key, (r - 0.5, c - 0.5, r + 0.5, c + 0.5), name)
        for name, places in (("tumour", TUMOUR), ("rest", REST))
        for r, c in places
    )
    page.options.row("phrases").setText("malignant tissue, wine glass")
    page.learn.click()
    until(lambda: "knows no words" in said.text() or "No phrase" in said.text())
    explore.set_value(IndexParams(registry.DEFAULT_WORDS))
    page.learn.click()
    until(lambda: control.found is not None and not explore.control.batch.active)
    assert "balanced accuracy" in page.told.text()
    assert "'wine glass' is left out" in page.told.text()
    step = control.found.tiles.tiles.slides[0].step
    shown = tile_values(explore.viewer.layers[CONCEPTS], explore.session.slide.image, step)
    assert [int(shown[r // step, c // step]) for r, c in TUMOUR] == [2, 2, 2]  # rest is the first
    decided = [page.table.item(k, 3).text() for k in range(page.table.rowCount())]
    assert sum(map(int, decided)) == (control.found.tiles.decided >= 0).sum()

    # a click tells which concept decided
    page.ask.click()
    until(lambda: control.picking.active)
    pointer = Pointer(explore.annotating.annotator)
    pointer.click(TUMOUR[0])
    assert page.answer.text().startswith("tumour (")
    name = page.answer.text().split("decided by ")[1].split(",")[0]
    assert name in [one.name for one in control.found.model.concepts]

    # struck out: it decides no more, and that can be taken back, and done again
    whole = control.found
    select(page, qtbot, name)
    page.strike.click()
    until(lambda: control.found is not whole and not explore.control.batch.active)
    assert control.found.model.struck == (name,)
    assert f"{name} struck out: balanced accuracy" in page.told.text()
    pointer.click(TUMOUR[0])
    assert f"decided by {name}," not in page.answer.text()
    steps.undo()
    assert control.found is whole
    steps.redo()
    assert control.found.model.struck == (name,)
    select(page, qtbot, name)
    assert page.strike.text() == "Let decide"
    page.strike.click()
    until(lambda: control.found.model.struck == () and not explore.control.batch.active)

    # saved, and applied: a file has no marks to learn anew from
    path = tmp_path / "concepts.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    page.save.click()
    assert read_concepts(path).classes == ("rest", "tumour")
    before = control.found
    page.apply.click()
    until(lambda: "Concepts: no file is given" in said.text())
    page.file.set_value(ConceptApplyParams(path))
    page.apply.click()
    until(lambda: control.found is not before and not explore.control.batch.active)
    select(page, qtbot, name)
    assert not page.strike.isEnabled()
