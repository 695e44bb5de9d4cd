"""Outlines drawn where they are read are the same labels as outlines painted one by one."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from histoprompt.core.geometry import Box
from histoprompt.core.labels import corner_file, outline_labels
from histoprompt.core.labels.contours import Outline, paint
from histoprompt.core.labels.outline_labels import OutlineLabels
from histoprompt.core.labels.sources import SparseLabels
from histoprompt.core.labels.table import scan
from histoprompt.core.task import Task

SHAPE = (90, 120)


def polygon(x, y, radius, sides, hole):
    shape = shapely.Point(x, y).buffer(radius, quad_segs=sides)
    return shape.difference(shapely.Point(x, y).buffer(radius * hole, quad_segs=sides))


def outline(shape):
    rings = [
        shapely.get_coordinates(r)[:-1, ::-1] - 0.5 for r in (shape.exterior, *shape.interiors)
    ]
    return Outline(rings[0], tuple(rings[1:]))


POLYGONS = st.builds(
    polygon, st.floats(-20, 140), st.floats(-20, 110), st.floats(0.3, 40), st.integers(1, 6),
    st.sampled_from([0.0, 0.5]),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(POLYGONS, st.integers(1, 2**32 - 1)), min_size=1, max_size=12), st.data())
def test_they_are_painted_in_order_whatever_box_is_read(items, data):
    drawn, painted = OutlineLabels(SHAPE), SparseLabels(SHAPE)
    for shape, label in items:
        drawn.add(np.array([shape]), np.array([label], np.uint32))
        paint(painted, [outline(shape)], label)
    np.testing.assert_array_equal(
        drawn.read(Box.of_shape(SHAPE)), painted.read(Box.of_shape(SHAPE))
    )
    r0, c0 = data.draw(st.integers(0, 80)), data.draw(st.integers(0, 110))
    box = Box(r0, c0, r0 + 10, c0 + 10)
    np.testing.assert_array_equal(drawn.read(box), painted.read(box))


def test_many_corners_and_pixels_at_once_change_nothing(monkeypatch):
    labels = OutlineLabels(SHAPE)
    shapes = [polygon(20 + i, 30 + i % 7, 12, 4, 0.0) for i in range(40)]
    labels.add(np.array(shapes), np.arange(1, 41, dtype=np.uint32))
    before = labels.read(Box.of_shape(SHAPE))
    monkeypatch.setattr(outline_labels, "_CORNERS", 50)
    monkeypatch.setattr(outline_labels, "_PIXELS", 100)
    np.testing.assert_array_equal(labels.read(Box.of_shape(SHAPE)), before)


def test_filled_boxes_hold_every_object_far_apart_on_a_large_slide():
    labels = OutlineLabels((200_000, 150_000))
    places = [(10, 20), (199_990, 149_980), (1023.5, 1023.5)]
    shapes = np.array([shapely.box(x - 5, y - 5, x + 5, y + 5) for y, x in places])
    labels.add(shapes, np.array([1, 2, 3], np.uint32))
    table = scan(labels, Task())
    assert table.ids.tolist() == [1, 2, 3]
    assert table.areas.tolist() == [100, 100, 100]
    assert len(list(labels.filled_boxes())) == 5, "four about (1023.5, 1023.5), and the far one"


def test_an_object_that_others_cover_is_told_from_one_too_small():
    labels = OutlineLabels(SHAPE)
    below, above = shapely.box(10, 10, 20, 20), shapely.box(0, 0, 50, 50)
    speck = shapely.box(60.6, 60.6, 60.9, 60.9)
    labels.add(np.array([below, above, speck]), np.array([1, 2, 3], np.uint32))
    assert labels.alone(1) == 100
    assert labels.alone(3) == 0
    assert scan(labels, Task()).ids.tolist() == [2]


def test_without_outlines_there_is_nothing():
    labels = OutlineLabels(SHAPE)
    labels.add(np.zeros(0, object), np.zeros(0, np.uint32))
    assert not labels.read(Box.of_shape(SHAPE)).any()
    assert list(labels.filled_boxes()) == []


@pytest.mark.parametrize("far", [1e9, -1e9])
def test_what_reaches_out_of_the_labels_is_cut(far):
    labels = OutlineLabels(SHAPE)
    low, high = min(far, 50.0), max(far, 50.0)
    labels.add(np.array([shapely.box(low, 10, high, 20)]), np.array([5], np.uint32))
    found = labels.read(Box.of_shape(SHAPE))
    expected = np.zeros(SHAPE, np.uint32)
    expected[10:20, slice(50, None) if far > 0 else slice(0, 50)] = 5
    np.testing.assert_array_equal(found, expected)


def test_corners_that_go_to_the_disk_come_back_the_same(monkeypatch):
    """In another order than by place, near and far ones mixed."""
    shapes = [polygon(7 * (i * 13 % 16), 6 * (i * 5 % 14), 5, 3, 0.4) for i in range(60)]
    shapes.insert(20, shapely.box(-9000, 3, 9000, 40))
    ids = np.arange(1, len(shapes) + 1, dtype=np.uint32)
    read = []
    for limit in (1 << 24, 64):
        monkeypatch.setattr(corner_file, "_IN_MEMORY", limit)
        labels = OutlineLabels(SHAPE)
        for start in range(0, len(shapes), 7):
            labels.add(np.array(shapes[start : start + 7]), ids[start : start + 7])
        read.append([labels.read(Box(r, c, r + 30, c + 40)) for r in (0, 30) for c in (0, 40)])
    np.testing.assert_array_equal(*read)
    painted = SparseLabels(SHAPE)
    for shape, label in zip(shapes, ids.tolist(), strict=True):
        paint(painted, [outline(shape)], label)
    np.testing.assert_array_equal(
        labels.read(Box.of_shape(SHAPE)), painted.read(Box.of_shape(SHAPE))
    )
