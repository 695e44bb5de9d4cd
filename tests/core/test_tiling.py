"""Tiles: every position is owned once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.tiling import TileGrid

BOUNDS = Box(0, 0, 400, 300)


@st.composite
def grids(draw: st.DrawFn) -> TileGrid:
    r0, c0 = draw(st.integers(0, 350)), draw(st.integers(0, 250))
    r1, c1 = draw(st.integers(r0 + 1, 400)), draw(st.integers(c0 + 1, 300))
    return TileGrid(
        Box(r0, c0, r1, c1), draw(st.integers(7, 200)), draw(st.integers(0, 64)), BOUNDS
    )


@given(grids())
def test_inner_boxes_partition_the_region(grid):
    hits = np.zeros((400, 300), int)
    for tile in grid:
        hits[tile.inner.slices()] += 1
    inside = np.zeros_like(hits)
    inside[grid.region.slices()] = 1
    assert np.array_equal(hits, inside)
    assert len(list(grid)) == len(grid)


@given(grids(), st.floats(0, 399), st.floats(0, 299))
def test_every_point_is_owned_by_exactly_the_tile_that_tile_of_names(grid, row, col):
    owners = [t for t in grid if t.owns(row, col)]
    found = grid.tile_of(row, col)
    assert owners == ([] if found is None else [found])


@given(grids())
def test_outer_boxes_are_the_inner_ones_with_halo_inside_the_bounds(grid):
    for tile in grid:
        assert tile.outer.covers(tile.inner)
        assert BOUNDS.covers(tile.outer)
        assert tile.inner.pad(grid.halo).covers(tile.outer)


def test_seams_belong_to_one_side():
    grid = TileGrid(Box(0, 0, 20, 20), 10, 2, Box(0, 0, 20, 20))
    first = grid.tile(0, 0)
    assert first.owns(9.49, 5)
    assert not first.owns(9.5, 5)
    assert grid.tile(1, 0).owns(9.5, 5)


@pytest.mark.parametrize(("size", "halo"), [(0, 1), (-3, 0), (10, -1)])
def test_senseless_sizes_are_refused(size, halo):
    with pytest.raises(RegionError, match="size of at least 1"):
        TileGrid(Box(0, 0, 10, 10), size, halo, BOUNDS)


def test_a_region_off_the_slide_is_refused_with_both_boxes():
    with pytest.raises(RegionError, match=r"500.*outside"):
        TileGrid(Box(0, 0, 500, 10), 10, 0, BOUNDS)
