"""A reference in parts that are held out one after the other: slides, or blocks of space.

Tiles beside each other, and copies of one tile, show the same thing. Were they parted at random,
each held-out tile would have its like among those learnt from, and a threshold would be far too
tight for tissue from elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from histoprompt.core.vectors import unit_rows
from histoprompt.pipelines.explore.stored_vectors import Vectors
from histoprompt.pipelines.explore.tile_set import TileSet

# Slides with fewer tiles do not stand for themselves.
_TILES_OF_SLIDE = 15
_MOST_FOLDS = 10
_BLOCKS, _FEW_BLOCKS, _MANY_TILES = 8, 4, 80
# Two tiles are copies if they are nearer than this share of what two tiles are apart usually.
_COPY = 0.02
_COMPARED = 4000


def folds_of(
    slide: NDArray[np.int32],
    centres: NDArray[np.float64],
    vectors: Vectors,
) -> tuple[NDArray[np.intp], str]:
    """In which part each of n tiles is.

    Parameters
    ----------
    slide : (n,) int32
    centres : (n, 2) float64
        Level-0 pixels.
    vectors : (n, d)

    Returns
    -------
    (n,) intp
        From 0; every part holds something.
    str
        What the parts are, in words.
    """
    sizes = np.bincount(slide)
    if (sizes >= _TILES_OF_SLIDE).sum() > 1:
        return _slides(slide, sizes), "slides"
    count = _BLOCKS if len(slide) >= _MANY_TILES else _FEW_BLOCKS
    # slides are laid side by side, far apart
    apart = np.ptp(centres[:, 1]) + 1.0 if len(centres) else 1.0
    places = centres + np.outer(slide, [0.0, 4 * apart])
    return _with_copies(blocks_of(places, count), vectors), "blocks of the region"


def blocks_of(points: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Parts (n,) of equal size and without holes: halves along the longer side, again and again.

    Parameters
    ----------
    points : (n, 2) float64
    count : int
        A power of two.
    """
    part = np.zeros(len(points), np.intp)
    for _ in range(count.bit_length() - 1):
        halved = part * 2
        for number in np.unique(part):
            rows = np.flatnonzero(part == number)
            axis = int(np.ptp(points[rows], axis=0).argmax())
            order = np.lexsort((points[rows, 1 - axis], points[rows, axis]))
            halved[rows[order[len(rows) // 2 :]]] += 1
        part = halved
    return np.asarray(np.unique(part, return_inverse=True)[1], np.intp)


def _slides(slide: NDArray[np.int32], sizes: NDArray[np.intp]) -> NDArray[np.intp]:
    """A part per slide, at most ten; largest slides first, each to the smallest part."""
    count = min(_MOST_FOLDS, int((sizes >= _TILES_OF_SLIDE).sum()))
    filled, of = np.zeros(count, np.intp), np.zeros(len(sizes), np.intp)
    for number in np.argsort(-sizes, kind="stable"):
        of[number] = int(filled.argmin())
        filled[of[number]] += sizes[number]
    return of[slide]


def _with_copies(part: NDArray[np.intp], vectors: Vectors) -> NDArray[np.intp]:
    """The same parts, with copies of one tile brought into one of them."""
    if len(part) > _COMPARED or len(part) < 2:
        return part
    unit = unit_rows(np.asarray(vectors, np.float32))
    away = 1 - unit @ unit.T
    usual = float(np.median(away[np.triu_indices(len(part), 1)]))
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    _, group = connected_components(
        csr_array((away < _COPY * usual).astype(np.int8)), directed=False
    )
    out = part.copy()
    for number in np.flatnonzero(np.bincount(group) > 1):
        rows = np.flatnonzero(group == number)
        if len(rows) <= len(part) / 4:  # else all tiles are alike, and none is a copy
            out[rows] = np.bincount(part[rows]).argmax()
    return np.asarray(np.unique(out, return_inverse=True)[1], np.intp)


def beside(tiles: TileSet, some: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which tiles touch one of some, or overlap it, (n,) bool; those themselves are not."""
    out = np.zeros(len(tiles), bool)
    for number in np.unique(tiles.slide[some]):
        rows = tiles.rows_of(number)
        centres = tiles.centres[rows]
        side = float(np.median(tiles.boxes[rows, 2] - tiles.boxes[rows, 0]))
        here = some[rows]
        tree = cKDTree(centres[here])
        away, _ = tree.query(centres, p=np.inf, distance_upper_bound=1.01 * side)
        out[rows[np.isfinite(away)]] = True
    return out & ~some
