"""From maps to nuclei: seeds by prominence, holes filled, small and doubtful things left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage as ndi

from histoprompt.models.cells import instances
from histoprompt.models.cells.instances import DecodeParams, decode

PLAIN = DecodeParams(boundary=0, area=1, certainty=0)


def maps_of(depth, front=None):
    """Maps with a depth, in the foreground wherever it is above zero."""
    front = (depth > 0).astype(float) if front is None else front
    return np.stack([front, depth, np.zeros_like(depth)]).astype(np.float32)


def hills(*peaks, shape=(64, 96), width=14):
    """The highest of round hills at (row, col, height)."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    each = [h - np.hypot(rows - r, cols - c) / width for r, c, h in peaks]
    return np.clip(np.max(each, axis=0), 0, None)


def test_two_hills_are_two_nuclei_and_share_the_border():
    found = decode(maps_of(hills((30, 30, 1), (30, 52, 0.9))), PLAIN)
    assert found.max() == 2
    assert found[30, 30] != found[30, 52]
    assert (found > 0).sum() == (hills((30, 30, 1), (30, 52, 0.9)) > 0).sum()


@pytest.mark.parametrize(("least", "count"), [(0.1, 2), (0.5, 1)])
def test_a_slight_peak_is_no_nucleus_of_its_own(least, count):
    # the pass between both lies 0.45 below the lower peak, a little less once smoothed
    depth = hills((30, 30, 1), (30, 50, 0.9), width=20)
    assert decode(maps_of(depth), replace(PLAIN, prominence=least)).max() == count


def test_a_cut_through_one_nucleus_is_closed_where_a_neck_between_two_is_not():
    """The same two peaks with the same pass, in one oval and in two discs that touch."""
    rows, cols = np.mgrid[:64, :96]
    depth = hills((32, 38, 0.95), (32, 58, 0.9), width=90)
    oval = ((cols - 48) / 24) ** 2 + ((rows - 32) / 12) ** 2 < 1
    discs = np.minimum(np.hypot(rows - 32, cols - 36), np.hypot(rows - 32, cols - 60)) < 12.5
    loose = replace(PLAIN, prominence=0.07, smooth=0.5)
    for front, count in ((oval, 1), (discs, 2)):
        assert decode(maps_of(depth, front.astype(float)), loose).max() == count
        free = decode(maps_of(depth, front.astype(float)), replace(loose, contact=0))
        assert free.max() == 2


def test_what_is_nowhere_high_enough_is_no_nucleus():
    depth = hills((30, 20, 1), (30, 70, 0.2))
    found = decode(maps_of(depth), PLAIN)
    assert found.max() == 1
    assert not found[:, 60:].any()


def test_a_hole_belongs_to_the_nucleus_and_a_bay_does_not():
    depth = hills((30, 40, 1.2))
    front = (depth > 0).astype(float)
    front[26:30, 36:40] = 0
    filled = decode(maps_of(depth, front), PLAIN)
    assert (filled[26:30, 36:40] == 1).all()
    front[:30, 38] = 0
    assert not decode(maps_of(depth, front), PLAIN)[:28, 38].any()


def test_small_and_doubtful_nuclei_are_left_out():
    depth = hills(
        (
            20,
            20,
            0.5,
        ),
        (30, 70, 1),
    )
    front = np.where(np.arange(96) < 45, 0.55, 1) * (depth > 0)
    assert decode(maps_of(depth, front), replace(PLAIN, certainty=0.6)).max() == 1
    assert decode(maps_of(depth), replace(PLAIN, area=400)).max() == 1
    assert decode(maps_of(depth), PLAIN).max() == 2


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=14)))
def test_holes_are_those_of_scipy(mask):
    np.testing.assert_array_equal(instances._filled(mask), ndi.binary_fill_holes(mask))


@given(st.integers(0, 2**32 - 1), st.sampled_from([(40, 52), (41, 51)]))
def test_any_maps_give_connected_numbers_within_the_foreground(seed, shape):
    rng = np.random.default_rng(seed)
    noise = ndi.gaussian_filter(rng.normal(size=(3, *shape)), (0, 3, 3))
    maps = (1 / (1 + np.exp(-20 * noise))).astype(np.float32)
    found = decode(maps, DecodeParams(area=5))
    assert found.shape == shape
    names = np.unique(found[found > 0])
    assert names.tolist() == list(range(1, len(names) + 1))
    assert not found[~ndi.binary_fill_holes(maps[0] > 0.5)].any()


def test_nothing_is_found_in_nothing():
    assert not decode(np.zeros((3, 16, 20), np.float32)).any()
    assert decode(np.ones((3, 16, 20), np.float32)).shape == (16, 20)


def test_it_can_be_ended_between_its_parts():
    class EnoughError(Exception):
        pass

    maps = maps_of(hills((30, 30, 1), (30, 52, 0.9)))
    calls: list[int] = []

    def third() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise EnoughError

    with pytest.raises(EnoughError):
        decode(maps, PLAIN, third)
    told: list[int] = []
    assert np.array_equal(decode(maps, PLAIN, lambda: told.append(1)), decode(maps, PLAIN))
    assert len(told) >= 6


def test_settings_of_older_files_are_read():
    found = DecodeParams.stated({"rim": 0.25, "seed": 0.2, "unknown": 3.0})
    assert found == DecodeParams(boundary=0.25, seed=0.2)
