"""Masks as a person would leave them: without crumbs and without pinholes. numpy and scipy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

Plane = NDArray[np.bool_]

# Pieces below this share of the largest one, and holes below this share of the mask, are noise.
CRUMB, PINHOLE = 0.1, 0.05


def tidied(mask: Plane, inside: Plane, outside: Plane) -> Plane:
    """A mask less its crumbs, pinholes filled; what was said of it stays true.

    Parameters
    ----------
    mask : (h, w) bool
    inside, outside : (h, w) bool
        Clicks and scribbles. A piece with one inside is no crumb, a hole with one outside stays.

    Returns
    -------
    (h, w) bool
    """
    pieces, count = ndi.label(mask)
    if count > 1:
        area = np.bincount(pieces.ravel())
        area[0] = 0
        keep = area >= CRUMB * area.max()
        keep[pieces[inside]] = True
        keep[0] = False
        mask = keep[pieces]
    gaps, count = ndi.label(~mask)
    if count > 1:
        area = np.bincount(gaps.ravel())
        fill = area <= PINHOLE * mask.sum()
        for edge in (gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1], gaps[outside]):
            fill[edge] = False
        fill[0] = False
        mask = mask | fill[gaps]
    return np.asarray(mask)
