"""Targets, and the way back from them to instances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage as ndi

from histoprompt.core import metrics
from histoprompt.models.cells.instances import DecodeParams, decode
from histoprompt.training.targets import instance_targets, relative_distance


def discs(*centres, radius=9, size=96):
    rows, cols = np.mgrid[:size, :size]
    out = np.zeros((size, size), np.int32)
    for value, (r, c) in enumerate(centres, start=1):
        out[((rows - r) ** 2 + (cols - c) ** 2 <= radius**2) & (out == 0)] = value
    return out


def test_depth_is_one_in_every_middle_and_low_at_outlines():
    labels = discs((20, 20), (20, 37), (60, 60))
    depth = relative_distance(labels)
    assert np.allclose(ndi.maximum(depth, labels, [1, 2, 3]), 1)
    assert depth[labels == 0].max() == 0
    assert depth[20, 29] < 0.3


def test_targets_are_foreground_depth_and_rim():
    labels = np.zeros((8, 8), np.int32)
    labels[2:6, 3:7] = 5
    front, depth, rim = instance_targets(labels)
    assert (front == (labels > 0)).all()
    assert depth[3, 4] == 1
    assert rim.sum() == 12
    assert rim[3:5, 4:6].sum() == 0
    assert np.array_equal(instance_targets(labels, depth), instance_targets(labels))


def test_perfect_maps_give_the_instances_back():
    labels = discs((20, 20), (20, 37), (60, 60), (60, 78), (80, 20))
    found = decode(instance_targets(labels))
    pair = metrics.overlaps(labels, found)
    assert metrics.f1(pair, 0.8) == 1
    assert found.max() == 5


@pytest.mark.parametrize("shape", [(96, 96), (95, 93), (33, 64)])
def test_any_shape_is_decoded(shape):
    labels = discs((16, 16))[: shape[0], : shape[1]]
    found = decode(instance_targets(labels))
    assert found.shape == shape
    assert found.dtype == np.int32
    assert (found[labels > 0] == 1).mean() > 0.95


def test_nothing_gives_nothing():
    assert decode(np.zeros((3, 32, 32), np.float32)).max() == 0


@pytest.mark.parametrize(
    ("params", "count"),
    [(DecodeParams(), 1), (DecodeParams(area=400), 0), (DecodeParams(seed=1.1), 0)],
)
def test_limits_drop_objects(params, count):
    maps = instance_targets(discs((48, 48)))
    assert len(np.unique(decode(maps, params))) - 1 == count


def test_doubtful_objects_are_dropped():
    maps = instance_targets(discs((48, 48)))
    maps[0] *= 0.55
    assert decode(maps, DecodeParams(certainty=0.6)).max() == 0
    assert decode(maps, DecodeParams(certainty=0.5)).max() == 1
