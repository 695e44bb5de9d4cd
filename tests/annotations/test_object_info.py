"""What an object tells of itself changes with an edit, and goes back with it."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask
from histoprompt.pipelines.objects.correct import replace_object


def block(box):
    return Mask(np.ones(box.shape, bool), Frame(box, box.shape))


@pytest.fixture
def place(tmp_path):
    return tmp_path / "store", (100, 120), "slide"


def test_provenance_is_part_of_the_edit_and_outlives_closing_and_compaction(place):
    with LabelStore.open(*place) as store:
        first = store.commit(block(Box(5, 5, 20, 20)), info={"model": "a"})
        store.set_class([first], "tumour")
        other = store.commit(block(Box(50, 50, 60, 60)), info={"model": "a"})
        edits = len(store.history())
        with store.group("both"):
            store.set_info([first], {"model": "b"})
            assert store.origin_of(first).info == {"model": "b"}, "inside the group already"
            store.delete([other])
        assert len(store.history()) == edits + 1
        assert (store.origin_of(first).op, store.class_of(first)) == ("info", "tumour")
        store.undo()
        assert store.origin_of(first).info == {"model": "a"}
        assert store.area_of(other) == 100
        store.redo()
        with pytest.raises(LabelStoreError, match="no such object"):
            store.set_info([other], {})
    with LabelStore.open(*place) as store:
        assert store.origin_of(first).info == {"model": "b"}
        store.compact(0)
    with LabelStore.open(*place, rebuild=True) as store:
        assert store.origin_of(first).info == {"model": "b"}


def test_a_refined_object_tells_of_its_refining_and_of_where_it_came_from(place):
    with LabelStore.open(*place) as store:
        first = store.commit(block(Box(5, 5, 20, 20)), info={"model": "a", "imported from": "x"})
        said = {"model": "b", "prompts": ["point"], "score": 0.9}
        for times in (1, 2):
            replace_object(store, first, block(Box(5, 5, 25, 20 + times)), info=said)
            (record,) = store.objects()
            assert record.info == {**said, "imported from": "x", "refined": times}
        assert replace_object(store, first, block(Box(5, 5, 25, 22)), info=said) is None
        store.undo()
        assert store.origin_of(first).info["refined"] == 1
        store.undo()
        assert store.origin_of(first).info == {"model": "a", "imported from": "x"}
