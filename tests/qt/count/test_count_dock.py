"""The Count and Cells docks in a real viewer: count, label, choose, review, audit, write."""

from __future__ import annotations

import threading
import types
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from five_nuclei import NUCLEI
from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox

from histoprompt._qt.count.audit_layers import MARKS
from histoprompt._qt.count.cell_model import CellTableModel
from histoprompt._qt.count.cells_dock import CellsDock
from histoprompt._qt.count.class_colours import colormap_of
from histoprompt._qt.count.dock import HINT, CountDock
from histoprompt._qt.count.growing import SO_FAR
from histoprompt._qt.count.layers import CELLS, GIVEN, LEFT_OUT, WAITING
from histoprompt._qt.layers.make import box_vertices
from histoprompt._qt.shell.session import session_of
from histoprompt.core.cell_table import UNCLASSIFIED, CellTable
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import cell_colours
from histoprompt.core.stain.ihc import DabThresholds
from histoprompt.pipelines.audit.marks import NOT_A_CELL
from histoprompt.pipelines.cells import find as find_cells
from histoprompt.pipelines.classes.classifier_file import read_classifier
from histoprompt.pipelines.classes.encoded import encoders_of
from histoprompt.pipelines.classes.labelling import FILE
from histoprompt.pipelines.count import audit as count_audit
from histoprompt.pipelines.count import kept
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.formats.cell_files import read_cells
from histoprompt.pipelines.recipes.recipe import read_recipe

pytestmark = [pytest.mark.gui, pytest.mark.usefixtures("small_windows")]

SMALL_TILES = CountChoice(segmenter="classical-cells", tile=150)


@pytest.fixture
def counter(make_napari_viewer, picture, monkeypatch, tmp_path) -> Iterator[CountDock]:
    """The Count dock on the picture, with the classical segmenter and a home of its own."""
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    viewer = make_napari_viewer()
    viewer.add_image(picture, name="picture", scale=(0.25, 0.25), units=("um", "um"))
    dock = CountDock(viewer)
    viewer.window.add_dock_widget(dock, name="Count")
    chosen = next(c.id for c in dock.region._cards if c.id == "classical-cells")
    dock.region._segmenter.setCurrentIndex(dock.region._index(chosen))
    dock.region.area.choose("slide")
    yield dock
    session_of(viewer).close()


@pytest.fixture
def counted(counter, until) -> CountDock:
    counter.region._go.click()
    until(lambda: counter.counting.work is not None)
    return counter


def world_of(dock: CountDock):
    """Where a level-0 position of the slide lies in the world."""
    return dock.session.slide.image.data_to_world


def cell_at(dock: CountDock, place: tuple[int, int]) -> int:
    return dock._shown.id_at(world_of(dock)(place))


def stroke(dock: CountDock, *places: tuple[int, int]) -> None:
    """Press at the first place and drag over the others."""
    layer = dock._shown.cells
    at = [tuple(world_of(dock)(p)) for p in places]
    event = types.SimpleNamespace(type="mouse_press", position=at[0], button=1, modifiers=())
    callback = layer.mouse_drag_callbacks[-1]
    dragging = callback(layer, event)
    next(dragging)
    event.type = "mouse_move"
    for position in at[1:]:
        event.position = position
        next(dragging)
    event.type = "mouse_release"
    with pytest.raises(StopIteration):
        next(dragging)


def label_two_classes(dock: CountDock, until) -> None:
    for name, places in (("tumour", NUCLEI[:1]), ("stroma", NUCLEI[3:4])):
        dock.classes._name.setText(name)
        dock.classes._add.click()
        dock.classes._label.setChecked(True)
        stroke(dock, *places)
    until(lambda: dock.counting.classes.fit is not None)
    until(lambda: len(dock.counting.classes.fit.examples) == 2)


def test_a_count_shows_cells_where_they_are(counted):
    layer = counted.viewer.layers[CELLS]
    assert isinstance(layer, Labels)
    found = [cell_at(counted, place) for place in NUCLEI]
    assert sorted(found) == [1, 2, 3, 4, 5]
    assert layer.get_value(world_of(counted)(NUCLEI[2]), world=True) in found
    assert list(layer.features["index"]) == [1, 2, 3, 4, 5]
    assert {"class", "score", "area_um2", "mask_um2"} <= set(layer.features)
    assert counted.counts._rows.item(0, 1).text() == "5"
    assert "mm² analysed" in counted.counts._below.text()
    assert layer.metadata["histoprompt"]["kind"] == "count"


