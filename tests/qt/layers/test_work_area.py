"""The work area: aligned, small enough, and where the user looks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.components import ViewerModel

from histoprompt._qt.layers.work_area import SIDE, area_for, scale_for, suits, view_box
from histoprompt.core.geometry import Box


@st.composite
def views(draw: st.DrawFn) -> tuple[Box, Box]:
    bounds = Box(0, 0, draw(st.integers(1, 100_000)), draw(st.integers(1, 80_000)))
    h, w = draw(st.floats(1, 90_000)), draw(st.floats(1, 90_000))
    r, c = draw(st.floats(-5000, 100_000)), draw(st.floats(-5000, 80_000))
    return Box(r, c, r + h, c + w), bounds


@given(views())
def test_the_area_is_aligned_bounded_and_shows_the_view(case):
    view, bounds = case
    area = area_for(view, bounds)
    scale = round(area.scale[0])
    assert area.scale == (scale, scale)
    assert scale & (scale - 1) == 0
    assert max(area.shape) <= SIDE
    assert area.box.r0 % scale == 0
    assert area.box.c0 % scale == 0
    assert bounds.pad(scale).covers(area.box)
    seen = view.intersection(bounds)
    if seen is not None:
        assert area.box.pad(scale).covers(seen)
        assert scale == scale_for(max(seen.height, seen.width))


@given(views())
def test_a_fresh_area_suits_its_view_unless_the_view_fills_it(case):
    view, bounds = case
    area = area_for(view, bounds)
    seen = view.intersection(bounds)
    if seen is not None and area.box.covers(seen) and max(area.shape) == SIDE:
        assert suits(area, view, bounds)


def test_a_small_slide_is_one_area():
    area = area_for(Box(0, 0, 100, 100), Box(0, 0, 1500, 900))
    assert area.box == Box(0, 0, 1500, 900)
    assert area.shape == (1500, 900)


def test_going_near_makes_a_coarse_area_unsuitable():
    bounds = Box(0, 0, 50_000, 50_000)
    far = area_for(bounds, bounds)
    assert round(far.scale[0]) == 32
    assert not suits(far, Box(0, 0, 900, 900), bounds)


@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("translate", [(0.0, 0.0), (30.0, -12.0)])
def test_the_view_box_is_in_level0_pixels_whatever_the_transform(scale, translate):
    viewer = ViewerModel()
    image = viewer.add_image(
        np.zeros((400, 600, 3), np.uint8), scale=(scale, scale), translate=translate
    )
    viewer.canvas.size = (100, 200)
    viewer.scene.camera.center = (0, *(np.array([200, 300]) * scale + translate))
    viewer.scene.camera.zoom = 1 / scale
    box = view_box(viewer, image)
    assert box.contains(200, 300)
    assert box.shape == (101, 201)
