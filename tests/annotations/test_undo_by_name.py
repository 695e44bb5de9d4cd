"""An edit is taken back only by those who made it, and only while it is the last."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.annotations.store import LabelStore
from histoprompt.core.geometry import Box


@pytest.fixture
def store(tmp_path):
    with LabelStore.open(tmp_path / "labels", (300, 400), "slide") as found:
        yield found


def paint(store: LabelStore, value: int):
    box = Box(value * 10, 0, value * 10 + 5, 5)
    return store.write(box, np.full((5, 5), value, np.uint32))


def test_an_edit_is_taken_back_while_it_is_the_last(store):
    first, second = paint(store, 1), paint(store, 2)
    assert first.edit != second.edit
    assert store.undo_if_last(first.edit) is None
    assert store.ids().tolist() == [1, 2]
    taken = store.undo_if_last(second.edit)
    assert taken.edit == second.edit
    assert store.ids().tolist() == [1]
    assert store.redo_if_next(first.edit) is None
    assert store.redo_if_next(second.edit).box == second.box
    assert store.ids().tolist() == [1, 2]


def test_edits_keep_their_names_when_the_store_is_opened_again(store, tmp_path):
    first = paint(store, 1)
    store.close()
    with LabelStore.open(tmp_path / "labels", (300, 400), "slide") as again:
        assert again.undo_if_last(first.edit).edit == first.edit
        assert again.count == 0


def test_a_group_tells_of_its_own_change(store):
    with store.group("both") as made:
        paint(store, 1)
        paint(store, 2)
        with store.group("inner") as inner:
            paint(store, 3)
    paint(store, 4)
    assert inner.change is None
    assert made.change.op == "both"
    assert made.change.box == Box(10, 0, 35, 5)
    assert store.undo_if_last(made.change.edit) is None
    with store.group("nothing") as empty:
        pass
    assert empty.change is None
    assert store.classes() == {1: "", 2: "", 3: "", 4: ""}
