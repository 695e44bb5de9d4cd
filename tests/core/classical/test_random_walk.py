"""Random walker with priors."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.core.classical.random_walk import spread


def seeds(shape, inside, outside):
    belief, trust = np.full(shape, 0.5), np.zeros(shape)
    for place, value in ((inside, 1.0), (outside, 0.0)):
        belief[place], trust[place] = value, 50.0
    return belief, trust


def test_two_seeds_meet_at_the_edge_of_the_image_not_half_way():
    image = np.zeros((21, 60), np.float32)
    image[:, 40:] = 1.0
    belief, trust = seeds(image.shape, (10, 2), (10, 57))
    found = spread(image, belief, trust) > 0.5
    assert (found == (image == 0)).mean() > 0.99


def test_belief_without_doubt_is_kept():
    image = np.random.default_rng(0).random((15, 15)).astype(np.float32)
    belief = (image > 0.5).astype(float)
    found = spread(image, belief, np.full(image.shape, 1e6))
    assert found == pytest.approx(belief, abs=1e-2)


def test_a_flat_image_spreads_evenly_and_stays_in_bounds():
    belief, trust = seeds((11, 11), (5, 0), (5, 10))
    found = spread(np.zeros((11, 11), np.float32), belief, trust)
    assert found.min() >= 0
    assert found.max() <= 1
    assert found[:, :5].min() > 0.5 > found[:, 6:].max()
    assert found[5, 5] == pytest.approx(0.5, abs=0.05)
