"""Score maps and the regions a threshold cuts out of them."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.labels.contours import fill
from histoprompt.core.scores.files import read_scores, write_scores, write_tiles
from histoprompt.core.scores.map import ScoreMap, Threshold
from histoprompt.core.scores.regions import find_regions, paint_regions, region_raster
from histoprompt.core.tiling import TileGrid

HALF = Threshold(0.5, "for the test")
SLIDE = Box(0, 0, 75, 98)  # neither side a multiple of a cell


def map_of(raster: np.ndarray, size: int = 10) -> ScoreMap:
    """One text; NaN is no tile."""
    grid = TileGrid(SLIDE, size, 0, SLIDE)
    places = np.argwhere(~np.isnan(raster)).astype(np.int32)
    scores = raster[tuple(places.T)].astype(np.float32)[:, None]
    return ScoreMap(("tumour",), scores, places, grid, mpp=0.5, thresholds={"tumour": HALF})


@st.composite
def rasters(draw: st.DrawFn) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    raster = rng.random((8, 10))
    raster[rng.random(raster.shape) < draw(st.sampled_from([0.0, 0.3]))] = np.nan
    return raster


@settings(max_examples=40)
@given(rasters())
def test_regions_are_exactly_the_tiles_above_the_threshold(raster):
    scores = map_of(raster)
    regions = find_regions(scores, "tumour")
    painted = paint_regions(regions, SLIDE.shape).read(SLIDE)
    # float32 scores decide, as they are what is stored
    cells = np.repeat(np.repeat(np.nan_to_num(scores.raster("tumour")) >= 0.5, 10, 0), 10, 1)
    assert np.array_equal(painted > 0, cells[: SLIDE.shape[0], : SLIDE.shape[1]])
    assert [r.id for r in regions] == [*range(1, len(regions) + 1)]
    for region in regions:
        own = painted == region.id
        assert np.array_equal(fill([region.outline], SLIDE), own)
        assert region.area_um2 == pytest.approx(own.sum() * 0.25)
    assert sum(r.tiles for r in regions) == (scores.scores >= 0.5).sum()
    assert [r.tiles for r in regions] == sorted((r.tiles for r in regions), reverse=True)


@given(rasters())
def test_the_raster_holds_the_scores_at_their_places(raster):
    scores = map_of(raster)
    assert np.array_equal(scores.raster("tumour"), raster.astype(np.float32), equal_nan=True)
    for i in range(0, len(scores), 7):
        assert scores.index_at(*scores.box(i).centre) == i


def test_a_hole_stays_a_hole():
    raster = np.full((8, 10), np.nan)
    raster[1:6, 1:6] = 0.9
    raster[3, 3] = 0.1
    (region,) = find_regions(map_of(raster), "tumour")
    assert len(region.outline.holes) == 1
    assert region.tiles == 24
    assert region.score == pytest.approx(0.9)


def test_corners_do_not_connect_and_small_ones_are_left_out():
    raster = np.zeros((8, 10))
    raster[0, 0] = raster[1, 1] = raster[1, 2] = 1
    scores = map_of(raster)
    assert [r.tiles for r in find_regions(scores, "tumour")] == [2, 1]
    assert [r.tiles for r in find_regions(scores, "tumour", least_tiles=2)] == [2]
    assert find_regions(scores, "tumour", first_id=5)[0].id == 5
    assert region_raster(scores, "tumour").max() == 2


def test_nothing_above_the_threshold_is_no_region():
    assert find_regions(map_of(np.zeros((8, 10))), "tumour") == []


def test_no_threshold_is_ever_assumed():
    scores = map_of(np.ones((8, 10)))
    bare = ScoreMap(scores.texts, scores.scores, scores.places, scores.grid)
    with pytest.raises(RegionError, match="no threshold"):
        find_regions(bare, "tumour")
    assert len(find_regions(bare, "tumour", HALF)) == 1
    assert find_regions(bare, "tumour", HALF)[0].area_um2 is None


def test_the_best_tiles_come_first_and_ties_in_reading_order():
    raster = np.zeros((8, 10))
    raster[5, 5], raster[2, 2], raster[2, 7] = 0.9, 0.7, 0.7
    scores = map_of(raster)
    assert scores.places[scores.top("tumour", 3)].tolist() == [[5, 5], [2, 2], [2, 7]]
    assert len(scores.top("tumour", 1000)) == 80


def test_points_between_tiles_belong_to_none():
    raster = np.full((8, 10), np.nan)
    raster[1, 1] = 0.5
    scores = map_of(raster)
    assert scores.index_at(15, 15) == 0
    assert scores.index_at(5, 5) is None
    assert scores.index_at(500, 5) is None


def test_parts_that_do_not_fit_are_refused():
    scores = map_of(np.ones((8, 10)))
    with pytest.raises(ValueError, match="do not fit"):
        ScoreMap(("a", "b"), scores.scores, scores.places, scores.grid)
    two = np.repeat(scores.scores, 2, axis=1)
    with pytest.raises(ValueError, match="twice"):
        ScoreMap(("a", "a"), two, scores.places, scores.grid)


@settings(max_examples=60)
@given(
    rasters(), st.floats(0, 1), st.integers(1, 5),
    st.dictionaries(st.integers(0, 50), st.booleans(), max_size=12),
)  # fmt: skip
def test_marked_tiles_are_in_or_out_whatever_they_score(tmp_path_factory, raster, cut, least, said):
    scores = map_of(raster)
    marks = {tile: yes for tile, yes in said.items() if tile < len(scores)}
    scores = scores.with_threshold("tumour", Threshold(cut, "typed")).with_marks("tumour", marks)
    regions = find_regions(scores, "tumour", least_tiles=least)
    painted = paint_regions(regions, SLIDE.shape).read(SLIDE)
    shown = region_raster(scores, "tumour", least_tiles=least)
    for tile, yes in marks.items():
        box = scores.box(tile)
        assert (painted[box.slices()] > 0).all() == yes == (painted[box.slices()] > 0).any()
        assert (shown[tuple(scores.places[tile])] > 0) == yes
    for tile in range(len(scores)):
        if tile not in marks and scores.column("tumour")[tile] < np.float32(cut):
            assert not painted[scores.box(tile).slices()].any()
    assert [r.id for r in regions] == [*range(1, len(regions) + 1)]
    assert np.array_equal(np.unique(shown[shown > 0]), np.arange(1, len(regions) + 1))
    folder = tmp_path_factory.mktemp("map")
    write_scores(folder / "scores.zarr", scores)
    again = read_scores(folder / "scores.zarr")
    assert np.array_equal(again.inside("tumour"), scores.inside("tumour"))
    write_tiles(folder / "tiles.csv", scores)
    with (folder / "tiles.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(rows[tile]["in tumour"] == str(int(yes)) for tile, yes in marks.items())
