"""All nuclei of a region: tiles in, cells with level-0 labels out."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from histoprompt.core.atomic import replacing_file
from histoprompt.core.errors import MissingMppError, RegionError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.labels import SparseLabels
from histoprompt.core.results import Mask
from histoprompt.core.slide import Slide
from histoprompt.core.task import Task
from histoprompt.core.tiling import Tile, TileGrid
from histoprompt.models.card import ModelCard
from histoprompt.models.manager import ModelManager
from histoprompt.models.roles import CellSegmenter

# Sides in microns: what a tile owns, and what is read around it so that no nucleus is cut.
TILE_UM = 160.0
HALO_UM = 24.0


@dataclass(frozen=True, eq=False)
class Cell:
    """One nucleus.

    Attributes
    ----------
    row, col : float
        Centroid, level-0 pixels.
    mask : Mask
        Level-0 pixels.
    """

    row: float
    col: float
    mask: Mask


@dataclass(frozen=True, slots=True)
class CellRow:
    """A line of ``cells.csv``: label id, centroid in level-0 pixels, area in square microns."""

    id: int
    row: float
    col: float
    area_um2: float


def find_cells(
    slide: Slide,
    region: Box,
    card: ModelCard,
    manager: ModelManager,
    task: Task,
    *,
    weights: Path | None = None,
) -> Iterator[Cell]:
    """Find the nuclei of a region, tile by tile.

    A nucleus belongs to the tile that owns its centroid, so none is counted twice at a seam.

    Parameters
    ----------
    slide : Slide
        Its mpp must be known: at an unknown scale a segmenter guesses.
    region : Box
        Integer level-0 box on the slide.
    card : ModelCard
        Of a `CellSegmenter`.
    manager : ModelManager
    task : Task
        Told of every tile.
    weights : Path, optional
        The user's own weights.

    Raises
    ------
    MissingMppError
        If the slide has no pixel size.
    RegionError
        If the region reaches outside the slide.
    """
    grid = _grid(slide, region, card)
    for done, tile in enumerate(grid):
        task.step(done, len(grid), f"Finding nuclei in {slide.name}")
        shape = _shape(tile.outer, slide, card)
        image, frame = slide.read(tile.outer, shape)
        with manager.lease(card, task, weights) as model:
            labels = _segment(model, image)
        yield from _owned(labels, frame, tile, slide.box)
    task.step(len(grid), len(grid), "Done")


def _segment(model: CellSegmenter, image: NDArray[np.uint8]) -> NDArray[np.int32]:
    return model.segment(image)


def label_cells(
    cells: Iterator[Cell], region: Box, mpp: float
) -> tuple[SparseLabels, list[CellRow]]:
    """Number cells from 1 and draw them into labels of the region.

    Where two cells of neighbouring tiles claim a pixel, the earlier one keeps it.
    """
    labels = SparseLabels(region.shape, (round(region.r0), round(region.c0)))
    rows: list[CellRow] = []
    for cell in cells:
        box = cell.mask.frame.box.intersection(region)
        if box is None:
            continue
        part = cell.mask.array[box.slices((cell.mask.frame.box.r0, cell.mask.frame.box.c0))]
        free = part & (labels.read(box) == 0)
        if free.any():
            rows.append(CellRow(len(rows) + 1, cell.row, cell.col, float(free.sum()) * mpp**2))
            labels.paste(free.astype(np.uint32) * len(rows), box)
    return labels, rows


def write_cells(path: Path, rows: list[CellRow]) -> None:
    """Write ``cells.csv`` with the columns id, row, col, area_um2; whole or not at all."""
    with replacing_file(path) as part, Path(part).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "row", "col", "area_um2"])
        writer.writerows((r.id, f"{r.row:.2f}", f"{r.col:.2f}", f"{r.area_um2:.3f}") for r in rows)


def known_mpp(slide: Slide, card: ModelCard) -> float:
    """The slide's pixel size in microns.

    Raises
    ------
    MissingMppError
        If it has none; the message says where to give it.
    """
    if slide.mpp is None:
        raise MissingMppError(
            f"{slide.name} does not state its pixel size, and nuclei are found at "
            f"{card.mpp} um/px. Type it in the Prompt dock, or give --mpp 0.25 or what is true."
        )
    return slide.mpp


def _grid(slide: Slide, region: Box, card: ModelCard) -> TileGrid:
    mpp = known_mpp(slide, card)
    if not slide.box.covers(region):
        raise RegionError(
            f"Region {tuple(region)} reaches outside {slide.name}, which has {slide.shape[0]} "
            f"rows and {slide.shape[1]} columns."
        )
    size, halo = (max(1, round(um / mpp)) for um in (TILE_UM, HALO_UM))
    return TileGrid(region, size, halo, slide.box)


def _shape(box: Box, slide: Slide, card: ModelCard) -> tuple[int, int]:
    """Array shape that gives the model its scale; one within 5 per cent is left as it is."""
    scale = (slide.mpp or 1.0) / (card.mpp or slide.mpp or 1.0)
    if abs(scale - 1) < 0.05:
        return box.shape
    return max(1, round(box.height * scale)), max(1, round(box.width * scale))


def _owned(labels: NDArray[np.int32], frame: Frame, tile: Tile, bounds: Box) -> Iterator[Cell]:
    """The cells whose centroid the tile owns, in level-0 pixels."""
    for value, where in enumerate(ndi.find_objects(labels), start=1):
        if where is None:
            continue
        inside = labels[where] == value
        corner = np.array([where[0].start, where[1].start])
        centroid = np.argwhere(inside).mean(axis=0) + corner
        row, col = frame.to_slide(centroid)[0]
        if tile.owns(row, col):
            box = Box(*corner, *(corner + inside.shape))
            mask = Mask(inside, Frame(frame.box_to_slide(box), box.shape))
            yield Cell(float(row), float(col), mask.at_level0(bounds))
