"""What the maps show of a nucleus, and how likely that makes it one."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.models.cells.probability import EVIDENCE, ProbabilityCalibration, evidence


def test_evidence_is_what_a_hand_would_work_out():
    labels = np.zeros((12, 20), np.int32)
    labels[2:7, 2:7] = 1  # 25 px, of which 16 at the outline
    labels[3:5, 12:16] = 3  # 8 px, all of them at the outline; there is no second one
    maps = np.zeros((3, 12, 20), np.float32)
    maps[0, 2:7, 2:7] = 0.9
    maps[0, 2, 2:7] = 0.5  # 5 of 25 undecided
    maps[1, 4, 4] = 0.8
    maps[2, 2:7, 2] = 1.0  # 5 of 16 pixels of the outline
    maps[0, 3:5, 12:16] = 0.7
    seen = dict(zip(EVIDENCE, evidence(maps, labels).T, strict=True))
    assert seen["foreground"][[0, 2]] == pytest.approx([(20 * 0.9 + 5 * 0.5) / 25, 0.7])
    assert seen["undecided"][[0, 2]] == pytest.approx([0.2, 1])
    assert seen["distance"][[0, 2]] == pytest.approx([0.8, 0])
    assert seen["boundary"][[0, 2]] == pytest.approx([5 / 16, 0])
    assert seen["size"][[0, 2]] == pytest.approx(np.log([25, 8]))
    assert all(np.isnan(column[1]) for column in seen.values())


def test_no_nucleus_is_no_row():
    assert evidence(np.zeros((3, 4, 4)), np.zeros((4, 4), np.int32)).shape == (0, len(EVIDENCE))


def test_the_probability_is_logistic_and_stays_unknown():
    calibration = ProbabilityCalibration(-1.0, (2.0, 0.0, 0.0, 0.0, 0.5))
    seen = np.array([[0.5, 9, 9, 9, 0], [1.0, 0, 0, 0, 4], [np.nan] * 5])
    found = calibration.probability(seen)
    assert found[:2] == pytest.approx([0.5, 1 / (1 + np.exp(-3))])
    assert np.isnan(found[2])