def test_a_drawn_rectangle_is_counted(counter, until):
    counter.region.area._draw.click()
    assert "Drag a rectangle" in counter._status.text()
    counter.region.area._draw.click()  # given up
    assert counter._status.text() == HINT
    counter.region.area._draw.click()
    layer = counter.viewer.layers.selection.active
    layer.add_rectangles(box_vertices(Box(20, 20, 70, 160)))
    counter.region.area.stop()  # as a drag does once it ends
    assert counter._status.text() == "The rectangle is drawn. Press Count."
    counter.region._go.click()
    until(lambda: counter.counting.work is not None)
    assert len(counter.counting.cells) == 2
    assert cell_at(counter, NUCLEI[0]) > 0
    assert cell_at(counter, NUCLEI[4]) == 0


def held_at_the_second_tile(monkeypatch) -> threading.Event:
    """A count waits at its second tile until the event is set."""
    goes_on, tiles = threading.Event(), []
    find = find_cells.ModelCells.find

    def slow(*given):
        tiles.append(given)
        assert len(tiles) < 2 or goes_on.wait()
        return find(*given)

    monkeypatch.setattr(find_cells.ModelCells, "find", slow)
    return goes_on


def test_cells_are_shown_while_a_count_runs(counter, until, monkeypatch):
    monkeypatch.setattr(type(counter.region), "value", lambda _: SMALL_TILES)
    goes_on = held_at_the_second_tile(monkeypatch)
    counter.viewer.layers.selection.active = counter.session.slide.image
    counter.region._go.click()
    until(lambda: SO_FAR in counter.viewer.layers)
    layer = counter.viewer.layers[SO_FAR]
    at = world_of(counter)
    assert layer.get_value(at(NUCLEI[0]), world=True) == 1
    assert layer.get_value(at(NUCLEI[4]), world=True) == 0, "its tile was not looked at yet"
    assert np.allclose(layer.get_color(1)[:3] * 255, cell_colours(())[UNCLASSIFIED])
    assert counter.viewer.layers.selection.active is counter.session.slide.image
    goes_on.set()
    until(lambda: counter.counting.work is not None)
    until(lambda: SO_FAR not in counter.viewer.layers)
    assert sorted(cell_at(counter, place) for place in NUCLEI) == [1, 2, 3, 4, 5]


def test_a_count_goes_on_without_the_layer_of_the_cells_so_far(counter, until, monkeypatch):
    monkeypatch.setattr(type(counter.region), "value", lambda _: SMALL_TILES)
    goes_on = held_at_the_second_tile(monkeypatch)
    counter.region._go.click()
    until(lambda: SO_FAR in counter.viewer.layers)
    counter.viewer.layers.remove(SO_FAR)
    goes_on.set()
    until(lambda: counter.counting.work is not None)
    assert counter.counting.work.complete
    assert SO_FAR not in counter.viewer.layers


def test_what_is_known_of_the_stain_is_said_before_the_cells_are_counted(
    counter, until, monkeypatch
):
    monkeypatch.setattr(type(counter.region), "value", lambda _: SMALL_TILES)
    monkeypatch.setattr(kept, "stain_notes", lambda *_: ("Brown.",))
    goes_on = held_at_the_second_tile(monkeypatch)
    counter.region._go.click()
    until(lambda: counter.report.warning.isVisibleTo(counter))
    assert counter.report.warning.text() == "Brown."
    assert counter.counting.work is None
    goes_on.set()
    until(lambda: counter.counting.work is not None)
    assert not counter.report.warning.isVisibleTo(counter)
    assert counter._status.text().count("Brown.") == 1


def test_a_cancelled_count_shows_what_is_done_and_goes_on(counter, until, monkeypatch):
    monkeypatch.setattr(type(counter.region), "value", lambda _: SMALL_TILES)
    goes_on = held_at_the_second_tile(monkeypatch)
    counter.region._go.click()
    assert counter._cancel.isVisibleTo(counter)
    until(lambda: counter._bar.value() >= 1)
    assert "tile 2 of 4" in counter._status.text()
    counter._cancel.click()
    assert counter._status.text() == "Cancelling ..."
    goes_on.set()
    until(lambda: counter.counting.work is not None)
    work = counter.counting.work
    assert not work.complete
    assert "Partial" in counter.counts._below.text()
    assert list(counter.viewer.layers[LEFT_OUT].features["left out"]) == [WAITING]
    counter.region._go.click()
    until(lambda: counter.counting.work is not work)
    assert counter.counting.work.complete
    assert len(counter.counting.cells) == 5
    assert LEFT_OUT not in counter.viewer.layers


