"""A magic wand: the pixels around a place that look like it, joined to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.color import rgb2lab

# Pixels of the picture: what noise is smoothed by, what a click stands for, and what bridges are
# too thin to follow.
_SMOOTH, _AROUND, _BRIDGE = 1.5, 2, 2


def like_it(image: NDArray[np.uint8], at: tuple[int, int], tolerance: float) -> NDArray[np.bool_]:
    """The joined pixels around a place whose colour is near to the one there, without holes.

    Colours are compared in CIELAB after the picture was smoothed, so that the distance is about
    what eyes see (CIE 1976 colour difference).

    Parameters
    ----------
    image : (h, w, 3) uint8
    at : (row, col)
        A pixel of the picture.
    tolerance : float
        How far from the colour there; 2 is just seen, 100 is black against white.

    Returns
    -------
    (h, w) bool
        Holds `at`, always.
    """
    lab = rgb2lab(image)
    smooth = np.stack([ndi.gaussian_filter(lab[..., i], _SMOOTH) for i in range(3)], axis=-1)
    row, col = at
    rows, cols = (slice(max(i - _AROUND, 0), i + _AROUND + 1) for i in at)
    here = smooth[rows, cols]
    near = np.linalg.norm(smooth - np.median(here, axis=(0, 1)), axis=-1) <= tolerance
    near[row, col] = True
    joined = _joined(near, at)
    # without bridges of a few pixels, through which it would run into what lies beside it
    opened = ndi.binary_opening(np.pad(joined, _BRIDGE, mode="edge"), iterations=_BRIDGE)
    opened = opened[_BRIDGE:-_BRIDGE, _BRIDGE:-_BRIDGE]
    joined = _joined(opened, at) if opened[row, col] else joined
    grown = ndi.binary_dilation(joined)  # smoothing took a pixel of the rim
    return np.asarray(ndi.binary_fill_holes(grown), bool)


def _joined(mask: NDArray[np.bool_], at: tuple[int, int]) -> NDArray[np.bool_]:
    """The part of a mask that a pixel of it belongs to."""
    parts, _ = ndi.label(mask)
    return np.asarray(parts == parts[at], bool)
