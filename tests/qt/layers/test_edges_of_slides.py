"""What is drawn of tiles ends where the slide ends, though tiles there are laid over its edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from napari.components import ViewerModel

from histoprompt._qt.explore.kind_layer import KindLayer
from histoprompt._qt.explore.squares import Squares
from histoprompt._qt.text.layers import ScoreLayers
from histoprompt.core.geometry import Box
from histoprompt.core.scores.map import ScoreMap, Threshold
from histoprompt.core.tiling import TileGrid

pytestmark = pytest.mark.gui

SLIDE, TILE, MPP = (1000, 700), 256, 0.5


@dataclass(frozen=True)
class Line:
    name: str = "a"
    colour: tuple[int, int, int] = (200, 30, 30)
    here: float = 0.1


@pytest.fixture
def viewer() -> ViewerModel:
    made = ViewerModel()
    made.add_image(np.zeros((*SLIDE, 3), np.uint8), name="slide", scale=(MPP, MPP))
    return made


@pytest.fixture
def scores() -> ScoreMap:
    """All tiles fit, those at the far edges too: 232 rows and 188 columns are left for these."""
    box = Box.of_shape(SLIDE)
    grid = TileGrid(box, TILE, 0, box)
    places = np.argwhere(np.ones(grid.shape, bool)).astype(np.int32)
    ones = np.ones((len(places), 1), np.float32)
    return ScoreMap(("a",), ones, places, grid, MPP, "key", {"a": Threshold(0.5, "here")})


def corners(layer):
    """Where the first pixel begins and the last one ends, world."""
    shape = np.array(layer.data.shape[:2])
    return [layer.data_to_world(at) for at in ((-0.5, -0.5), tuple(shape - 0.5))]


def test_heat_and_regions_end_with_the_slide(viewer, scores):
    shown = ScoreLayers(viewer, viewer.layers[0])
    shown.show_maps(scores, "a")
    assert shown.show_regions(scores, "a") == 1
    heat, regions = shown.heat("a"), viewer.layers["scored_regions"]
    for layer in (heat, regions):
        assert np.allclose(corners(layer), corners(viewer.layers[0]))
    assert np.isfinite(heat.data).all()
    assert regions.features["mm2"].tolist() == [pytest.approx(0.7 * MPP**2)]
    assert regions.features["tiles"].tolist() == [12]


def test_kinds_of_tissue_end_with_the_slide(viewer, scores):
    shown = KindLayer(viewer, viewer.layers[0], "scenes")
    shown.show(scores, [Line()])
    assert np.allclose(corners(viewer.layers["scenes"]), corners(viewer.layers[0]))
    assert (viewer.layers["scenes"].data == 1).all()


def test_squares_around_tiles_at_the_edge_stay_inside(viewer, scores):
    marks = ScoreLayers(viewer, viewer.layers[0])
    marks.show_marks(scores, dict.fromkeys(range(12), True))
    hits = Squares(viewer, viewer.layers[0], "hits")
    hits.show([scores.box(tile) for tile in range(12)])
    for name in ("tile_marks", "hits"):
        layer = viewer.layers[name]
        reach = layer.data + layer.size[:, None] / 2
        assert len(layer.data) == 12
        assert np.all(reach <= np.array(SLIDE))
        assert layer.size[0] == TILE
