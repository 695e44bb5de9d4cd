"""Nuclei found ahead of a click, square by square of a fixed grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.core.tiling import TileGrid
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.find import VIEW_UM, Cell, find_cells
from histoprompt.pipelines.cells.tile_context import HALO_UM


@dataclass(frozen=True, eq=False)
class Square:
    """What was found in one square.

    Attributes
    ----------
    box : Box
        The square, level-0 pixels; it owns the nuclei whose centroid it holds.
    cells : tuple of Cell
    rims : (n, 2) int64
        Level-0 pixels of all outlines.
    owners : (n,) int64
        Which of `cells` each of them belongs to.
    """

    box: Box
    cells: tuple[Cell, ...]
    rims: NDArray[np.int64]
    owners: NDArray[np.int64]

    @classmethod
    def of(cls, box: Box, cells: tuple[Cell, ...]) -> Square:
        """A square with the outlines of its cells."""
        rims = [_rim(cell.mask) for cell in cells]
        return cls(
            box,
            cells,
            np.concatenate(rims) if rims else np.empty((0, 2), np.int64),
            np.repeat(np.arange(len(cells)), [len(rim) for rim in rims]),
        )


def look_at(
    slide: Slide,
    box: Box,
    card: ModelCard,
    manager: ModelManager,
    *,
    task: Task,
    weights: Path | None = None,
) -> Square:
    """Find the nuclei of one square; arguments and errors as for `find_cells.find_cells`."""
    return Square.of(box, tuple(find_cells(slide, box, card, manager, task, weights=weights)))


class NucleiMap:
    """The squares looked at so far.

    Parameters
    ----------
    bounds : Box
        The slide, level-0 pixels.
    mpp : float
        Its pixel size in microns; a square is as large as the tiles of `find_cells.find_cells`.
    """

    def __init__(self, bounds: Box, mpp: float) -> None:
        side = max(1, round(VIEW_UM / mpp))
        self._grid = TileGrid(bounds, side, 0, bounds)
        self._reach = HALO_UM / mpp
        self._squares: dict[Box, Square] = {}

    def __len__(self) -> int:
        """How many nuclei were found."""
        return sum(len(square.cells) for square in self._squares.values())

    def next_square(self, view: Box) -> Box | None:
        """The square to look at next: in view, not seen yet, nearest to the middle of the view."""
        row, col = view.centre
        unseen = [box for box in self._in_view(view) if box not in self._squares]
        return min(
            unseen,
            key=lambda box: (
                not box.contains(row, col),
                (box.centre[0] - row) ** 2 + (box.centre[1] - col) ** 2,
            ),
            default=None,
        )

    def add(self, square: Square) -> None:
        """Take over what was found in a square."""
        self._squares[square.box] = square

    def at(self, row: float, col: float) -> Mask | None:
        """The nucleus under a level-0 position; of several the smallest."""
        hit = [
            cell.mask
            for square in self._near(Box.of_points([(row, col)]))
            for cell in square.cells
            if _covers(cell.mask, row, col)
        ]
        return min(hit, key=lambda mask: int(mask.array.sum()), default=None)

    def outlines(self, area: Frame, taken: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Outlines of the nuclei in an area, less those that are committed.

        Parameters
        ----------
        area : Frame
            Where the result lies.
        taken : (rows, cols) int
            Committed objects of the same area; a nucleus whose centroid has one is left out.

        Returns
        -------
        (rows, cols) uint8
            1 on outlines, which are one array pixel thick at any scale.
        """
        out = np.zeros(area.shape, np.uint8)
        for square in self._near(area.box):
            middles = np.array([(cell.row, cell.col) for cell in square.cells]).reshape(-1, 2)
            rows, cols, there = _indices(middles, area)
            free = np.ones(len(middles), bool)
            free[there] = taken[rows, cols] == 0
            rows, cols, _ = _indices(square.rims[free[square.owners]], area)
            out[rows, cols] = 1
        return out

    def _near(self, box: Box) -> Iterator[Square]:
        """Squares whose nuclei may reach into a box."""
        for square in self._squares.values():
            if square.box.pad(self._reach).intersection(box) is not None:
                yield square

    def _in_view(self, view: Box) -> Iterator[Box]:
        size = self._grid.size
        rows, cols = self._grid.shape
        for row in range(max(0, int(view.r0 // size)), min(rows, int(view.r1 // size) + 1)):
            for col in range(max(0, int(view.c0 // size)), min(cols, int(view.c1 // size) + 1)):
                box = self._grid.tile(row, col).inner
                if box.intersection(view) is not None:
                    yield box


def _rim(mask: Mask) -> NDArray[np.int64]:
    """The pixels of a level-0 mask that touch its outside, (n, 2)."""
    edge = mask.array & ~ndi.binary_erosion(mask.array)
    return np.argwhere(edge) + np.array([mask.frame.box.r0, mask.frame.box.c0], np.int64)


def _covers(mask: Mask, row: float, col: float) -> bool:
    i, j = round(row - mask.frame.box.r0), round(col - mask.frame.box.c0)
    rows, cols = mask.array.shape
    return 0 <= i < rows and 0 <= j < cols and bool(mask.array[i, j])


def _indices(
    points: NDArray[np.number], area: Frame
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Array rows and columns of the level-0 points that lie in an area, and which ones do."""
    found = np.rint(area.to_array(points)).astype(np.int64)
    there = np.asarray(((found >= 0) & (found < area.shape)).all(axis=1), bool)
    return found[there, 0], found[there, 1], there
