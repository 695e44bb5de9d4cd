"""Maps of tiles as pictures: none reaches beyond the slide, and each pixel shows its tile."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.core.geometry import Box, Frame
from histoprompt.core.scores.drawn import drawn, is_even
from histoprompt.core.tiling import TileGrid


def grid_of(height: int, width: int, size: int) -> TileGrid:
    box = Box(0, 0, height, width)
    return TileGrid(box, size, 0, box)


def test_a_picture_ends_where_the_slide_ends():
    """1000 x 700 pixels in tiles of 256: the last row is 232 high, the last column 188 wide."""
    grid = grid_of(1000, 700, 256)
    raster = np.arange(12, dtype=np.float32).reshape(4, 3)
    picture, frame = drawn(raster, grid, fine=32, largest=2048)
    assert frame == Frame(Box(0, 0, 1000, 700), picture.shape)
    assert not is_even(grid)
    for row, col, tile in ((0, 0, 0), (250, 250, 0), (256, 0, 3), (767, 512, 8), (999, 699, 11)):
        at = frame.to_array([(row, col)]).round().astype(int)[0]
        assert picture[tuple(at)] == tile


def test_edges_of_tiles_lie_right_to_half_a_pixel_of_the_picture():
    grid = grid_of(10 * 97 + 13, 97, 97)
    picture, frame = drawn(np.arange(11)[:, None], grid, fine=8, largest=2048)
    edges = np.flatnonzero(np.diff(picture[:, 0])) + 1
    assert len(edges) == 10
    step = frame.scale[0]
    assert np.abs(edges * step - 97 * np.arange(1, 11)).max() <= step / 2


def test_whole_tiles_are_repeated_as_they_are():
    raster = np.arange(6, dtype=np.int32).reshape(2, 3)
    picture, frame = drawn(raster, grid_of(200, 300, 100), fine=4, largest=2048)
    assert np.array_equal(picture, np.kron(raster, np.ones((4, 4), np.int32)))
    assert frame.scale == (25, 25)
    assert drawn(raster, grid_of(200, 300, 100), fine=1, largest=2048)[0] is raster


@pytest.mark.parametrize("largest", [100, 4])
def test_a_picture_is_no_larger_than_asked(largest):
    raster = np.zeros((50, 1), np.float32)
    picture, frame = drawn(raster, grid_of(49 * 64 + 3, 20, 64), fine=32, largest=largest)
    assert max(picture.shape) <= max(largest, 50)
    assert frame.box == Box(0, 0, 49 * 64 + 3, 20)


def test_areas_of_tiles_are_less_at_the_far_edges():
    found = grid_of(1000, 700, 256).areas
    assert found.shape == (4, 3)
    assert found[0].tolist() == [65536, 65536, 256 * 188]
    assert found[3].tolist() == [232 * 256, 232 * 256, 232 * 188]
    assert found.sum() == 700_000
