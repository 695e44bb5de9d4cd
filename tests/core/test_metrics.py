"""Agreement of masks."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.core.metrics import iou


def test_iou_by_hand():
    first, second = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    first[:2], second[1:3] = True, True
    assert iou(first, second) == pytest.approx(4 / 12)
    assert iou(first, first) == 1
    assert iou(first, ~first) == 0


def test_two_empty_masks_agree():
    empty = np.zeros((3, 3), bool)
    assert iou(empty, empty) == 1
    assert iou(empty, ~empty) == 0
