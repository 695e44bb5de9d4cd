"""The Correct page of the Count dock: cells corrected on the canvas, told and taken back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from five_nuclei import NUCLEI
from pointer import Pointer, show_with_margin

from histoprompt._qt.count.dock import CountDock
from histoprompt._qt.prompts.annotating import Annotating
from histoprompt._qt.shell.session import session_of
from histoprompt.pipelines.count.correction_log import FILE
from histoprompt.pipelines.count.job import CountChoice

pytestmark = [pytest.mark.gui, pytest.mark.usefixtures("small_windows")]

_CORRECT = 2  # number of the page


@pytest.fixture
def counted(make_napari_viewer, picture, monkeypatch, tmp_path, until) -> Iterator[CountDock]:
    """Five nuclei that were counted, the Correct page in front."""
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1400, 900)
    viewer.add_image(picture, name="picture", scale=(0.25, 0.25), units=("um", "um"))
    dock = CountDock(viewer)
    viewer.window.add_dock_widget(dock, name="Count")
    slide = dock.session.slide.slide
    dock.counting.count(slide, CountChoice(segmenter="classical-cells"), slide.box.to_pixels())
    until(lambda: dock.counting.cells is not None and dock._shown is not None)
    dock.tabs.setCurrentIndex(_CORRECT)
    show_with_margin(viewer, dock.session.slide.image)
    yield dock
    session_of(viewer).close()


def ids(dock: CountDock) -> set[int]:
    return set(dock.counting.cells.id.tolist())


def done(dock: CountDock, until) -> None:
    until(lambda: not dock.counting.correcting.pending)


def test_tools_split_by_a_line_and_by_two_clicks(counted, until):
    pointer = Pointer(counted._shown)
    row, col = counted.counting.place(2)
    counted.correct._tools["split"].click()
    assert not counted._shown.cells.mouse_pan, "a line must not move the slide"
    pointer.drag([(row, col - 16), (row, col), (row, col + 16)])
    until(lambda: len(ids(counted)) == 6)
    assert counted.correct._state.text() == "Corrected by hand: +0 -0, 1 split"
    above, below = (counted._shown.cell_at((row + d, col)) for d in (-5, 5))
    assert {above, below} == ids(counted) - {1, 3, 4, 5}
    assert above != below
    pointer.key("Control-Z")
    assert ids(counted) == {1, 2, 3, 4, 5}
    pointer.click((row, col - 6))
    assert "click another place in it" in counted._status.text()
    pointer.click((row, col + 6))
    until(lambda: len(ids(counted)) == 6)
    left, right = (counted._shown.cell_at((row, col + d)) for d in (-6, 6))
    assert {left, right} == ids(counted) - {1, 3, 4, 5}
    counted.tabs.setCurrentIndex(0)
    assert not any(b.isChecked() for b in counted.correct._tools.values())
    pointer.click((row, col - 6))
    assert counted.counting.cell == left, "without a tool a click chooses"


def test_tools_delete_add_and_merge_and_all_of_it_is_told(counted, until):
    pointer = Pointer(counted._shown)
    places = {cell: counted.counting.place(cell) for cell in ids(counted)}
    counted.correct._tools["delete"].click()
    recoloured: list[object] = []
    counted._shown.cells.events.colormap.connect(recoloured.append)
    pointer.click(places[1])
    until(lambda: 1 not in ids(counted))
    done(counted, until)
    assert len(recoloured) == 1, "a correction colours cells once"
    counted.correct.choose("classical")
    counted.correct._tools["add"].click()
    assert not counted.correct._tools["delete"].isChecked()
    pointer.click(places[1])
    until(lambda: len(ids(counted)) == 5)
    counted.correct._tools["merge"].click()
    pointer.click(places[2])
    pointer.click(places[3])
    until(lambda: len(ids(counted)) == 4)
    told = "Corrected by hand: +1 -1, 1 merged"
    assert counted.correct._state.text() == told
    assert told in counted.counts._below.text()
    assert counted.counts._rows.item(0, 1).text() == "4"
    layer = counted._shown.cells
    assert set(layer.features["index"]) == ids(counted)
    image = np.asarray(layer.data[0] if layer.multiscale else layer.data)
    assert set(np.unique(image)) == {0, *ids(counted)}
    for _ in range(3):
        pointer.key("Control-Z")
    assert ids(counted) == {1, 2, 3, 4, 5}
    assert counted.correct._state.text() == "Nothing is corrected."
    for _ in range(3):
        pointer.key("Control-Shift-Z")
    assert counted.correct._state.text() == told
    assert (counted.counting.work.folder / FILE).is_file()


def test_a_finished_audit_whose_cells_change_is_told_and_marked(counted, until, monkeypatch):
    told = []
    monkeypatch.setattr("histoprompt._qt.shell.messages.show_error", told.append)
    counting = counted.counting
    counting.begin_audit(2, 0)
    until(lambda: counting.audit is not None)
    counting.keep_audit(counting.audit.entered([5]))
    counting.correcting.delete([2])
    until(lambda: 2 not in ids(counted))
    assert any("audit of 1 field does not hold any more" in text for text in told)
    assert "Cells or their classes have changed" in counted.audit._where.text()
    counting.correcting.delete([3])
    until(lambda: 3 not in ids(counted))
    assert len([t for t in told if "does not hold" in t]) == 1, "once is enough"
    counting.steps.undo()
    counting.steps.undo()
    assert not counting.outdated


def test_cells_go_to_committed_objects_and_objects_come_as_cells(counted, until):
    counting, session = counted.counting, counted.session
    annotating = session.part(Annotating)
    counting.classes.add_class("tumour")
    counting.classes.label([1, 2], "tumour")
    counting.classes.add_class("stroma")
    counting.classes.label([4, 5], "stroma")
    until(lambda: counting.classes.fit is not None and len(counting.classes.fit.examples) == 2)
    counted.correct._classes.setCurrentText("tumour")
    wanted = int(counting.cells.counts()["tumour"])
    counted.correct._send.click()
    until(lambda: annotating.annotator is not None and annotating.annotator.store.count == wanted)
    store = annotating.annotator.store
    assert {store.class_of(i) for i in store.ids().tolist()} == {"tumour"}
    for place in (NUCLEI[i] for i in range(5)):
        cell, row = counted._shown.cell_at(place), round(place[0])
        name = dict(zip(counting.cells.id.tolist(), counting.cells.class_names, strict=True))[cell]
        box = counting.work.progress.store.box_of(cell)
        objects = set(np.unique(store.read(box)).tolist()) - {0}
        assert bool(objects) == (name == "tumour"), row
    until(lambda: any(title.startswith("sent") for title in session.steps.titles))
    session.steps.undo()
    until(lambda: store.count == 0)
    session.steps.redo()
    # the cells are there already: nothing comes twice; where one was deleted it comes back
    gone = next(i for i in (1, 2))
    place = counting.place(gone)
    counting.correcting.delete([gone])
    until(lambda: gone not in ids(counted))
    counted.correct._take.click()
    until(lambda: len(ids(counted)) == 5)
    back = counted._shown.cell_at(place)
    assert back > 5
    assert counting.classes.labelling.review.labels[back] == "tumour"
    assert counted.correct._state.text() == "Corrected by hand: +1 -1"
