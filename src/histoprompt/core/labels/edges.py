"""Where the edges of outlines pass the rows of pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def crossings(
    start: NDArray[Any], end: NDArray[Any], shape: tuple[int, int]
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
    """The rows that edges pass, and the first pixel of each whose centre lies beyond the edge.

    Parameters
    ----------
    start, end : (n, 2) float64
        Of edges, (row, col) from the centre of the first pixel. An edge passes a row if one of its
        ends lies above the centres of that row, or on them, and the other does not.
    shape : (h, w)
        Rows and columns there are; what lies beyond is cut.

    Returns
    -------
    edge : (m,) intp
        Ascending.
    row : (m,) int64
    col : (m,) int64
        0 ... w.
    """
    h, w = shape
    low, high = np.minimum(start[:, 0], end[:, 0]), np.maximum(start[:, 0], end[:, 0])
    first = np.clip(np.ceil(low), 0, h).astype(np.int64)
    counts = np.clip(np.ceil(high), 0, h).astype(np.int64) - first
    row, edge = ranges(first, counts)
    (r0, c0), (r1, c1) = start[edge].T, end[edge].T
    col = np.clip(np.ceil(c0 + (row - r0) * (c1 - c0) / (r1 - r0)), 0, w).astype(np.int64)
    return edge, row, col


def ranges(
    starts: NDArray[Any], counts: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """The numbers of ranges one after the other, and which range each belongs to."""
    owner = np.repeat(np.arange(len(counts)), counts)
    shift = starts - (np.cumsum(counts) - counts)
    return np.arange(len(owner)) + np.repeat(shift, counts), owner
