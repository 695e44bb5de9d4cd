"""Masks composed to one label image."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask
from histoprompt.pipelines.prompts.compose import BLOCK, ComposedLabels

SIDE = 2 * BLOCK + 100


def _rectangle(r: int, c: int, h: int, w: int) -> Mask:
    array = np.ones((h, w), bool)
    return Mask(array, Frame.of_array(array, (r, c)))


masks = st.builds(
    _rectangle,
    st.integers(-50, SIDE),
    st.integers(-50, SIDE),
    st.integers(1, 200),
    st.integers(1, 200),
)


def _brute(region: Box, objects: list[tuple[int, Mask]]) -> np.ndarray:
    """Paint everything into one array, the largest first."""
    out = np.zeros((SIDE + 300, SIDE + 300), np.uint32)
    for value, mask in sorted(objects, key=lambda o: (-o[1].array.sum(), o[0])):
        out[mask.frame.box.slices((-60, -60))] = value
    return out[region.slices((-60, -60))]


@given(st.lists(masks, max_size=8), st.integers(0, 90), st.integers(0, 90))
def test_equal_to_painting_one_array(found, r0, c0):
    region = Box(r0, c0, SIDE, SIDE)
    objects = [(i + 1, m) for i, m in enumerate(found)]
    labels = ComposedLabels(region, objects)
    expected = _brute(region, objects)
    assert np.array_equal(labels.read(region), expected)
    part = Box(100, BLOCK - 20, BLOCK + 30, BLOCK + 40)
    assert np.array_equal(labels.read(part), expected[part.slices(labels.origin)])


@given(st.lists(masks, max_size=6))
def test_filled_boxes_hold_every_labelled_pixel(found):
    labels = ComposedLabels(Box(0, 0, SIDE, SIDE), list(enumerate(found, 1)))
    whole = labels.read(Box.of_shape(labels.shape))
    for box in labels.filled_boxes():
        assert whole[box.slices()].any() or labels.ids
        whole[box.slices()] = 0
    assert not whole.any()


def test_order_of_objects_does_not_matter():
    objects = [(1, _rectangle(0, 0, 50, 50)), (2, _rectangle(10, 10, 5, 5))]
    region = Box(0, 0, 60, 60)
    one = ComposedLabels(region, objects).read(region)
    other = ComposedLabels(region, objects[::-1]).read(region)
    assert np.array_equal(one, other)
    assert one[12, 12] == 2
