"""The Objects dock and the layer of regions, with the pointer and keys of a person."""

from __future__ import annotations

import numpy as np
import pytest
from pointer import Pointer
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from histoprompt._qt.objects.dock import REFRESH_MS, ObjectsDock
from histoprompt._qt.objects.model import RosterModel
from histoprompt._qt.prompts.annotating import Annotating
from histoprompt.annotations.roster import COLUMNS, Roster
from histoprompt.annotations.store import LabelStore
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask

CONTROL, NONE = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.NoModifier


def square(row, col, side):
    box = Box(row, col, row + side, col + side)
    return Mask(np.ones((side, side), bool), Frame(box, (side, side)))


@pytest.fixture
def objects(shown_dock, until):
    """The Objects dock beside the Prompt dock, with three objects in two classes and a region."""
    annotator = shown_dock.annotator
    store = annotator.store
    with store.group("several") as edit:
        store.commit(square(20, 20, 20), info={"model": "sam"})
        store.commit(square(150, 150, 30))
        store.commit(square(100, 20, 10))
        store.set_class([1], "tumour")
        store.set_class([2], "stroma")
        store.on("regions").commit(square(0, 0, 90))
    annotator.committed.show_change(edit.change, "Made", step=False)
    dock = ObjectsDock(shown_dock.viewer)
    shown_dock.viewer.window.add_dock_widget(dock, name="Objects")
    until(dock.table.isVisible)
    return dock


def click(dock, line, held=NONE):
    """Click a row of the table as it is shown."""
    index = dock.model.index(line, COLUMNS.index("class"))
    dock.table.scrollTo(index)
    at = dock.table.visualRect(index).center()
    QTest.mouseClick(dock.table.viewport(), Qt.MouseButton.LeftButton, held, at)


def cells(dock, column):
    at = COLUMNS.index(column)
    return [dock.model.index(n, at).data() for n in range(dock.model.rowCount())]


def line_of(dock, kind, object_id):
    both = list(zip(cells(dock, "plane"), cells(dock, "id"), strict=True))
    return both.index((kind, str(object_id)))


def test_objects_and_regions_are_listed_and_a_click_goes_there(objects):
    assert sorted(zip(cells(objects, "plane"), cells(objects, "id"), strict=True)) == [
        ("object", "1"),
        ("object", "2"),
        ("object", "3"),
        ("region", "1"),
    ]
    click(objects, line_of(objects, "object", 2))
    image = objects.session.part(Annotating).annotator.image
    centre = image.world_to_data(objects.viewer.scene.camera.center)[-2:]
    assert np.allclose(centre, (164.5, 164.5), atol=1)
    assert objects.chosen == {"objects": [2]}


def test_a_number_key_gives_all_chosen_rows_a_class_in_one_step(objects):
    store = objects.session.part(Annotating).annotator.store
    assert [item.name for item in store.class_list()] == ["tumour", "stroma"]
    click(objects, line_of(objects, "object", 3))
    click(objects, line_of(objects, "region", 1), CONTROL)
    QTest.keyClick(objects.table, Qt.Key.Key_2)
    assert (store.class_of(3), store.on("regions").class_of(1)) == ("stroma", "stroma")
    assert objects.chosen == {"objects": [3], "regions": [1]}, "they stay chosen"
    counts = [objects.panel.table.item(1, n).text() for n in range(4)]
    assert counts == ["2", "stroma", "2", "1"]
    layer = objects.session.part(Annotating).annotator.regions.layer
    colour = np.rint(np.array(layer.get_color(1))[:3] * 255)
    assert tuple(colour) == store.class_list()[1].colour
    objects.session.steps.undo()
    assert (store.class_of(3), store.on("regions").class_of(1)) == ("", "")
    objects.session.steps.redo()
    assert store.class_of(3) == "stroma"


def test_rows_are_filtered_merged_and_deleted_and_undo_brings_them_back(objects, until):
    store, steps = objects.session.part(Annotating).annotator.store, objects.session.steps
    QTest.keyClicks(objects.search, "object tumour")
    assert cells(objects, "id") == ["1"]
    objects.search.clear()
    objects.kind.setCurrentIndex(1)
    click(objects, line_of(objects, "object", 1))
    click(objects, line_of(objects, "object", 3), CONTROL)
    QTest.mouseClick(objects.buttons["merge"], Qt.MouseButton.LeftButton)
    assert store.ids().tolist() == [1, 2]
    click(objects, line_of(objects, "object", 2))
    QTest.keyClick(objects.table, Qt.Key.Key_Delete)
    assert store.ids().tolist() == [1]
    steps.undo()
    steps.undo()
    until(lambda: objects.model.rowCount() == 3)
    assert store.ids().tolist() == [1, 2, 3]


def test_what_cannot_be_done_is_said_and_changes_nothing(objects):
    store = objects.session.part(Annotating).annotator.store
    edits = store.journal_bytes
    QTest.mouseClick(objects.buttons["delete"], Qt.MouseButton.LeftButton)
    assert "Choose rows" in objects._status.text()
    click(objects, line_of(objects, "object", 1))
    QTest.keyClick(objects.table, Qt.Key.Key_9)
    assert "no class with the number 9" in objects._status.text()
    assert store.journal_bytes == edits