def test_a_count_that_was_let_go_does_not_come_back(counter, until, monkeypatch):
    monkeypatch.setattr(type(counter.region), "value", lambda _: SMALL_TILES)
    counter.region._go.click()
    until(lambda: counter._bar.value() >= 1)
    job = counter.counting._job
    counter.viewer.layers.remove("picture")
    until(lambda: counter.session.slide.image is None and not job.active)
    assert counter.counting.work is None
    assert not counter._busy.isVisibleTo(counter)


def test_without_a_rectangle_it_says_so(counter):
    counter.region.area.choose("drawn")
    counter.region._go.click()
    assert "No rectangle" in counter._status.text()


def test_labels_colour_all_cells_and_are_on_disk(counted, until):
    label_two_classes(counted, until)
    classing = counted.counting.classes
    tumour, stroma = (cell_at(counted, NUCLEI[i]) for i in (0, 3))
    assert classing.labelling.review.labels == {tumour: "tumour", stroma: "stroma"}
    layer = counted.viewer.layers[CELLS]
    names = layer.features["class"]
    assert names[tumour - 1] == "tumour"
    colours = cell_colours(("tumour", "stroma"))  # as they were made, not as they are sorted
    shown = layer.colormap.map(np.array([0, tumour, stroma]))
    assert np.allclose(shown[1][:3] * 255, colours["tumour"], atol=0.5)
    assert np.allclose(shown[2][:3] * 255, colours["stroma"], atol=0.5)
    assert shown[0][3] == 0
    assert len(counted.viewer.layers[GIVEN].data) == 2
    assert (counted.counting.work.folder / FILE).exists()
    assert not layer.mouse_pan
    counted.classes._undo.click()
    assert classing.labelling.review.labels == {tumour: "tumour"}


def test_a_stroke_labels_all_it_touches(counted, until):
    counted.classes._name.setText("tumour")
    counted.classes._add.click()
    counted.classes._label.click()
    stroke(counted, *NUCLEI[:3])
    assert len(counted.counting.classes.labelling.review.labels) == 3


def test_the_next_viewer_finds_the_labels(counted, until):
    label_two_classes(counted, until)
    before = counted.counting.classes.labelling.review.labels
    work = counted.counting.work
    counted.counting.drop()
    assert CELLS not in counted.viewer.layers
    counted.region._go.click()
    until(lambda: counted.counting.work not in (None, work))
    assert counted.counting.classes.labelling.review.labels == before
    until(lambda: counted.counting.classes.fit is not None)


def test_rows_and_cells_choose_each_other(counted, until, tmp_path):
    dock = CellsDock(counted.viewer)
    counted.viewer.window.add_dock_widget(dock, name="Cells", area="bottom")
    camera = counted.viewer.scene.camera
    dock.table.selectRow(4)
    cell = dock.model.id_at(4)
    assert counted.counting.cell == cell
    place = counted.counting.place(cell)
    assert np.allclose(camera.center[-2:], world_of(counted)(place))
    stroke(counted, NUCLEI[1])
    wanted = cell_at(counted, NUCLEI[1])
    assert dock.model.id_at(dock.table.currentIndex().row()) == wanted
    dock.table.sortByColumn(3, Qt.SortOrder.DescendingOrder)
    areas = [float(dock.model.index(i, 3).data()) for i in range(5)]
    assert areas == sorted(areas, reverse=True)
    # neighbours are columns once they are asked for, and no longer when they are not
    before = dock.model.columns
    dock._neighbours.click()
    until(lambda: len(dock.model.columns) > len(before))
    added = [c for c in dock.model.columns if c not in before]
    assert len(added) == 2 * len(counted.counting.cells.counts())
    places = np.stack([counted.counting.cells.row, counted.counting.cells.col], axis=1) * 0.25
    apart = np.linalg.norm(places[:, None] - places, axis=2)
    assert dock.model.values(added[0]).tolist() == ((apart <= 30).sum(axis=1) - 1).tolist()
    assert dock._x.findText(added[-1]) >= 0
    # within another radius they are others
    dock.lying.rows.row("radius").setValue(20)
    until(lambda: any("20 um" in c for c in dock.model.columns))
    dock._neighbours.click()
    assert dock.model.columns == before
    # how cells lie is written as files
    dock.lying.rows.row("labellings").setValue(19)
    dock.lying.write(tmp_path / "lying")
    until(lambda: "measured" in dock.lying.strip.status.text())
    assert (tmp_path / "lying" / "spatial.html").is_file()
    assert (tmp_path / "lying" / "density_all.tif").is_file()


