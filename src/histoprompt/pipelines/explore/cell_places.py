"""Where counted cells lie: the cell at a place, and boxes around cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import CellTable
from histoprompt.core.geometry import Box

# A click counts for a cell if it falls within its radius, or a little beyond.
_NEAR = 1.5
# Microns a pixel of slides that do not state it.
_ASSUMED_UM = 0.25


def radii(cells: CellTable, mpp: float | None) -> NDArray[np.float64]:
    """(n,) level-0 pixels: of discs as large as the cells."""
    return np.asarray(np.sqrt(cells.area_um2 / np.pi) / (mpp or _ASSUMED_UM), np.float64)


def cell_box(cells: CellTable, row: float, col: float, mpp: float | None) -> Box | None:
    """The box around the cell at a level-0 place; None if there is none."""
    if not len(cells):
        return None
    away = np.hypot(cells.row - row, cells.col - col)
    k, size = int(away.argmin()), radii(cells, mpp)
    if not away[k] <= _NEAR * size[k]:
        return None
    return Box.around(float(cells.row[k]), float(cells.col[k]), 2 * float(size[k])).to_pixels()


def cell_boxes(cells: CellTable, mpp: float | None, shape: tuple[int, int]) -> NDArray[np.int64]:
    """(n, 4) int64 boxes around all cells, level-0 pixels, kept inside a slide of this shape."""
    size = np.nan_to_num(radii(cells, mpp), nan=1.0)
    low = np.stack([cells.row - size, cells.col - size], axis=1)
    high = np.stack([cells.row + size, cells.col + size], axis=1)
    limit = np.array(shape)
    first = np.clip(np.floor(low), 0, limit - 1).astype(np.int64)
    last = np.maximum(first + 1, np.clip(np.ceil(high) + 1, 0, limit).astype(np.int64))
    return np.concatenate([first, last], axis=1)
