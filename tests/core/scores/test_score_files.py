"""Files of a score map: back as they were, and readable by others."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import tifffile

from histoprompt.core.errors import ExportError, LabelError
from histoprompt.core.geometry import Box
from histoprompt.core.scores.files import read_scores, write_heatmap, write_scores, write_tiles
from histoprompt.core.scores.map import ScoreMap, Threshold
from histoprompt.core.tiling import TileGrid


@pytest.fixture
def scores() -> ScoreMap:
    slide = Box(0, 0, 75, 98)
    places = np.array([[0, 1], [2, 3], [7, 9]], np.int32)
    values = np.array([[0.25, 0.5], [0.125, 0.75], [1, 0]], np.float32)
    cuts = {"tumour": Threshold(0.2, "typed"), "fat": Threshold(0.5, "even odds")}
    facts = {"model": "plip", "contrasts": "bone; blood"}
    grid = TileGrid(slide, 10, 0, slide)
    return ScoreMap(("tumour", "fat"), values, places, grid, 0.25, "key", cuts, facts)


def test_a_map_comes_back_as_it_was(tmp_path, scores):
    write_scores(tmp_path / "scores.zarr", scores)
    found = read_scores(tmp_path / "scores.zarr")
    assert np.array_equal(found.scores, scores.scores)
    assert np.array_equal(found.places, scores.places)
    for name in ("texts", "grid", "mpp", "slide_key", "thresholds", "facts"):
        assert getattr(found, name) == getattr(scores, name), name


def test_writing_again_replaces(tmp_path, scores):
    for _ in range(2):
        write_scores(tmp_path / "scores.zarr", scores)
    assert [p.name for p in tmp_path.iterdir()] == ["scores.zarr"]


@pytest.mark.parametrize("damage", ["missing", "text", "array"])
def test_what_is_no_map_is_refused(tmp_path, scores, damage):
    path = tmp_path / "scores.zarr"
    if damage == "text":
        path.write_text("no zarr")
    if damage == "array":
        write_scores(path, scores)
        (path / "places" / "zarr.json").unlink()
    with pytest.raises(LabelError, match="score map"):
        read_scores(path)


def test_the_heat_map_says_where_it_lies(tmp_path, scores):
    write_heatmap(tmp_path / "heatmap_1.tif", scores, "tumour")
    with tifffile.TiffFile(tmp_path / "heatmap_1.tif") as file:
        image, ome = file.asarray(), file.ome_metadata
    assert np.array_equal(image, scores.raster("tumour"), equal_nan=True)
    assert 'PhysicalSizeX="2.5"' in ome
    assert "level0_pixels" in ome


def test_the_table_of_tiles_holds_boxes_scores_and_what_is_in(tmp_path, scores):
    write_tiles(tmp_path / "tiles.csv", scores)
    with (tmp_path / "tiles.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["in tumour"] for row in rows] == ["1", "0", "1"]
    assert rows[2] | {"r0": "70", "c0": "90", "r1": "75", "c1": "98"} == rows[2]
    assert float(rows[1]["fat"]) == 0.75


def test_a_place_that_cannot_be_written_leaves_nothing(tmp_path, scores):
    (tmp_path / "file").write_text("in the way")
    for write in (write_scores, write_tiles):
        with pytest.raises(ExportError):
            write(tmp_path / "file" / "x", scores)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
