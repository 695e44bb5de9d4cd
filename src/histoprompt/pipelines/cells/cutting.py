"""One object made several: along a line somebody drew, or between two places in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage as ndi

from histoprompt.annotations.edits import components
from histoprompt.core.labels.lines import staircase
from histoprompt.core.labels.reshape import parted

# A piece smaller than this share of the object is a crumb of its rim, and goes to the next piece.
CRUMB = 0.02


def cut_along(mask: NDArray[np.bool_], line: ArrayLike) -> NDArray[np.int32]:
    """The pieces of an object on both sides of a line.

    Parameters
    ----------
    mask : (h, w) bool
        The object.
    line : (n, 2) float
        Corners of the line, (row, col) in pixels of the mask; they may lie outside of it.

    Returns
    -------
    (h, w) int32
        0 outside, pieces from 1, the largest first; no pixel of the object is lost. A single piece
        where the line does not part it.
    """
    pieces = components(mask, _drawn(np.asarray(line, float).reshape(-1, 2), mask.shape))
    sizes = np.bincount(pieces.ravel())[1:]
    crumbs = np.flatnonzero(sizes < CRUMB * mask.sum()) + 1
    if not len(crumbs):
        return pieces
    kept = np.where(np.isin(pieces, crumbs), 0, pieces)
    nearest = ndi.distance_transform_edt(kept == 0, return_distances=False, return_indices=True)
    return np.asarray(np.where(mask, kept[tuple(nearest)], 0), np.int32)


def cut_between(
    mask: NDArray[np.bool_], first: tuple[float, float], second: tuple[float, float]
) -> NDArray[np.int32]:
    """Two pieces of an object, each around one of two places, parted where it is narrowest.

    Parameters
    ----------
    mask : (h, w) bool
        The object.
    first, second : (row, col)
        In pixels of the mask; a place beside the object stands for the pixel next to it.

    Returns
    -------
    (h, w) int32
        0 outside, then 1 and 2 in the order of the places; a single piece where both are the same.
    """
    inside = np.argwhere(mask)
    nearest = [inside[np.square(inside - at).sum(axis=1).argmin()] for at in (first, second)]
    places = [(int(row), int(col)) for row, col in nearest]
    return mask.astype(np.int32) if places[0] == places[1] else parted(mask, places)


def _drawn(line: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The pixels of a line on an array, so that diagonal neighbours on its sides are parted."""
    drawn = np.zeros(shape, bool)
    rows, cols = staircase(line).T
    there = (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
    drawn[rows[there], cols[there]] = True
    return drawn
