"""Measured properties of tiles that a person can name: dyes, nuclei, colour and texture."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.stain.deconvolution import optical_density
from histoprompt.core.tissue.look import FEATURES, look_at

# Microns a pixel at which tiles are measured: that of the word list.
MPP: Final = 1.0
# Mean optical density in each colour of light, its spread, and its mean step from pixel to pixel.
_COLOURS: Final = ("red density", "green density", "blue density", "contrast", "fine texture")
MEASURED: Final = (*FEATURES, *_COLOURS)


def measure(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Measure tiles.

    Parameters
    ----------
    tiles : (n, h, w, 3) uint8 RGB
        At `MPP`.

    Returns
    -------
    (n, 18) float32
        In the order of `MEASURED`; finite, also for tiles of one colour.
    """
    density = optical_density(tiles)
    total = density.sum(axis=3)
    steps = [np.abs(np.diff(total, axis=axis)).mean(axis=(1, 2)) for axis in (1, 2)]
    colours = [*density.mean(axis=(1, 2)).T, total.std(axis=(1, 2)), sum(steps) / 2]
    found = np.concatenate([look_at(tiles, MPP), np.stack(colours, axis=1)], axis=1)
    return np.asarray(np.nan_to_num(found), np.float32)
