"""Masks on the slide."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask

BOUNDS = Box(0, 0, 200, 200)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 9), st.integers(1, 9))
def test_a_level0_mask_stays_where_it_is(r, c, h, w):
    array = np.zeros((50, 50), bool)
    array[r : r + h, c : c + w] = True
    mask = Mask(array, Frame.of_array(array, (30, 60)), 0.5).at_level0(BOUNDS)
    assert mask.frame.box == Box(30 + r, 60 + c, 30 + min(r + h, 50), 60 + min(c + w, 50))
    assert mask.array.all()
    assert mask.score == 0.5


@given(st.integers(2, 5))
def test_a_coarse_mask_covers_whole_pixels(factor):
    array = np.zeros((10, 10), bool)
    array[2, 3] = True
    frame = Frame(Box(0, 0, 10 * factor, 10 * factor), (10, 10))
    mask = Mask(array, frame).at_level0(BOUNDS)
    assert mask.frame.box == Box(2 * factor, 3 * factor, 3 * factor, 4 * factor)
    assert mask.array.sum() == factor * factor


@given(st.floats(0.3, 4.0), st.integers(3, 12))
def test_area_follows_the_scale(scale, radius):
    size = 40
    rr, cc = np.mgrid[:size, :size]
    array = (rr - 20) ** 2 + (cc - 20) ** 2 <= radius**2
    frame = Frame(Box(10, 10, 10 + size * scale, 10 + size * scale), (size, size))
    mask = Mask(array, frame).at_level0(BOUNDS)
    expected = array.sum() * scale**2
    assert abs(mask.array.sum() - expected) < 4 * radius * scale + 8


def test_what_lies_off_the_slide_is_cut():
    array = np.ones((10, 10), bool)
    mask = Mask(array, Frame.of_array(array, (195, -5))).at_level0(BOUNDS)
    assert mask.frame.box == Box(195, 0, 200, 5)


def test_an_empty_mask_stays_empty():
    mask = Mask(np.zeros((5, 5), bool), Frame.of_array(np.zeros((5, 5)))).at_level0(BOUNDS)
    assert mask.empty
