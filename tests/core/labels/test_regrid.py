"""Labels on other pixels: nothing moves, grows or shrinks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from histoprompt.core.geometry import Box, Frame
from histoprompt.core.labels.regrid import regrid
from histoprompt.core.results import Mask


def discs(frame: Frame, centres: np.ndarray, radius: float) -> np.ndarray:
    """Discs drawn where they lie on the slide, numbered from 1."""
    rows, cols = np.indices(frame.shape)
    at = frame.to_slide(np.stack([rows.ravel(), cols.ravel()], axis=1))
    far, nearest = cKDTree(centres).query(at)
    return np.where(far <= radius, nearest + 1, 0).reshape(frame.shape).astype(np.int32)


def middles(labels: np.ndarray, frame: Frame, count: int) -> np.ndarray:
    return np.array([frame.to_slide(np.argwhere(labels == k).mean(axis=0))[0]
                     for k in range(1, count + 1)])  # fmt: skip


@pytest.mark.parametrize("per", [1 / 4, 1 / 3, 0.5, 0.7, 0.9084, 1, 1.3, 2])
@pytest.mark.parametrize("corner", [(0, 0), (100, -31)])
def test_discs_stay_where_and_as_large_as_they_are(per, corner):
    """64 discs of radius 6 at places that chance picks; a model's pixel is `per` level-0 pixels."""
    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(range(15, 240, 30), range(15, 240, 30), indexing="ij"), -1)
    centres = grid.reshape(-1, 2) + rng.uniform(-4, 4, (64, 2)) + corner
    side = round(240 / per)
    frame = Frame(Box(*corner, corner[0] + side * per, corner[1] + side * per), (side, side))
    box = frame.box.to_pixels()
    target = Frame(box, box.shape)
    labels = discs(frame, centres, 6)
    found = regrid(labels, frame, target)
    moved = middles(found, target, 64) - middles(labels, frame, 64)
    assert np.abs(moved.mean(axis=0)).max() < (0.03 if per < 1 else 0.12 * per)
    assert np.abs(moved).max() < (0.25 if per < 1 else 0.6 * per)
    before = np.bincount(labels.ravel())[1:] * per**2
    after = np.bincount(found.ravel())[1:]
    assert after.mean() / before.mean() == pytest.approx(1, abs=0.005 if per < 1 else 0.02)
    if per < 1:
        assert np.abs(after - before).max() <= 0.5


def test_an_edge_in_the_middle_of_a_pixel_moves_to_no_side():
    """A square of 5 x 5 model pixels covers 2.5 x 2.5 pixels: 6 of them, around its middle."""
    labels = np.zeros((20, 20), np.int32)
    labels[5:10, 5:10] = 1
    frame = Frame(Box(0, 0, 10, 10), (20, 20))
    found = regrid(labels, frame, Frame(Box(0, 0, 10, 10), (10, 10)))
    assert found.sum() == 6
    assert found[3:5, 3:5].all()
    at = np.argwhere(found).mean(axis=0)
    middle = 3.25  # of model pixels 5 to 9, the seventh of which covers 3.25 to 3.75 of the plane
    assert np.abs(at - middle).max() <= 0.25


def test_touching_objects_share_their_border_and_lose_nothing():
    labels = np.ones((40, 40), np.int32)
    labels[:, 21:] = 2
    frame = Frame(Box(0, 0, 20, 20), (40, 40))
    found = regrid(labels, frame, Frame(frame.box, (20, 20)))
    assert (found > 0).all()
    assert np.bincount(found.ravel()).tolist() == [0, 210, 190]


PLACES = st.tuples(st.integers(-20, 20), st.integers(-20, 20))


@given(
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30)), factor=st.integers(1, 4),
    at=PLACES, seed=st.integers(0, 99),
)  # fmt: skip
def test_finer_and_back_is_the_same(shape, factor, at, seed):
    (h, w), (row, col) = shape, at
    labels = np.random.default_rng(seed).integers(0, 4, (h, w)).astype(np.int32)
    box = Box(row, col, row + h, col + w)
    coarse, fine = Frame(box, (h, w)), Frame(box, (h * factor, w * factor))
    grown = regrid(labels, coarse, fine)
    assert np.array_equal(grown, labels.repeat(factor, 0).repeat(factor, 1))
    assert np.array_equal(regrid(grown, fine, coarse), labels)


@given(row=st.integers(-9, 9), col=st.integers(-9, 9), seed=st.integers(0, 99))
def test_a_window_shows_what_the_whole_shows(row, col, seed):
    """Whatever part of it is asked for, at the same scale."""
    labels = np.random.default_rng(seed).integers(0, 3, (12, 14)).astype(np.int32)
    frame = Frame(Box(0, 0, 12, 14), (12, 14))
    window = Box(row, col, row + 10, col + 10)
    found = regrid(labels, frame, Frame(window, (10, 10)))
    for r in range(10):
        for c in range(10):
            r0, c0 = row + r, col + c
            inside = 0 <= r0 < 12 and 0 <= c0 < 14
            assert found[r, c] == (labels[r0, c0] if inside else 0)


def test_a_mask_of_a_finer_model_is_committed_where_it_is():
    frame = Frame(Box(10, 20, 60, 70), (100, 100))
    centre = np.array([[34.7, 45.1]])
    mask = Mask(discs(frame, centre, 9) > 0, frame).at_level0(Box(0, 0, 100, 100))
    at = mask.frame.to_slide(np.argwhere(mask.array)).mean(axis=0)
    assert np.abs(at - centre).max() < 0.1
    assert mask.array.sum() == pytest.approx(np.pi * 81, rel=0.02)
