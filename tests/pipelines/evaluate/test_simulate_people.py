"""Made-up people stay on the object."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as ndi

from histoprompt.pipelines.evaluate import simulate


@pytest.fixture
def region():
    rows, cols = np.mgrid[:64, :64]
    return (rows - 30) ** 2 + ((cols - 28) / 1.5) ** 2 < 12**2


def shapes(seed):
    rng = np.random.default_rng(seed)
    out = np.zeros((48, 48), bool)
    r, c = rng.integers(4, 40, 2)
    out[r : r + rng.integers(1, 12), c : c + rng.integers(1, 12)] = True
    return out, rng


@given(st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_clicks_and_scribbles_lie_in_the_region(seed):
    region, rng = shapes(seed)
    assert region[tuple(simulate.click(region, rng))]
    drawn = simulate.scribble(region, rng)
    assert drawn.any()
    assert not (drawn & ~region).any()


def test_the_centre_click_is_the_deepest_pixel(region):
    assert tuple(simulate.centre_click(region)) in {(30, c) for c in range(20, 37)}


def test_the_border_click_is_near_the_outline(region):
    rng = np.random.default_rng(0)
    inner = ndi.binary_erosion(region, iterations=8)
    assert not any(inner[tuple(simulate.border_click(region, rng))] for _ in range(20))


def test_a_box_follows_its_object(region):
    rng = np.random.default_rng(0)
    r0, c0, r1, c1 = simulate.jittered_box(region, rng, 0.0)
    rows, cols = np.nonzero(region)
    assert (r0, c0, r1, c1) == (rows.min(), cols.min(), rows.max() + 1, cols.max() + 1)
