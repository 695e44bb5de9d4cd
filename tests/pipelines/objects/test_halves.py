"""Two clicks make two of one object, whatever a model makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Frame
from histoprompt.core.results import Mask
from histoprompt.models import registry
from histoprompt.pipelines.objects.halves import object_under, prompts_of_halves, split_halves

SHAPE = (120, 200)
LEFT, RIGHT = (60.0, 60.0), (60.0, 100.0)


def disc(centre, radius):
    rr, cc = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (rr - centre[0]) ** 2 + (cc - centre[1]) ** 2 <= radius**2


def mask(array):
    return Mask(array, Frame.of_array(array)).cropped()


@pytest.fixture
def store(tmp_path):
    """Two discs that touch as one object, and a neighbour."""
    with LabelStore.open(tmp_path / "store", SHAPE, "slide", chunk=64) as opened:
        first = opened.commit(mask(disc(LEFT, 24) | disc(RIGHT, 22)))
        opened.set_class([first], "tumour")
        opened.commit(mask(disc((60, 150), 15)))
        yield opened


def whole(store):
    return store.read(store.box)


def test_without_a_model_an_object_parts_at_its_neck_as_one_edit(store):
    before, edits = whole(store), len(store.history())
    ids, change, used = split_halves(store, 1, (RIGHT, LEFT))
    assert (ids, used) == ([1, 3], False)
    assert change is not None
    assert len(store.history()) == edits + 1
    after = whole(store)
    assert np.array_equal(after > 0, before > 0)
    assert np.array_equal(after == 2, before == 2)
    assert (after[disc(LEFT, 16)] == 1).all(), "the larger half keeps the id"
    assert (after[disc(RIGHT, 16)] == 3).all()
    assert store.class_of(3) == "tumour"
    store.undo()
    assert np.array_equal(whole(store), before)


def test_what_a_model_tells_apart_decides_and_no_pixel_is_lost(store):
    before = whole(store)
    cols = np.mgrid[: SHAPE[0], : SHAPE[1]][1]
    answers = [mask(disc(LEFT, 40) & (cols < 71)), mask(disc(RIGHT, 60) & (cols > 74))]
    ids, _, used = split_halves(store, 1, (LEFT, RIGHT), answers, {"model": "m"})
    assert used
    after = whole(store)
    small, large = np.flatnonzero(np.bincount(after.ravel())[[1, 3]] > 0)
    assert {small, large} == {0, 1}
    parts = [after[60, 60], after[60, 100]]
    assert sorted(parts) == ids
    assert (after[(before == 1) & (cols < 71)] == parts[0]).all()
    assert (after[(before == 1) & (cols > 74)] == parts[1]).all()
    assert np.array_equal(after > 0, before > 0)
    assert store.origin_of(3).info == {"model": "m"}


def test_answers_that_do_not_tell_the_clicks_apart_are_not_used(store):
    same = mask(disc((60, 80), 60))
    _, _, used = split_halves(store, 1, (LEFT, RIGHT), [same, same])
    assert not used
    assert whole(store)[60, 60] != whole(store)[60, 100]


def test_clicks_beside_the_object_change_nothing(store):
    before = whole(store)
    for clicks, words in (
        ((LEFT, (60.0, 150.0)), "not on object 1"),
        ((LEFT, LEFT), "on one pixel"),
        ((LEFT, (5.0, 5.0)), "not on object 1"),
    ):
        with pytest.raises(LabelStoreError, match=words):
            split_halves(store, 1, clicks)
    assert np.array_equal(whole(store), before)
    assert object_under(store, (60.0, 150.0)) == 2
    assert object_under(store, (0.0, 0.0)) == object_under(store, (-9.0, 900.0)) == 0


def test_each_half_is_asked_for_with_the_other_outside():
    card = next(c for c in registry.all_cards() if "point" in c.accepts)
    first, second = prompts_of_halves((LEFT, RIGHT), card)
    assert first.prompt.points.tolist() == [list(LEFT), list(RIGHT)]
    assert first.prompt.labels.tolist() == [True, False]
    assert second.prompt.labels.tolist() == [False, True]
    assert prompts_of_halves((LEFT, RIGHT), None) == []
