"""Nuclei of a region: none twice, none lost, whatever the tiles."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage as ndi

from five_discs import CARD, dark_things
from histoprompt.core.errors import MissingMppError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.manager import ModelManager
from histoprompt.pipelines import count
from histoprompt.pipelines.count import find_cells, label_cells, write_cells


@pytest.fixture
def manager() -> ModelManager:
    return ModelManager("cpu", 100.0, load=dark_things)


@pytest.fixture(scope="module")
def slide() -> Slide:
    """Discs of radius 8 on a jittered grid, some across every seam."""
    rng = np.random.default_rng(3)
    seeds = np.ones((900, 1100), bool)
    grid = np.stack(np.meshgrid(range(20, 880, 30), range(20, 1080, 30), indexing="ij"), axis=-1)
    places = grid + rng.integers(-4, 5, grid.shape)
    seeds[places[..., 0], places[..., 1]] = False
    near = ndi.distance_transform_edt(seeds) <= 8
    image = np.where(near[..., None], 60, 230).astype(np.uint8).repeat(3, axis=2)
    return Slide.from_arrays("discs", [image], mpp=0.25)


def _truth(slide: Slide) -> np.ndarray:
    return ndi.label(slide.read(slide.box)[0][..., 0] < 128)[0]


@pytest.mark.parametrize("tile_um", [30.0, 64.0, 160.0, 1000.0])
def test_the_count_does_not_depend_on_the_tiles(slide, manager, monkeypatch, tile_um):
    monkeypatch.setattr(count, "TILE_UM", tile_um)
    labels, rows = label_cells(
        find_cells(slide, slide.box, CARD, manager, Task()), slide.box, slide.mpp
    )
    truth = _truth(slide)
    assert len(rows) == truth.max()
    assert np.array_equal(labels.read(slide.box) > 0, truth > 0)
    assert np.isclose(sum(r.area_um2 for r in rows), (truth > 0).sum() * 0.25**2)


def test_a_coarser_slide_is_enlarged_for_the_model(slide, manager):
    coarse = Slide.from_arrays("half", [slide.read(slide.box)[0][::2, ::2]], mpp=0.5)
    cells = list(find_cells(coarse, coarse.box, CARD, manager, Task()))
    assert len(cells) == _truth(slide).max()


def test_a_region_counts_what_has_its_centre_there(slide, manager):
    region = Box(100, 130, 500, 700)
    labels, rows = label_cells(find_cells(slide, region, CARD, manager, Task()), region, 0.25)
    truth = _truth(slide)
    centres = ndi.center_of_mass(truth > 0, truth, range(1, 1 + truth.max()))
    assert len(rows) == sum(region.contains(r, c) for r, c in centres)
    assert labels.shape == (400, 570)
    for row in rows[:20]:
        assert (
            labels.read(Box.around(round(row.row), round(row.col), 1).to_pixels())[0, 0] == row.id
        )


def test_without_a_pixel_size_it_says_so(slide, manager):
    unknown = replace(slide, mpp=None)
    with pytest.raises(MissingMppError, match="--mpp"):
        list(find_cells(unknown, slide.box, CARD, manager, Task()))


def test_a_region_off_the_slide_is_refused(slide, manager):
    with pytest.raises(RegionError, match="900 rows"):
        list(find_cells(slide, Box(0, 0, 2000, 10), CARD, manager, Task()))


def test_the_table_reads_back(slide, manager, tmp_path):
    cells = find_cells(slide, Box(0, 0, 200, 200), CARD, manager, Task())
    _, rows = label_cells(cells, Box(0, 0, 200, 200), 0.25)
    write_cells(tmp_path / "cells.csv", rows)
    with (tmp_path / "cells.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [int(r["id"]) for r in found] == [r.id for r in rows]
    assert found[0].keys() == {"id", "row", "col", "area_um2"}
