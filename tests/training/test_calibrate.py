"""Probabilities that mean what they say, on sets whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from histoprompt.models.cells.instances import DecodeParams
from histoprompt.training import calibrate
from histoprompt.training.calibrate import (
    calibration_error,
    fit_calibration,
    fit_trust,
    judged,
    reliability,
)
from histoprompt.training.data import Sample
from histoprompt.training.evaluate import Held


def test_the_error_is_the_mean_gap_between_what_is_said_and_what_is_so():
    said = np.array([0.15, 0.15, 0.95, 0.95])
    true = np.array([True, False, True, True])
    # Two bins of two: .15 said and .5 true, .95 said and 1 true.
    assert calibration_error(said, true) == pytest.approx((2 * 0.35 + 2 * 0.05) / 4)
    assert reliability(said, true) == [(0.15, 0.5, 2), (0.95, 1.0, 2)]
    assert calibration_error(np.zeros(0), np.zeros(0, bool)) == 0
    assert calibration_error(np.array([1.0]), np.array([True])) == 0


def test_a_logistic_truth_is_found_again_and_says_what_is_so():
    rng = np.random.default_rng(0)
    seen = rng.normal(0, [0.1, 0.2, 0.3, 0.1, 1], (8000, 5)).astype(np.float32)
    true = rng.random(8000) < expit(8 * seen[:, 0] + 0.8 * seen[:, 4] + 0.5)
    found = fit_calibration([(seen[:4000], true[:4000])])
    probability = found.probability(seen[4000:])
    assert calibration_error(probability, true[4000:]) < 0.03
    assert found.weights[0] == pytest.approx(8, rel=0.15)
    assert fit_calibration([(seen[:10], np.ones(10, bool))]) is None


def _sample(labels):
    image = np.zeros((*labels.shape, 3), np.uint8)
    return Sample(image, labels, np.ones(labels.shape, bool), "made")


def _discs(*centres):
    rows, cols = np.mgrid[:64, :96]
    labels = np.zeros((64, 96), np.int32)
    for value, (r, c) in enumerate(centres, start=1):
        labels[(rows - r) ** 2 + (cols - c) ** 2 <= 81] = value
    return labels


@pytest.mark.parametrize(("silver", "right"), [(False, [True, False]), (True, [True, True])])
def test_what_was_found_is_a_nucleus_as_far_as_people_said(silver, right):
    """People drew both nuclei; a machine cut the second into three, and nothing is so small."""
    found = _discs((20, 20), (40, 70))
    cols = np.arange(96)
    true = np.where(found == 2, 2 + (cols > 66) + (cols > 73), found).astype(np.int32)
    rows, cols = np.mgrid[:64, :96]
    away = np.minimum(np.hypot(rows - 20, cols - 20), np.hypot(rows - 40, cols - 70))
    depth = (1 - away / 10).clip(0)
    maps = np.stack([found > 0, depth, np.zeros_like(depth)]).astype(np.float32)
    ((seen, is_one),) = judged([[maps]], [Held("set", [_sample(true)], silver)], DecodeParams())
    assert len(seen) == 2
    assert is_one.tolist() == right


def test_whether_a_nucleus_is_one_is_told_of_it_whatever_its_number(monkeypatch):
    """Found nuclei are not numbered from the top: the second lies above the first and third."""
    found = _discs((40, 20), (15, 40), (45, 80))
    true = _discs((15, 40), (45, 80))
    monkeypatch.setattr(calibrate, "decode", lambda *_: found)
    maps = np.stack([found > 0, 0.5 * (found > 0), 0 * found]).astype(np.float32)
    ((_, is_one),) = judged([[maps]], [Held("set", [_sample(true)])], DecodeParams())
    assert is_one.tolist() == [False, True, True]


def test_a_score_is_worth_what_it_was_on_nuclei_that_are_known():
    rng = np.random.default_rng(0)
    said = rng.uniform(0, 1, (500, 2))
    true = np.stack([0.2 + 0.5 * said[:, 0], 0.4 - 0.3 * said[:, 1]], axis=1)
    (first, second) = fit_trust(said, true)
    assert first == pytest.approx((0.2, 0.5), abs=1e-3)
    # What would turn the order round is held at a slight slope, and right on average.
    assert second[1] == 0.1
    assert second[0] + 0.1 * said[:, 1].mean() == pytest.approx(true[:, 1].mean())