def test_an_object_becomes_a_region_and_comes_back(objects):
    annotator = objects.session.part(Annotating).annotator
    click(objects, line_of(objects, "object", 2))
    QTest.mouseClick(objects.buttons["regions"], Qt.MouseButton.LeftButton)
    assert annotator.store.ids().tolist() == [1, 3]
    assert annotator.regions.store.ids().tolist() == [1, 2]
    assert annotator.regions.at(160, 160) == 2, "both layers show it"
    assert annotator.committed.at(160, 160) == 0
    objects.session.steps.undo()
    assert annotator.committed.at(160, 160) == 2
    assert annotator.regions.at(160, 160) == 0


def test_a_class_is_added_renamed_and_read_from_a_file(objects, tmp_path, monkeypatch):
    store, panel = objects.session.part(Annotating).annotator.store, objects.panel
    QTest.keyClicks(panel.new, "Ignore*")
    QTest.keyClick(panel.new, Qt.Key.Key_Return)
    assert [item.name for item in store.class_list()] == ["tumour", "stroma", "Ignore*"]
    panel.table.item(0, 1).setText("carcinoma")
    assert store.class_of(1) == "carcinoma"
    assert "carcinoma" in cells(objects, "class")
    refreshed: list[object] = []
    objects.model.modelReset.connect(lambda: refreshed.append(None))
    QTest.qWait(2 * REFRESH_MS)  # what was asked for before
    refreshed.clear()
    panel.table.item(1, 1).setText("connective")
    QTest.qWait(2 * REFRESH_MS)
    assert len(refreshed) == 1, "an edit lists the objects once"
    panel.table.item(1, 1).setText("stroma")
    path = tmp_path / "classes.json"
    path.write_text('{"pathClasses": [{"name": "stroma", "color": [1, 2, 3]}]}')
    dialog = "histoprompt._qt.objects.class_panel.QFileDialog.getOpenFileName"
    monkeypatch.setattr(dialog, lambda *_: (str(path), ""))
    QTest.mouseClick(panel.buttons["read"], Qt.MouseButton.LeftButton)
    first, *others = store.class_list()
    assert (first.name, first.colour) == ("stroma", (1, 2, 3))
    assert [item.name for item in others] == ["carcinoma", "Ignore*"]
    for _ in range(5):
        objects.session.steps.undo()
    assert [item.name for item in store.class_list()] == ["tumour", "stroma"]
    assert store.class_of(1) == "tumour"


def test_a_region_is_painted_over_objects_and_they_inside_it(objects, until):
    annotator = objects.session.part(Annotating).annotator
    pointer = Pointer(annotator)
    layer = annotator.regions.layer
    objects.viewer.layers.selection.active = layer
    layer.mode, layer.brush_size = "paint", 9
    pointer.drag([(165, 140), (165, 190)])
    (new,) = set(annotator.regions.store.ids().tolist()) - {1}
    assert annotator.regions.at(165, 165) == new
    assert annotator.committed.at(165, 165) == 2, "the object stays whole"
    assert annotator.store.area_of(2) == 900
    until(lambda: objects.model.rowCount() == 5)
    annotator.undo()
    assert annotator.regions.store.ids().tolist() == [1]


def test_a_shift_click_on_the_slide_chooses_the_row(objects):
    annotator = objects.session.part(Annotating).annotator
    objects.viewer.layers.selection.active = annotator.committed.layer
    annotator.committed.layer.mode = "pan_zoom"
    Pointer(annotator).click((165, 165), "Shift")
    assert objects.chosen == {"objects": [2]}


def test_a_hundred_thousand_rows_are_asked_for_one_by_one(tmp_path, qapp):
    side = 320
    labels = np.kron(np.arange(1, side**2 + 1).reshape(side, side), np.ones((2, 2), int))
    with LabelStore.open(tmp_path / "s", labels.shape, "many") as store:
        store.write(store.box, labels, info={"model": "m"})
        model = RosterModel()
        model.show_roster(Roster(store), store.class_list())
        assert model.rowCount() == side**2
        assert model.index(99_999, COLUMNS.index("id")).data() == "100000"
        model.sort(COLUMNS.index("id"), Qt.SortOrder.DescendingOrder)
        assert model.index(0, COLUMNS.index("id")).data() == str(side**2)
        every = model.selection_of({"objects": store.ids().tolist()})
        assert len(every) == 1, "a run of rows is one range"
        model.want("77", None)
        assert model.rowCount() == 1


def test_a_class_is_wholly_to_be_read_once_it_is_in_use(objects):
    column = COLUMNS.index("class")
    before = objects.table.columnWidth(column)
    click(objects, line_of(objects, "object", 3))
    objects._give("a class with a rather long name")
    assert objects.table.columnWidth(column) >= objects.table.sizeHintForColumn(column) > before