def test_keys_answer_what_is_offered(counted, until):
    label_two_classes(counted, until)
    counted.show_classes()
    classing = counted.counting.classes
    layer = counted.viewer.layers[CELLS]
    keys = {str(key): action for key, action in layer.keymap.items()}
    for key in ("A", "U"):
        offered = classing.suggestion
        assert offered.id in range(1, 6)
        keys[key](layer)
        until(lambda old=offered: classing.suggestion not in (None, old))
    review = classing.labelling.review
    assert len(review.labels) == 3
    assert len(review.unsure) == 1
    assert len(review.curve) >= 1


def test_an_audit_and_the_files(counted, until, tmp_path):
    label_two_classes(counted, until)
    counted.audit._draw.click()
    until(lambda: counted.counting.audit is not None)
    while not counted.counting.audit.finished:
        counted.audit._entries[0].setValue(counted.audit._entries[0].value() + 1)
        counted.audit._next.click()
    assert "Corrected counts" in counted.audit._result.text()
    counted.files.folder.setText(str(tmp_path / "out"))
    counted.files._go.click()
    until(lambda: "cells are in" in counted._status.text())
    written = read_cells(tmp_path / "out" / "cells.csv")
    assert written.class_names == counted.counting.cells.class_names
    assert (tmp_path / "out" / "audit.csv").exists()
    assert "Corrected counts" in (tmp_path / "out" / "report.html").read_text()


def test_a_field_is_audited_by_clicks(counted, until, monkeypatch):
    counted.audit._draw.click()
    until(lambda: MARKS in counted.viewer.layers)
    layer = counted.viewer.layers[MARKS]
    assert counted.viewer.layers.selection.active is layer
    assert layer.mode == "add"
    assert counted.viewer.layers[CELLS].contour == 2
    assert counted.audit._entries[0].value() == 5
    layer.add([100.0, 5.0])
    assert counted.audit._entries[0].value() == 6
    counted.audit._says.setCurrentIndex(1)
    layer.add(NUCLEI[0])
    layer.add(NUCLEI[1])
    assert counted.audit._entries[0].value() == 4
    assert [str(s) for s in layer.symbol] == ["disc", "cross", "cross"]
    {str(key): action for key, action in layer.keymap.items()}["Ctrl+Z"](layer)
    assert counted.audit._entries[0].value() == 5
    counted.audit._entries[0].setValue(9)
    counted.audit._next.click()
    assert counted.counting.audit.seen == ((9,),)
    assert "cells: 9" in counted.audit._result.text()
    assert counted.viewer.layers[CELLS].contour == 0
    counted.audit._back.click()
    assert counted.audit._entries[0].value() == 9
    assert [m.name for m in counted.counting.audit.marks] == ["", NOT_A_CELL]
    counted.audit._next.click()
    drawn = counted.counting.audit
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.No)
    counted.audit._draw.click()
    assert counted.counting.audit is drawn
    counted.classes._ways.setCurrentIndex(1)
    counted.classes._grade.click()
    assert "draw fields anew" in counted.audit._where.text().lower()
    assert counted.audit._result.text() == ""


def test_an_audit_that_saw_few_cells_asks_for_more_fields(counted, until, monkeypatch):
    monkeypatch.setattr(count_audit, "SIDE_UM", 12.5)
    audit = counted.audit
    assert not audit._more.isEnabled()
    audit._fields.setValue(5)
    audit._draw.click()
    until(lambda: counted.counting.audit is not None)
    for _ in range(5):
        audit._next.click()
    assert not audit._next.isEnabled()
    entered = counted.counting.audit.seen
    assert "add about" in audit._where.text()
    assert "cautious" in audit._result.text()
    audit._fields.setValue(2)
    audit._more.click()
    assert counted.counting.audit.plan.fields == 7
    assert counted.counting.audit.seen == entered
    assert "Field 6 of 7" in audit._where.text()
    audit._fields.setValue(200)
    audit._more.click()
    assert not audit._more.isEnabled()


def test_dab_needs_no_labels(counted):
    counted.classes._ways.setCurrentIndex(1)
    counted.classes._grade.click()
    assert counted.counting.cells.classes == ("negative", "positive")
    assert "H-score" in counted.classes._score.text()
    counted.classes.limits.row("weak").setValue(0.9)
    assert "grow" in counted.classes._wrong.text()


