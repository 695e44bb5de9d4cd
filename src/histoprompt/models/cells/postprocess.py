"""Masks as a person would leave them: without specks and small holes. numpy and scipy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

Plane = NDArray[np.bool_]

# Raise it when the same mask is tidied otherwise: counts do not go on then.
ALGORITHM = 1
# Pieces below this share of the largest one, and holes below this share of the mask, are noise.
SMALL_COMPONENT, SMALL_HOLE = 0.1, 0.05


def tidied(mask: Plane, inside: Plane, outside: Plane) -> Plane:
    """A mask less its small components, small holes filled; what was said of it stays true.

    Parameters
    ----------
    mask : (h, w) bool
    inside, outside : (h, w) bool
        Clicks and scribbles. A piece with one inside is no noise, a hole with one outside stays.

    Returns
    -------
    (h, w) bool
    """
    pieces, count = ndi.label(mask)
    if count > 1:
        area = np.bincount(pieces.ravel())
        area[0] = 0
        keep = area >= SMALL_COMPONENT * area.max()
        keep[pieces[inside]] = True
        keep[0] = False
        mask = keep[pieces]
    gaps, is_hole = holes(mask)
    small = is_hole & (np.bincount(gaps.ravel()) <= SMALL_HOLE * mask.sum())
    small[gaps[outside]] = False
    return np.asarray(mask | small[gaps])


def holes(mask: Plane) -> tuple[NDArray[np.int32], Plane]:
    """The gaps of a mask, numbered from 1, and which of these numbers reach no border.

    Returns
    -------
    gaps : (h, w) int32
        0 in the mask.
    is_hole : (n + 1,) bool
    """
    gaps, count = ndi.label(~mask)
    is_hole = np.ones(count + 1, bool)
    is_hole[0] = False
    for edge in (gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]):
        is_hole[edge] = False
    return np.asarray(gaps, np.int32), np.asarray(is_hole)
