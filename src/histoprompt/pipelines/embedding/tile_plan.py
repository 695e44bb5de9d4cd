"""Which tiles of a slide a model looks at."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import MissingMppError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.parameters import Parameter
from histoprompt.core.slides.slide import Slide
from histoprompt.core.tiling import TileGrid
from histoprompt.core.tissue.find import Tissue, find_tissue
from histoprompt.models.card import ModelCard

# Microns a pixel for models that state none: image-text models are trained on figures of many
# scales, most of them taken at 20x or near it.
USUAL_MPP = 0.5
# Share of a cell that must be tissue for its tile to be looked at: of one that is mostly glass a
# model says what it says of glass, such as fat with certainty. An index that is kept has such tiles
# only: who changes this raises `ALGORITHM` in `kept.py` too.
LEAST_TISSUE = 0.5
# What a person says of the scale of tiles, whatever they are looked at for.
SEEN_AT = Parameter(
    "Seen at",
    "Microns per pixel at which tiles are seen.",
    low=0.0,
    high=16.0,
    unit="µm/px",
    special="as the model says",
    advanced=True,
    option="seen-at",
)


@dataclass(frozen=True, eq=False)
class TilePlan:
    """The tiles to look at.

    Attributes
    ----------
    grid : TileGrid
        Over the whole slide; its inner boxes are the cells of the score map.
    side : int
        Level-0 pixels a side of what the model sees, centred on the cell.
    pixels : int
        Array pixels a side of what the model is given.
    places : (n, 2) int32
        (row, col) of the cells, in reading order.
    """

    grid: TileGrid
    side: int
    pixels: int
    places: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.places)

    def window(self, place: tuple[int, int]) -> Box:
        """What the model sees of a cell, level-0 pixels.

        At the slide's edges it is moved inside, so that tissue is scored and not what is made up
        beyond; it reaches outside only of a slide that is smaller.
        """
        region, step = self.grid.region, self.grid.size
        before = (self.side - step) // 2
        r0, c0 = region.r0 + place[0] * step - before, region.c0 + place[1] * step - before
        return moved_inside(Box(r0, c0, r0 + self.side, c0 + self.side), region)

    def scaled(self, factor: float) -> TilePlan:
        """The same cells seen with their surroundings: `factor` times the side."""
        return replace(self, side=max(1, round(self.side * factor)))

    def n_bytes(self, width: int) -> int:
        """What the embeddings of all tiles take on disk."""
        return len(self) * (2 * width + 8)


def plan_tiles(
    slide: Slide,
    card: ModelCard,
    region: Box | None = None,
    *,
    mpp: float | None = None,
    overlap: int = 1,
    tissue: Tissue | None = None,
) -> TilePlan:
    """Lay the grid and keep the cells that hold tissue.

    Parameters
    ----------
    slide : Slide
        Its mpp must be known.
    card : ModelCard
        Gives the model's mpp and input size.
    region : Box, optional
        Only cells that meet this integer level-0 box. The grid is always that of the whole slide,
        so that embeddings of one region serve another.
    mpp : float, optional
        Microns a pixel to show the model the slide at, in place of the card's.
    overlap : int
        Cells a tile along each axis: 2 makes the map twice as fine, with four times the tiles.
    tissue : Tissue, optional
        Found if not given.

    Raises
    ------
    MissingMppError
        If the slide has no pixel size.
    RegionError
        If the region reaches outside the slide, or holds no tissue.
    """
    region = slide.box if region is None else region
    if not slide.box.covers(region):
        raise RegionError(
            f"Region {tuple(region)} reaches outside {slide.name}, which has {slide.shape[0]} "
            f"rows and {slide.shape[1]} columns."
        )
    laid = lay_tiles(slide, card, mpp=mpp, overlap=overlap)
    places = _tissue_places(laid.grid, region, tissue or find_tissue(slide, region))
    if not len(places):
        raise RegionError(
            f"No tissue was found in {tuple(region)} of {slide.name}: only glass, pen or blur. "
            "Choose another region."
        )
    return replace(laid, places=places)


def lay_tiles(
    slide: Slide, card: ModelCard, *, mpp: float | None = None, overlap: int = 1
) -> TilePlan:
    """The grid of a slide without any places yet; parameters and errors as for `plan_tiles`."""
    if slide.mpp is None:
        raise MissingMppError(
            f"{slide.name} does not state its pixel size, and {card.title} sees tissue at a known "
            "scale only."
        )
    side = (card.input_size or 224) * (mpp or card.mpp or USUAL_MPP) / slide.mpp
    grid = TileGrid(slide.box, max(1, round(side / overlap)), 0, slide.box)
    nowhere = np.zeros((0, 2), np.int32)
    return TilePlan(grid, max(1, round(side)), card.input_size or 224, nowhere)


def moved_inside(window: Box, bounds: Box) -> Box:
    """A window moved so that it lies inside of bounds along every axis that has room for it."""
    r0 = _moved(window.r0, window.height, bounds.r0, bounds.r1)
    c0 = _moved(window.c0, window.width, bounds.c0, bounds.c1)
    return Box(r0, c0, r0 + window.height, c0 + window.width)


def _moved(start: float, length: float, low: float, high: float) -> float:
    return start if length > high - low else min(max(start, low), high - length)


def cell_shares(grid: TileGrid, tissue: Tissue, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How much of each cell of a grid lies in a mask of the tissue's frame, (rows, cols), 0 to 1.

    By sums over the overview; a cell that is smaller than a pixel of it has that pixel's value.
    """
    summed = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    rows, cols = grid.shape
    r0, r1 = _edges(tissue, grid, rows, 0)
    c0, c1 = _edges(tissue, grid, cols, 1)
    count = summed[np.ix_(r1, c1)] - summed[np.ix_(r0, c1)]
    count = count - summed[np.ix_(r1, c0)] + summed[np.ix_(r0, c0)]
    return np.asarray(count / np.outer(r1 - r0, c1 - c0), np.float64)


def _tissue_places(grid: TileGrid, region: Box, tissue: Tissue) -> NDArray[np.int32]:
    """Cells of which enough is tissue."""
    share = cell_shares(grid, tissue, tissue.tissue)
    rows, cols = grid.shape
    meets = np.outer(_meets(grid, region, rows, 0), _meets(grid, region, cols, 1))
    return np.argwhere((share >= LEAST_TISSUE) & meets).astype(np.int32)


def _edges(
    tissue: Tissue, grid: TileGrid, count: int, axis: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last overview pixel of each row (or column) of cells; at least one pixel."""
    size, scale = tissue.frame.shape[axis], tissue.frame.scale[axis]
    first = (tissue.frame.box.r0, tissue.frame.box.c0)[axis]
    edges = (np.arange(count + 1) * grid.size - first) / scale
    start = np.clip(np.rint(edges[:-1]).astype(np.int64), 0, size - 1)
    stop = np.clip(np.rint(edges[1:]).astype(np.int64), start + 1, size)
    return start, stop


def _meets(grid: TileGrid, region: Box, count: int, axis: int) -> NDArray[np.bool_]:
    low, high = ((region.r0, region.r1), (region.c0, region.c1))[axis]
    start = np.arange(count) * grid.size
    return (start < high) & (start + grid.size > low)
