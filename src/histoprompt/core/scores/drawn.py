"""Maps of tiles as pictures that end where the region ends.

Tiles at the far edges of a slide are smaller than the others, and a picture of one pixel per tile
would reach over the edge. So it gets several pixels a tile where that is needed: each shows the
tile that its centre lies in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.geometry import Frame
from histoprompt.core.tiling import TileGrid


def drawn(
    raster: NDArray[Any], grid: TileGrid, fine: int, largest: int
) -> tuple[NDArray[Any], Frame]:
    """A map as a picture over exactly the region of its grid.

    Parameters
    ----------
    raster : (rows, cols)
        A value per tile of the grid.
    grid : TileGrid
    fine : int
        Picture pixels per side of a whole tile. Edges of tiles lie right to half a picture pixel.
    largest : int
        Rows or columns that a picture may have; `fine` is lowered for it, to 1 at least.

    Returns
    -------
    picture : (h, w)
        Of the raster's dtype; the raster itself where one pixel per tile is exact and asked for.
    frame : Frame
        Where it lies, level-0 pixels.
    """
    fine = max(1, min(fine, largest // max(raster.shape)))
    rows, cols = (_tiles(length, grid.size, fine) for length in grid.region.shape)
    if fine == 1 and (len(rows), len(cols)) == raster.shape:
        picture = raster
    else:
        picture = raster[np.ix_(rows, cols)]
    return picture, Frame(grid.region, (len(rows), len(cols)))


def is_even(grid: TileGrid) -> bool:
    """Whether all tiles of a grid are of one size, so that a pixel per tile is exact."""
    height, width = grid.region.shape
    return height % grid.size == 0 and width % grid.size == 0


def _tiles(length: int, size: int, fine: int) -> NDArray[np.intp]:
    """The tile of each pixel along one side of a picture."""
    count = max(1, round(length * fine / size))
    centres = (np.arange(count) + 0.5) * (length / count)
    return np.asarray(np.minimum(centres // size, -(-length // size) - 1), np.intp)
