"""Shapes drawn in napari as regions of a slide; no window is needed for it."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from napari.components import ViewerModel
from napari.layers import Image, Shapes

from histoprompt._qt.layers.make import provenance
from histoprompt._qt.layers.shape_regions import (
    chosen_regions,
    drawn_layers,
    regions_in,
    regions_of,
)
from histoprompt.core.errors import RegionError
from histoprompt.pipelines.formats.regions import box_around, inside_any

SLIDE = Image(np.zeros((100, 200)), name="slide", scale=(0.25, 0.25), translate=(5, 7))


def on_slide(corners: list[tuple[float, float]], **how: object) -> Shapes:
    """A layer that lies where the slide lies."""
    place = {"scale": SLIDE.scale, "translate": SLIDE.translate}
    return Shapes([np.array(corners, float)], **place, **how)


def test_a_rectangle_covers_the_pixels_whose_centres_lie_in_it():
    layer = on_slide([(9.5, 19.5), (9.5, 59.5), (29.5, 59.5), (29.5, 19.5)], name="tumour")
    (region,) = regions_of(layer, SLIDE)
    assert region.name == "tumour"
    assert region.polygon.bounds == pytest.approx((20, 10, 60, 30))
    assert tuple(box_around([region])) == (10, 20, 30, 60)
    inside = inside_any([region], np.array([(10, 20), (29, 59), (9, 20), (30, 59)], float))
    assert inside.tolist() == [True, True, False, False]


def test_shapes_of_a_layer_at_another_scale_lie_where_they_are_seen():
    microns = np.array([(6, 8), (6, 12), (9, 12), (9, 8)], float)
    layer = Shapes([microns], name="by micron")
    (region,) = regions_of(layer, SLIDE)
    # (micron - translate) / 0.25, and half a pixel to the corner
    assert region.polygon.bounds == pytest.approx((4.5, 4.5, 20.5, 16.5))


def test_ellipses_have_their_area_and_lines_none():
    corners = [(10, 20), (10, 60), (30, 60), (30, 20)]
    (region,) = regions_of(on_slide(corners, shape_type="ellipse"), SLIDE)
    assert shapely.area(region.polygon) == pytest.approx(np.pi * 10 * 20, rel=0.01)
    line = on_slide([(10, 20), (30, 60)], shape_type="line")
    assert regions_of(line, SLIDE) == ()
    with pytest.raises(RegionError, match="no rectangle, ellipse or polygon"):
        regions_in(line, SLIDE)


def test_a_polygon_that_crosses_itself_is_mended_and_names_are_told_apart():
    bow = [(0, 0), (20, 20), (0, 20), (20, 0)]
    square = [(50, 50), (50, 60), (60, 60), (60, 50)]
    place = {"scale": SLIDE.scale, "translate": SLIDE.translate}
    layer = Shapes(
        [np.array(bow, float), np.array(square, float)],
        shape_type="polygon",
        features={"name": ["nest", "nest"]},
        **place,
    )
    first, second = regions_of(layer, SLIDE)
    assert (first.name, second.name) == ("nest", "nest 2")
    assert shapely.is_valid(first.polygon)
    assert shapely.area(first.polygon) == pytest.approx(200)


def test_the_plugin_s_own_layers_are_no_regions():
    viewer = ViewerModel()
    mine = on_slide([(1, 1), (1, 9), (9, 9), (9, 1)], name="mine")
    own = on_slide([(1, 1), (1, 9), (9, 9), (9, 1)], metadata=provenance(kind="area"))
    for layer in (mine, own):
        viewer.add_layer(layer)
    assert drawn_layers(viewer) == [mine]
    viewer.layers.selection = {own}
    assert chosen_regions(viewer, SLIDE) == ()
    viewer.layers.selection = {mine, own}
    assert [r.name for r in chosen_regions(viewer, SLIDE)] == ["mine"]
