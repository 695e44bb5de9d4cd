"""Made-up people stay on the object, and their prompts are drawn as they were given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as ndi

from histoprompt.models.networks.prompt_maps import RasterPrompt, hints
from histoprompt.training import simulate


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
def test_every_first_prompt_says_where_the_object_is(seed):
    region, rng = shapes(seed)
    said = simulate.first_prompt(region, ~region, rng)
    assert any(said.inside) or said.drawn[0].any() or said.box is not None
    for (r, c), inside in zip(said.points, said.inside, strict=True):
        assert region[r, c] == inside


@pytest.mark.parametrize("inside", [True, False])
def test_corrections_fall_into_the_larger_error(region, inside):
    rng = np.random.default_rng(3)
    mask = ndi.binary_erosion(region, iterations=4)
    if not inside:
        mask = ndi.binary_dilation(region, iterations=4)
    said = RasterPrompt(np.zeros((2, 64, 64), bool))
    for _ in range(10):
        new = simulate.corrected(said, mask, region, np.ones_like(region), rng)
        drawn = new.drawn[0 if inside else 1]
        assert new.inside == (inside,) or drawn.any()
        wrong = region ^ mask
        assert all(wrong[p] for p in new.points)
        assert not (drawn & ~wrong).any()


def test_a_right_mask_needs_no_correction(region):
    said = RasterPrompt(np.zeros((2, 64, 64), bool))
    known = np.ones_like(region)
    assert simulate.corrected(said, region, region, known, np.random.default_rng(0)) is said


def test_hints_show_what_was_said():
    said = RasterPrompt(np.zeros((2, 32, 32), bool), box=(4, 6, 20, 22))
    said = said.clicked(np.array([10, 12]), inside=True).clicked(np.array([2, 30]), inside=False)
    strokes = np.zeros((32, 32), bool)
    strokes[15, 8:14] = True
    drawn = hints(said.scribbled(strokes, inside=True))
    assert drawn[0, 10, 12] == 1
    assert drawn[0, 15, 8] == 1
    assert drawn[1, 2, 30] == 1
    assert drawn[1].sum() < 25
    assert drawn[2].sum() == 16 * 16
