"""Committed objects get other masks, are cut and reshaped: one edit each, neighbours untouched."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask
from histoprompt.pipelines.objects.correct import LIMIT_PX, mask_of, replace_object, split_along
from histoprompt.pipelines.objects.reshape import ReshapeParams, reshape

SHAPE = (200, 240)


@pytest.fixture
def store(tmp_path):
    with LabelStore.open(tmp_path / "store", SHAPE, "slide", chunk=64) as opened:
        yield opened


def disc(centre: tuple[int, int], radius: float) -> np.ndarray:
    rr, cc = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (rr - centre[0]) ** 2 + (cc - centre[1]) ** 2 <= radius**2


def mask(array: np.ndarray) -> Mask:
    return Mask(array, Frame.of_array(array)).cropped()


def put(store: LabelStore, array: np.ndarray, class_name: str = "") -> int:
    found = store.commit(mask(array))
    if class_name:
        store.set_class([found], class_name)
    return found


def whole(store: LabelStore) -> np.ndarray:
    return store.read(store.box)


def edits(store: LabelStore) -> int:
    return len(store.history())


# -- another mask -------------------------------------------------------------------------------


def test_an_object_gets_another_mask_and_keeps_id_and_class(store):
    first = put(store, disc((60, 60), 15), "tumour")
    other = put(store, disc((60, 100), 15))
    before, count = whole(store), edits(store)
    change = replace_object(store, first, mask(disc((66, 60), 18)))
    assert change is not None
    assert edits(store) == count + 1
    assert np.array_equal(whole(store) == first, disc((66, 60), 18) & ~disc((60, 100), 15))
    assert np.array_equal(whole(store) == other, before == other)
    assert store.class_of(first) == "tumour"
    store.undo()
    assert np.array_equal(whole(store), before)
    assert store.class_of(first) == "tumour"
    store.redo()
    assert store.area_of(first) == (whole(store) == first).sum()


def test_the_overlap_rule_decides_who_has_a_pixel(store):
    first, other = put(store, disc((60, 60), 15)), put(store, disc((60, 100), 15))
    wide = mask(disc((60, 75), 30))
    replace_object(store, first, wide, "keep")
    assert store.area_of(other) == disc((60, 100), 15).sum()
    replace_object(store, first, wide, "overwrite")
    assert store.area_of(first) == disc((60, 75), 30).sum()


def test_no_object_is_lost_by_another_mask(store):
    first, other = put(store, disc((60, 60), 15)), put(store, disc((60, 100), 15))
    before = whole(store)
    none = Mask(np.zeros((5, 5), bool), Frame(Box(0, 0, 5, 5), (5, 5)))
    for new, words in ((none, "is empty"), (mask(disc((60, 100), 9)), "Other objects have all")):
        with pytest.raises(LabelStoreError, match=words):
            replace_object(store, first, new)
    with pytest.raises(LabelStoreError, match="no object 99"):
        replace_object(store, 99, mask(disc((60, 60), 5)))
    assert np.array_equal(whole(store), before)
    assert replace_object(store, other, mask_of(store, other)) is None


def test_a_mask_of_an_object_that_is_too_large_is_refused(tmp_path):
    side = int(np.sqrt(LIMIT_PX)) + 2
    with LabelStore.open(tmp_path / "large", (side, side), "slide") as store:
        for corner in (0, side - 1):
            spot = Mask(
                np.ones((1, 1), bool), Frame(Box(corner, corner, corner + 1, corner + 1), (1, 1))
            )
            store.commit(spot, id=1)
        with pytest.raises(LabelStoreError, match=f"{side} x {side} pixels"):
            mask_of(store, 1)
        with pytest.raises(LabelStoreError, match="Paint or erase"):
            reshape(store, [1], ReshapeParams("smooth", 1), None)


# -- forms --------------------------------------------------------------------------------------


def test_microns_become_pixels_where_their_size_is_known(store):
    first = put(store, disc((100, 100), 20))
    reshape(store, [first], ReshapeParams("expand", 2.0), 0.5)
    assert abs(store.area_of(first) - int(disc((100, 100), 24).sum())) < 30
    wide = int(store.box_of(first).width)
    assert wide == 49
    reshape(store, [first], ReshapeParams("shrink", 4.0), None)
    assert int(store.box_of(first).width) == 41


def test_neighbours_keep_their_pixels_and_the_slide_its_edge(store):
    first, second = put(store, disc((8, 60), 12)), put(store, disc((8, 90), 12))
    before = whole(store)
    reshape(store, [first], ReshapeParams("expand", 20.0), None)
    assert np.array_equal(whole(store) == second, before == second)
    assert store.area_of(first) > (before == first).sum()
    assert len(store.ids()) == 2


def test_objects_that_grow_together_share_what_lies_between(store):
    first, second = put(store, disc((100, 60), 10)), put(store, disc((100, 100), 10))
    count = edits(store)
    reshape(store, [second, first], ReshapeParams("expand", 15.0), None)
    assert edits(store) == count + 1
    row = whole(store)[100]
    assert (row[60:81] == first).all()
    assert (row[81:101] == second).all()
    left, right = store.area_of(first), store.area_of(second)
    assert abs(left - right) < 40
    store.undo()
    assert store.area_of(first) == disc((100, 60), 10).sum()


def test_shrinking_to_nothing_is_refused_for_all_with_the_numbers(store):
    first, small = put(store, disc((60, 60), 20)), put(store, disc((120, 60), 3))
    before, count = whole(store), edits(store)
    told = rf"Object {small} is 0.791 µm deep.*by 2 µm"  # 3, 1 pixels from its middle to outside
    with pytest.raises(LabelStoreError, match=told) as caught:
        reshape(store, [first, small], ReshapeParams("shrink", 2.0), 0.25)
    assert "Nothing was changed" in str(caught.value)
    assert np.array_equal(whole(store), before)
    assert edits(store) == count


def test_holes_are_filled_but_not_what_lies_in_them(store):
    ring = put(store, disc((100, 100), 30) & ~disc((100, 100), 15), "gland")
    inner = put(store, disc((100, 100), 5))
    reshape(store, [ring], ReshapeParams("fill holes"), 0.25)
    assert store.area_of(ring) == disc((100, 100), 30).sum() - disc((100, 100), 5).sum()
    assert store.area_of(inner) == disc((100, 100), 5).sum()
    assert store.class_of(ring) == "gland"
    assert reshape(store, [ring], ReshapeParams("fill holes"), 0.25) is None


def test_smoothing_keeps_the_area(store):
    rough = disc((100, 100), 25)
    rough[99:102, 125:140] = True
    first = put(store, rough)
    reshape(store, [first], ReshapeParams("smooth", 3.0), None)
    assert abs(store.area_of(first) - int(rough.sum())) < 20
    assert not (whole(store)[:, 135:] == first).any()


# -- cuts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        [(60.0, 30.0), (60.0, 90.0)],
        [(30.0, 30.0), (90.0, 90.0)],
        [(30.4, 71.2), (95.7, 48.9)],
        [(30.0, 60.0), (60.0, 64.0), (90.0, 60.0)],
    ],
)
def test_a_line_makes_two_of_one(store, line):
    first = put(store, disc((60, 60), 20), "tumour")
    before, count = whole(store), edits(store)
    ((kept, new),), change = split_along(store, np.array(line))
    assert store.origin_of(new).info == {"model": "by hand", "prompts": ["line"]}
    assert kept == first
    assert change is not None
    assert edits(store) == count + 1
    labels = whole(store)
    assert np.array_equal(labels > 0, before > 0), "no pixel is lost"
    assert abs(store.area_of(kept) - store.area_of(new)) < 0.35 * (before > 0).sum()
    assert store.class_of(new) == "tumour"
    store.undo()
    assert np.array_equal(whole(store), before)


def test_a_line_cuts_all_it_crosses_and_nothing_it_only_enters(store):
    first, second, third = (put(store, disc((60, c), 15)) for c in (40, 90, 140))
    pieces, _ = split_along(store, np.array([[60.0, 10.0], [60.0, 140.0]]))
    assert [ids[0] for ids in pieces] == [first, second]
    assert store.area_of(third) == disc((60, 140), 15).sum()
    assert store.count == 5


def test_a_line_that_cuts_nothing_says_so(store):
    first = put(store, disc((60, 60), 20))
    count = edits(store)
    with pytest.raises(LabelStoreError, match=f"nothing in two of object {first}"):
        split_along(store, np.array([[60.0, 20.0], [60.0, 60.0]]))
    with pytest.raises(LabelStoreError, match="right through"):
        split_along(store, np.array([[150.0, 20.0], [160.0, 60.0]]))
    with pytest.raises(LabelStoreError, match="beyond the slide"):
        split_along(store, np.array([[-50.0, 20.0], [-20.0, 60.0]]))
    assert edits(store) == count
