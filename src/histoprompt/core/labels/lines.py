"""Lines as pixels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from skimage.draw import line as line_of


def staircase(corners: NDArray[np.float64]) -> NDArray[np.intp]:
    """The pixels of a line, each sharing an edge with the next: diagonal neighbours are parted.

    Parameters
    ----------
    corners : (n, 2) float
        (row, col), two at least.

    Returns
    -------
    (m, 2) int
        In no order; they may lie anywhere.
    """
    return np.concatenate([_between(a, b) for a, b in pairwise(np.rint(corners).astype(int))])


def _between(start: NDArray[np.intp], end: NDArray[np.intp]) -> NDArray[np.intp]:
    path = np.stack(line_of(*start, *end), axis=1)
    diagonal = np.abs(np.diff(path, axis=0)).sum(axis=1) == 2
    corners = np.stack([path[1:][diagonal, 0], path[:-1][diagonal, 1]], axis=1)
    return np.concatenate([path, corners])