def test_a_classifier_is_kept_and_used_again(counted, until, tmp_path):
    label_two_classes(counted, until)
    classing, path = counted.counting.classes, tmp_path / "mine.safetensors"
    classing.save(path)
    names = classing.cells.class_names
    classing.grade(DabThresholds())
    classing.load(path)
    until(lambda: "mine" in classing.how)
    assert set(classing.cells.classes) == {"tumour", "stroma", "unsure"}
    assert len(classing.cells.class_names) == len(names)


def test_classes_are_learnt_from_what_an_encoder_sees_too(counted, until, tmp_path):
    """Chosen in the list, seen in the background, saved, and done again by a recipe."""
    label_two_classes(counted, until)
    classing, panel = counted.counting.classes, counted.classes
    own = classing.cells.feature_names
    panel.seen_by.setCurrentIndex(panel.seen_by.findData("efficientnet-lite0"))
    panel.seen_by.activated.emit(panel.seen_by.currentIndex())
    until(lambda: encoders_of(classing.fit.classifier.feature_names) == ("efficientnet-lite0",))
    assert "EfficientNet-Lite0 sees" in classing.how
    assert classing.cells.feature_names == own
    assert set(classing.cells.class_names) <= {"tumour", "stroma", "unsure"}
    classing.label([cell_at(counted, NUCLEI[1])], "tumour")
    classing.label([cell_at(counted, NUCLEI[4])], "stroma")
    panel.compare.click()
    until(lambda: "efficientnet-lite0 (" in counted.report.status.text())
    counted.counting.export(tmp_path / "out")
    until((tmp_path / "out" / "classes.recipe.toml").is_file)
    steps = read_recipe(tmp_path / "out" / "classes.recipe.toml").steps
    assert [one.name for one in steps] == ["count", "classify"]
    learnt = read_classifier(steps[1].params.classifier)
    assert encoders_of(learnt.feature_names) == ("efficientnet-lite0",)
    # without it again, and then from the file
    panel.seen_by.setCurrentIndex(0)
    panel.seen_by.activated.emit(0)
    until(lambda: encoders_of(classing.fit.classifier.feature_names) == ())
    classing.load(tmp_path / "out" / "classes.safetensors")
    until(lambda: classing.how == "classifier classes.safetensors")
    assert encoders_of(classing.classifier.feature_names) == ("efficientnet-lite0",)


def test_a_missing_pixel_size_is_asked_for(
    make_napari_viewer, picture, monkeypatch, tmp_path, until
):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    viewer = make_napari_viewer()
    viewer.add_image(picture, name="picture")
    dock = CountDock(viewer)
    dock.session.jobs._notify = lambda _: None
    dock.region._segmenter.setCurrentIndex(dock.region._index("classical-cells"))
    dock.region.area.choose("slide")
    dock.region._go.click()
    until(lambda: "pixel size" in dock._status.text())
    dock.images._mpp.setValue(0.25)
    dock.region._go.click()
    until(lambda: dock.counting.work is not None)
    assert len(dock.counting.cells) == 5
    viewer.layers.remove("picture")
    until(lambda: dock.counting.work is None)
    session_of(viewer).close()


# -- without a viewer --------------------------------------------------------------------------


def test_a_map_of_classes_reads_ids_of_any_size():
    colours = colormap_of(replace(CellTable.empty(), classes=("a", "b")))
    colours.show(np.array([3, 70_000]), np.array([0, 1], np.int16))
    found = colours._data_to_texture(np.array([[0, 3, 70_000, 4_000_000_000]], np.uint32))
    assert found.tolist() == [[0, 1, 2, 0]]
    assert found.dtype == np.uint8


def test_the_table_hides_channels_and_sorts_by_class(qapp):
    model = CellTableModel()
    model.show_cells(
        CellTable(
            np.arange(1, 4), np.zeros(3), np.zeros(3), np.array([5.0, 1.0, 3.0]),
            ("x", "unsure"), np.array([1, 0, 0], np.int16), np.zeros(3, np.float32),
            np.zeros((3, 2), np.float32), ("mask_um2", "lite_0"),
        )
    )  # fmt: skip
    assert "lite_0" not in model.columns
    assert model.rowCount() == 3
    model.sort(1)
    assert [model.index(i, 1).data() for i in range(3)] == ["x", "x", "unsure"]
    model.sort(3)
    assert [model.id_at(i) for i in range(3)] == [2, 3, 1]
    assert [model.row_of(i) for i in (1, 2, 3, 9)] == [2, 0, 1, -1]
