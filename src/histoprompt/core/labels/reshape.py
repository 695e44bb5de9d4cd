"""Changing the form of one object: fill its holes, smooth it, let it grow or shrink, part it.

Masks are (h, w) bool. Distances are in pixels between pixel centres; what lies beyond the array is
no part of the object.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

Region = NDArray[np.bool_]
_DIAGONALS = np.ones((3, 3), bool)


def filled(mask: Region) -> Region:
    """The mask with its holes: what cannot be reached from outside across edges of pixels."""
    return np.asarray(ndimage.binary_fill_holes(mask))


def smoothed(mask: Region, radius: float, free: Region) -> Region:
    """The mask with a smooth outline and as many pixels as before.

    Parameters
    ----------
    mask : (h, w) bool
        Not empty, and at least 3 radii away from the array's edge for a result as in a larger one.
    radius : float
        What is thinner than about twice this goes, bumps and notches alike.
    free : (h, w) bool
        Where the object may be.
    """
    blurred = ndimage.gaussian_filter(mask.astype(np.float32), radius, mode="constant")
    blurred = np.where(free | mask, blurred, -1)
    count = np.count_nonzero(mask)
    least = np.partition(blurred.ravel(), blurred.size - count)[blurred.size - count]
    return np.asarray(blurred >= max(least, np.finfo(np.float32).tiny))


def grown(mask: Region, radius: float, free: Region, rivals: Region | None = None) -> Region:
    """The mask and all free pixels within `radius` of it.

    Parameters
    ----------
    mask : (h, w) bool
    radius : float
    free : (h, w) bool
        Where it may grow. It does not reach across what is not free.
    rivals : (h, w) bool, optional
        Other objects that grow too: each free pixel goes to the nearer one, and half way to the
        mask given here.
    """
    distance = ndimage.distance_transform_edt(~mask)
    wanted = (distance <= radius) & free
    if rivals is not None and rivals.any():
        wanted &= distance <= ndimage.distance_transform_edt(~rivals)
    joined, _ = ndimage.label(mask | wanted, _DIAGONALS)
    return np.asarray(np.isin(joined, np.unique(joined[mask])) & (mask | wanted))


def shrunk(mask: Region, radius: float) -> Region:
    """The pixels of the mask that are further than `radius` from all that is outside it."""
    return depth(mask) > radius


def depth(mask: Region) -> NDArray[np.float64]:
    """The distance of every pixel of the mask from the nearest one outside, 0 elsewhere."""
    return np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1])


def parted(
    mask: Region, places: Sequence[tuple[int, int]], seeds: Sequence[Region] | None = None
) -> NDArray[np.int32]:
    """Pieces around places, numbered as these: what is nobody's goes to who reaches it first.

    Parameters
    ----------
    mask : (h, w) bool
    places : sequence of (row, col)
        Pixels of the mask, no two the same.
    seeds : sequence of (h, w) bool, optional
        What surely belongs to each; without, the mask parts where it is narrowest.

    Returns
    -------
    (h, w) int32
        0 outside; no pixel of the mask is lost: parts of it that lie apart from all places stay
        with the first.
    """
    markers = np.zeros(mask.shape, np.int32)
    land = np.zeros(mask.shape) if seeds is not None else -depth(mask)
    for number, place in enumerate(places, start=1):
        if seeds is not None:
            markers[seeds[number - 1]] = number
        markers[place] = number
    out = np.asarray(watershed(land, markers, connectivity=_DIAGONALS, mask=mask), np.int32)
    return np.where(mask & (out == 0), np.int32(1), out)
