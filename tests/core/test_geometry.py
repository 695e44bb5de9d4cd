"""Boxes and frames: the one convention, checked by properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box, Frame, union_of

ints = st.integers(-1000, 1000)
sizes = st.integers(1, 500)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    r, c = draw(ints), draw(ints)
    return Box(r, c, r + draw(sizes), c + draw(sizes))


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    return Frame(draw(boxes()), (draw(sizes), draw(sizes)))


@pytest.mark.parametrize(
    "bad", [(0, 0, 0, 5), (3, 0, 2, 5), (0, 0, 5, math.nan), (0, 0, math.inf, 1)]
)
def test_an_empty_or_unfinished_box_is_refused_with_its_numbers(bad):
    with pytest.raises(RegionError, match="Box"):
        Box(*bad)


def test_a_box_of_pixels_indexes_exactly_its_pixels():
    array = np.arange(100).reshape(10, 10)
    assert array[Box(2, 3, 4, 6).slices()].tolist() == [[23, 24, 25], [33, 34, 35]]
    assert array[Box(12, 13, 14, 16).slices(origin=(10, 10))].tolist() == [
        [23, 24, 25],
        [33, 34, 35],
    ]


def test_touching_boxes_share_no_point():
    left, right = Box(0, 0, 4, 4), Box(0, 4, 4, 8)
    for col in (3.0, 3.49, 3.5, 3.51, 4.0):
        assert left.contains(1, col) + right.contains(1, col) == 1


@given(boxes(), boxes())
def test_intersection_and_union_bracket_both(a, b):
    union = a.union(b)
    assert union.covers(a)
    assert union.covers(b)
    assert union == union_of([b, a])
    common = a.intersection(b)
    if common is not None:
        assert a.covers(common)
        assert b.covers(common)
        assert common == b.intersection(a)


@given(boxes(), boxes())
def test_shift_inside_lands_inside_and_keeps_size_where_it_fits(box, outer):
    moved = box.shift_inside(outer)
    assert outer.covers(moved)
    assert moved.height == min(box.height, outer.height)
    assert moved.width == min(box.width, outer.width)


@given(st.integers(0, 30), st.integers(0, 30), sizes, sizes)
def test_of_mask_finds_the_true_extent(r, c, h, w):
    h, w = min(h, 20), min(w, 20)
    mask = np.zeros((60, 60), bool)
    mask[r : r + h, c : c + w] = True
    assert Box.of_mask(mask) == Box(r, c, r + h, c + w)


def test_of_mask_of_nothing_is_none():
    assert Box.of_mask(np.zeros((3, 3), bool)) is None


@given(frames(), st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=1))
def test_points_survive_the_way_to_the_slide_and_back(frame, points):
    there = frame.to_slide(points)
    assert np.allclose(frame.to_array(there), points, atol=1e-6)


@given(frames(), boxes())
def test_boxes_survive_the_way_to_the_array_and_back(frame, box):
    back = frame.box_to_slide(frame.box_to_array(box))
    assert np.allclose(tuple(back), tuple(box), atol=1e-6)


@given(frames())
def test_the_frame_of_a_box_is_its_whole_array(frame):
    whole = frame.box_to_array(frame.box)
    assert np.allclose(tuple(whole), (0, 0, *frame.shape), atol=1e-9)


@given(boxes(), st.integers(1, 8))
def test_pixel_centres_average_under_downsampling(box, factor):
    """A coarse pixel's centre is the mean of the centres of the fine pixels it covers."""
    big = Box(box.r0, box.c0, box.r0 + 4 * factor, box.c0 + 4 * factor)
    frame = Frame(big, (4, 4))
    corner = np.array([big.r0, big.c0])
    fine = np.stack(np.mgrid[:factor, :factor], axis=-1).reshape(-1, 2) + corner
    assert np.allclose(frame.to_slide([[0, 0]])[0], fine.mean(axis=0))


def test_a_level0_frame_maps_array_index_to_slide_pixel():
    frame = Frame.of_array(np.zeros((5, 7)), origin=(100, 200))
    assert frame.to_slide([[0, 0], [4, 6]]).tolist() == [[100, 200], [104, 206]]
    assert frame.scale == (1, 1)


def test_a_frame_without_pixels_is_refused():
    with pytest.raises(RegionError, match="no pixels"):
        Frame(Box(0, 0, 1, 1), (0, 3))


@given(st.floats(-100, 100), st.floats(-100, 100), st.floats(0.1, 50))
def test_to_pixels_holds_the_box(r, c, side):
    box = Box(r, c, r + side, c + side)
    pixels = box.to_pixels()
    assert pixels.pad(1e-6).covers(box)
    assert all(float(v).is_integer() for v in pixels)
    assert pixels.height < side + 2


@given(ints, ints, sizes)
def test_around_is_centred(r, c, side):
    assert Box.around(r, c, side).centre == (r, c)
