"""Outlines enclose exactly the pixels they came from."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histoprompt.core.geometry import Box
from histoprompt.core.labels import contours
from histoprompt.core.labels.contours import Outline, bounds, fill, outlines, outlines_of_labels

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))


def as_shapely(found: list[Outline]) -> shapely.MultiPolygon:
    return shapely.MultiPolygon([(o.exterior, list(o.holes)) for o in found])


@given(masks, st.tuples(st.integers(-5, 50), st.integers(-5, 50)))
def test_a_mask_comes_back_from_its_outlines(mask, origin):
    found = outlines(mask, origin)
    box = Box.of_shape(mask.shape).shift(*origin)
    np.testing.assert_array_equal(fill(found, box), mask)


@given(masks)
def test_outlines_are_valid_polygons_of_the_same_area(mask):
    shape = as_shapely(outlines(mask))
    assert shapely.is_valid_reason(shape) == "Valid Geometry"
    assert shape.area == mask.sum()


@given(masks, st.integers(1, 5))
def test_reading_by_blocks_changes_nothing(mask, block):
    whole = outlines(mask)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contours, "_BLOCK", block)
        by_blocks = outlines(mask)
    assert len(whole) == len(by_blocks)
    assert as_shapely(whole).equals(as_shapely(by_blocks))


@given(masks)
def test_there_is_an_outline_for_each_part_connected_by_edges(mask):
    from scipy.ndimage import label

    assert len(outlines(mask)) == label(mask)[1]


@given(masks, st.integers(0, 11), st.integers(0, 11), st.integers(1, 9), st.integers(1, 9))
def test_filling_a_window_is_a_window_of_the_filled(mask, r, c, h, w):
    around = np.pad(mask, ((0, 30), (0, 30)))
    np.testing.assert_array_equal(
        fill(outlines(mask), Box(r, c, r + h, c + w)), around[r : r + h, c : c + w]
    )


def test_one_pixel_is_a_square_around_its_centre_clockwise_on_screen():
    (found,) = outlines(np.ones((1, 1), bool), (3, 7))
    assert found.exterior.tolist() == [[2.5, 6.5], [2.5, 7.5], [3.5, 7.5], [3.5, 6.5]]


def test_straight_edges_have_no_points_between_corners():
    (found,) = outlines(np.ones((40, 50), bool))
    assert len(found.exterior) == 4


def test_a_hole_belongs_to_the_outline_around_it_and_not_to_its_neighbour():
    mask = np.ones((9, 20), bool)
    mask[:, 10] = False
    mask[1:8, 12:18] = False  # a hole in the right part ...
    mask[3:6, 14:16] = True  # ... with an island that has a hole
    mask[4, 14] = False
    found = {o.exterior.min(axis=0)[1]: o for o in outlines(mask)}
    assert [len(found[k].holes) for k in (-0.5, 10.5, 13.5)] == [0, 1, 0]  # the notch is no hole


def test_two_pixels_that_touch_at_a_corner_are_two_parts():
    assert len(outlines(np.eye(2, dtype=bool))) == 2


def test_a_ring_closed_at_a_corner_only_has_no_hole_and_one_closed_by_edges_has():
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    assert [len(o.holes) for o in outlines(ring)] == [1]
    ring[0, 0] = False  # the hole now meets the outside at a corner
    (found,) = outlines(ring)
    assert [len(h) for h in found.holes] == [4]


@given(
    hnp.arrays(
        np.uint32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.sampled_from([0, 1, 2, 7, 2**31 + 5]),
    ),
    st.tuples(st.integers(-5, 50), st.integers(-5, 50)),
)
def test_all_objects_at_once_have_the_outlines_of_each(labels, origin):
    found = outlines_of_labels(labels, origin)
    assert list(found) == [v for v in np.unique(labels) if v]
    for label, many in found.items():
        one = outlines(labels == label, origin)
        assert [o.exterior.tolist() for o in many] == [o.exterior.tolist() for o in one]
        assert [[h.tolist() for h in o.holes] for o in many] == [
            [h.tolist() for h in o.holes] for o in one
        ]


def test_an_empty_mask_has_no_outline():
    assert outlines(np.zeros((4, 4), bool)) == []
    assert outlines_of_labels(np.zeros((4, 4), int)) == {}
    assert not fill([], Box(0, 0, 3, 3)).any()


def test_pixels_are_inside_a_slanted_polygon_if_their_centre_is():
    triangle = Outline(np.array([[-0.5, -0.25], [9.9, 10.15], [9.9, -0.25]]))
    expected = np.tril(np.ones((10, 10), bool))
    np.testing.assert_array_equal(fill([triangle], Box(0, 0, 10, 10)), expected)
    assert bounds([triangle]) == Box(0, 0, 10, 11)


@given(masks.filter(np.any))
def test_bounds_are_those_of_the_mask(mask):
    assert bounds(outlines(mask)) == Box.of_mask(mask)
