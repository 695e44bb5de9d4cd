"""Filling, smoothing, growing and shrinking a mask, against what a person can count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from histoprompt.core.geometry import Box
from histoprompt.core.labels.contours import enclosed
from histoprompt.core.labels.reshape import depth, filled, grown, parted, shrunk, smoothed

EVERYWHERE = np.ones((60, 60), bool)


def disc(radius: float, centre: tuple[int, int] = (30, 30), side: int = 60) -> np.ndarray:
    rr, cc = np.mgrid[:side, :side]
    return (rr - centre[0]) ** 2 + (cc - centre[1]) ** 2 <= radius**2


def test_a_hole_is_filled_and_a_bay_is_not():
    ring = disc(12) & ~disc(5)
    assert np.array_equal(filled(ring), disc(12))
    bay = ring.copy()
    bay[30, 30:] = False
    assert np.array_equal(filled(bay), bay)
    # a gap at a corner alone does not let the outside in
    diamond = np.zeros((5, 5), bool)
    diamond[[0, 1, 1, 2], [1, 0, 2, 1]] = True
    assert filled(diamond).sum() == 5


@pytest.mark.parametrize("radius", [1, 2, 3.5])
def test_growing_adds_all_pixels_within_the_radius_and_shrinking_takes_them(radius):
    one = np.zeros((21, 21), bool)
    one[10, 10] = True
    around = grown(one, radius, np.ones_like(one))
    assert np.array_equal(around, disc(radius, (10, 10), 21))
    square = np.zeros((30, 30), bool)
    square[5:25, 5:25] = True
    inner = np.zeros_like(square)
    cut = int(np.floor(radius))
    inner[5 + cut : 25 - cut, 5 + cut : 25 - cut] = True
    assert np.array_equal(shrunk(square, radius), inner)


def test_the_edge_of_the_array_is_the_end_of_an_object():
    assert np.array_equal(shrunk(np.ones((5, 5), bool), 1), np.pad(np.ones((3, 3), bool), 1))
    assert depth(np.ones((1, 1), bool)).tolist() == [[1.0]]


def test_nothing_grows_across_what_is_not_free():
    mask = np.zeros((11, 31), bool)
    mask[3:8, 3:8] = True
    free = ~mask
    free[:, 9] = False
    out = grown(mask, 6, free)
    assert not out[:, 9:].any()
    assert out[5, 8]
    assert out[mask].all()


def test_a_free_pixel_goes_to_the_nearer_object():
    mask, rival = np.zeros((9, 20), bool), np.zeros((9, 20), bool)
    mask[4, 3], rival[4, 14] = True, True
    out = grown(mask, 50, ~(mask | rival), rival)
    assert out[4, :9].all()
    assert not out[4, 9:].any()


def test_smoothing_takes_a_spike_and_keeps_the_area():
    mask = disc(12)
    mask[29:31, 42:55] = True
    out = smoothed(mask, 2, EVERYWHERE)
    assert not out[:, 50:].any()
    assert abs(int(out.sum()) - int(mask.sum())) <= 8
    assert (out & disc(12)).sum() / (out | disc(12)).sum() > 0.9


blobs = st.builds(
    lambda seed, share: (
        ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(40, 40)), 2) > share
    ),
    st.integers(0, 2**16),
    st.floats(-0.1, 0.15),
)


@settings(max_examples=40, deadline=None)
@given(blobs, st.floats(0.5, 6), st.integers(0, 2**16))
def test_forms_keep_to_their_bounds(mask, radius, seed):
    if not mask.any():
        return
    free = np.random.default_rng(seed).random(mask.shape) < 0.8
    free &= ~mask
    out = grown(mask, radius, free)
    assert not (out & ~(mask | free)).any()
    assert out[mask].all()
    assert (ndimage.distance_transform_edt(~mask)[out] <= radius).all()
    left = shrunk(mask, radius)
    assert not (left & ~mask).any()
    assert not (grown(left, radius, EVERYWHERE[:40, :40]) & ~mask).any() if left.any() else True
    smooth = smoothed(mask, radius, free)
    assert not (smooth & ~(mask | free)).any()
    assert smooth.sum() >= 1
    again = filled(mask)
    assert np.array_equal(filled(again), again)


def test_a_lasso_that_crosses_itself_leaves_no_hole():
    square = np.array([[2.0, 2.0], [2.0, 12.0], [12.0, 12.0], [12.0, 2.0]])
    box = Box(0, 0, 20, 20)
    assert enclosed(square, box).sum() == 100
    loop = np.array([[2, 2], [2, 16], [10, 16], [10, 6], [5, 6], [5, 12], [16, 12], [16, 2]], float)
    assert enclosed(loop, box)[7, 9], "gone round twice"
    assert not enclosed(loop, box)[1].any()
    eight = np.array([[2.0, 2.0], [12.0, 12.0], [12.0, 2.0], [2.0, 12.0]])
    both = enclosed(eight, box)
    assert both[3, 7]
    assert both[11, 7]
    assert not both[7, 3]


def test_parts_of_an_object_lose_no_pixel_wherever_they_lie():
    mask = np.zeros((9, 20), bool)
    mask[1:4, 1:5] = mask[4:8, 5:9] = True  # joined by a corner
    mask[1:8, 14:18] = True  # apart
    found = parted(mask, [(2, 2), (6, 7)])
    assert ((found > 0) == mask).all()
    assert (found[1:4, 1:5] == 1).all()
    assert (found[4:8, 5:9] == 2).all()
    assert (found[1:8, 14:18] == 1).all()
