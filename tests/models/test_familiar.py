"""A field like those that were learnt from is told from one that is not."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.models.cells.familiar import Familiar, appearance


@pytest.fixture(scope="module")
def learnt():
    """Fields that vary much along one direction and little across it."""
    rng = np.random.default_rng(0)
    along, across = rng.normal(0, 10, 1000), rng.normal(0, 1, (1000, 3))
    looks = across + along[:, None] * np.array([1, 1, 0])
    return (looks + np.array([5, -3, 40])).astype(np.float32)


def test_one_in_a_hundred_of_the_fields_themselves_is_beyond_the_bound(learnt):
    found = Familiar.of(learnt, slack=1).strangeness(learnt)
    assert (found > 1).mean() == pytest.approx(0.01, abs=0.002)


def test_far_along_what_varies_is_usual_and_across_it_is_not(learnt):
    familiar = Familiar.of(learnt)
    usual, strange = np.array([[5 + 15, -3 + 15, 40], [5 + 15, -3 - 15, 40]], np.float32)
    assert familiar.strangeness(usual[None])[0] < 1 < familiar.strangeness(strange[None])[0]


def test_units_of_what_is_measured_do_not_matter(learnt):
    scale = np.array([1, 1000, 0.001], np.float32)
    first = Familiar.of(learnt).strangeness(learnt)
    assert Familiar.of(learnt * scale).strangeness(learnt * scale) == pytest.approx(first, rel=0.01)


def test_an_appearance_holds_features_stains_and_sharpness():
    features = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    flat = np.full((48, 64, 3), (100, 200, 255), np.uint8)
    rough = flat.copy()
    rough[::2] = 20
    even, uneven = appearance(features, flat), appearance(features, rough)
    assert even.shape == (2 + 7,)
    assert even[:2] == pytest.approx([5.5, 17.5])
    assert even[2:5] == pytest.approx(-np.log10(np.array([101, 201, 256]) / 256), abs=1e-5)
    assert even[5:8] == pytest.approx(0, abs=1e-5)
    assert uneven[8] > even[8] + 3


def test_fields_that_are_all_alike_leave_finite_numbers():
    same = Familiar.of(np.ones((3, 5), np.float32))
    assert np.isfinite(same.directions).all()
    assert np.isfinite(same.strangeness(np.zeros((1, 5), np.float32))).all()
