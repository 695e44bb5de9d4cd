"""The list of objects and regions, and what is done with those chosen in it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoprompt.annotations import choosing, class_list
from histoprompt.annotations.class_list import ObjectClass
from histoprompt.annotations.roster import COLUMNS, Roster
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask

RED, BLUE = (255, 0, 0), (0, 0, 255)


def square(row, col, side):
    box = Box(row, col, row + side, col + side)
    return Mask(np.ones((side, side), bool), Frame(box, (side, side)))


@pytest.fixture
def store(tmp_path):
    with LabelStore.open(tmp_path / "s", (200, 180), "slide", chunk=32) as store:
        store.commit(square(0, 0, 10), info={"model": "sam", "prompts": ["point", "box"]})
        store.commit(square(20, 20, 40), info={"model": "by hand"})
        store.commit(square(100, 100, 20), info={"model": "sam", "prompts": ["box"]})
        store.set_class([1, 3], "Tumour")
        store.on("regions").commit(square(0, 0, 100), info={"text": "tumour tissue"})
        store.on("regions").set_class([1], "Stroma")
        yield store


def places(roster, rows):
    return [roster.place(row) for row in rows]


def test_a_row_says_plane_id_class_area_model_prompts_and_when(store):
    roster = Roster(store, mpp=0.5)
    rows = [[roster.text(row, column) for column in COLUMNS[:6]] for row in range(len(roster))]
    assert rows == [
        ["object", "1", "Tumour", "25.0", "sam", "point, box"],
        ["object", "2", "", "400.0", "by hand", ""],
        ["object", "3", "Tumour", "100.0", "sam", "box"],
        ["region", "1", "Stroma", "2,500.0", "", "tumour tissue"],
    ]
    assert roster.unit == "µm²"
    assert roster.box(3) == Box(0, 0, 100, 100)
    made = store.history()[0].time
    assert roster.text(0, "when") == made[:19].replace("T", " ")
    assert roster.text(0, "who") == store.history()[0].who
    assert Roster(store).areas.tolist() == [100, 1600, 400, 10_000]
    assert roster.counts() == {"": (1, 0), "Stroma": (0, 1), "Tumour": (2, 0)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [0, 1, 2, 3]),
        ("TUMOUR", [0, 2, 3]),
        ("tumour object", [0, 2]),
        ("sam point", [0]),
        ("3", [2]),
        ("region", [3]),
        ("nowhere", []),
    ],
)
def test_every_word_must_be_in_a_cell_of_the_row(store, text, found):
    assert Roster(store).matching(text).tolist() == found
    assert Roster(store).matching(text, "regions").tolist() == [n for n in found if n == 3]


@pytest.mark.parametrize("column", COLUMNS)
def test_rows_are_sorted_as_their_cells_read(store, column):
    roster = Roster(store)
    rows = np.array([3, 1, 0, 2])
    value = {"area": lambda r: roster.areas[r], "id": lambda r: roster.ids[r]}.get(
        column, lambda r: roster.text(r, column)
    )
    assert roster.order(column, rows).tolist() == sorted(rows.tolist(), key=value)
    falling = roster.order(column, rows, descending=True)
    assert [value(r) for r in falling] == sorted(map(value, rows), reverse=True)


def test_rows_and_what_is_chosen_lead_to_each_other(store):
    roster = Roster(store)
    chosen = roster.chosen([0, 2, 3])
    assert chosen == {"objects": [1, 3], "regions": [1]}
    assert roster.rows_of({**chosen, "objects": [1, 3, 99]}).tolist() == [0, 2, 3]


def test_an_empty_store_lists_nothing(tmp_path):
    with LabelStore.open(tmp_path / "s", (20, 20), "slide") as store:
        roster = Roster(store)
        assert len(roster) == 0
        assert roster.matching("x").tolist() == []
        assert roster.order("model", roster.matching("")).tolist() == []
        assert roster.counts() == {}


def test_what_is_done_with_both_planes_is_one_edit(store):
    chosen = {"objects": [1, 2], "regions": [1]}
    edits = len(store.history())
    assert choosing.reclassify(store, chosen, "Necrosis") is not None
    assert [p.class_of(1) for p in (store, store.on("regions"))] == ["Necrosis"] * 2
    assert choosing.delete(store, chosen) is not None
    assert (store.count, store.on("regions").count) == (1, 0)
    assert len(store.history()) == edits + 2
    store.undo()
    assert (store.count, store.on("regions").count) == (3, 1)
    store.undo()
    assert store.class_of(2) == ""


def test_objects_of_one_plane_are_merged(store):
    change = choosing.merge(store, {"objects": [1, 3]})
    assert change is not None
    assert change.box.covers(Box(100, 100, 120, 120))
    assert store.ids().tolist() == [1, 2]
    for chosen in ({"objects": [1]}, {}, {"objects": [1, 2], "regions": [1]}):
        with pytest.raises(LabelStoreError, match="two or more"):
            choosing.merge(store, chosen)


def test_those_on_the_other_plane_move(store):
    given, change = choosing.move(store, {"objects": [3], "regions": [1]}, "regions")
    assert given == {3: 2}
    assert change is not None
    assert store.on("regions").ids().tolist() == [1, 2]
    assert choosing.move(store, {"regions": [1]}, "regions") == ({}, None)


# -- lists of classes ----------------------------------------------------------------------------


def test_a_class_is_renamed_recoloured_and_moved():
    classes = (ObjectClass("a", RED), ObjectClass("b", BLUE), ObjectClass("c", RED))
    assert [c.name for c in class_list.renamed(classes, "b", "x")] == ["a", "x", "c"]
    assert [c.name for c in class_list.renamed(classes, "b", "a")] == ["a", "c"]
    assert class_list.recoloured(classes, "a", BLUE)[0] == ObjectClass("a", BLUE)
    assert [c.name for c in class_list.moved(classes, "a", 1)] == ["b", "a", "c"]
    assert [c.name for c in class_list.moved(classes, "a", -1)] == ["a", "b", "c"]
    assert [c.name for c in class_list.moved(classes, "a", 9)] == ["b", "c", "a"]


@given(st.lists(st.integers(0, 255), min_size=3, max_size=3))
def test_a_colour_is_written_and_read(colour):
    item = ObjectClass("a", tuple(colour))
    assert ObjectClass.from_row(item.to_row()) == item


def test_an_imported_object_says_which_file_it_comes_from(store):
    store.commit(square(150, 20, 10), info={"imported from": "cells.geojson", "format": "geojson"})
    roster = Roster(store)
    (row,) = roster.matching("cells.geojson").tolist()
    assert roster.text(row, "model") == "cells.geojson"
