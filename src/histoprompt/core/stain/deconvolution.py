"""Stain maths: optical density and how much of which dye a pixel holds.

Light is weakened by each dye in proportion to its amount, so in optical density dyes add up and a
linear unmixing separates them: A. Ruifrok and D. Johnston, "Quantification of histochemical
staining by color deconvolution", Anal Quant Cytol Histol 23 (2001) 291-299.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

# Optical densities in (red, green, blue) of the pure dyes, as published by Ruifrok and Johnston.
HAEMATOXYLIN: Final = (0.65, 0.70, 0.29)
EOSIN: Final = (0.07, 0.99, 0.11)
DAB: Final = (0.27, 0.57, 0.78)

# A brightfield background is light; below this grey value the typical pixel is a dark background.
_DARK = 60.0
# Total optical density from which a pixel counts as stained.
_STAINED = 0.45
# Share of the stained pixels that must be brown for the image to be taken as H-DAB.
_BROWN_SHARE = 0.02


def brightfield(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn a fluorescence-like image (bright on black) into one that is dark on white.

    Parameters
    ----------
    image : (h, w, 3) uint8 RGB

    Returns
    -------
    (h, w, 3) uint8
        A brightfield image as it is; else the inverse of the brightest channel, grey.
    """
    if not is_dark(image):
        return image
    return np.repeat((255 - image.max(axis=2))[..., None], 3, axis=2)


def is_dark(image: NDArray[np.uint8]) -> bool:
    """Whether the ground of an (h, w, 3) uint8 image is dark, as in fluorescence."""
    return float(np.median(image.max(axis=2))) < _DARK


def optical_density(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Optical density against white.

    Parameters
    ----------
    image : (h, w, 3) uint8 RGB

    Returns
    -------
    (h, w, 3) float32
        ``-log10((value + 1) / 256)`` of each channel: 0 for white, 2.4 for black.
    """
    table = -np.log10((np.arange(256) + 1) / 256)
    return np.maximum(table, 0).astype(np.float32)[image]


def unmix(
    density: NDArray[np.float32], dyes: tuple[tuple[float, float, float], ...]
) -> NDArray[np.float32]:
    """Amounts of two or three dyes by colour deconvolution.

    Parameters
    ----------
    density : (h, w, 3) float32
        From `optical_density`.
    dyes : two or three (red, green, blue) densities
        With two, the third direction is the residual at right angles to both.

    Returns
    -------
    (h, w, n) float32
        One channel per dye, not negative.
    """
    rows = [np.asarray(d, float) / np.linalg.norm(d) for d in dyes]
    if len(rows) == 2:
        residual = np.cross(rows[0], rows[1])
        rows.append(residual / np.linalg.norm(residual))
    inverse = np.linalg.inv(np.stack(rows)).astype(np.float32)
    amounts: NDArray[np.float32] = np.maximum(density @ inverse[:, : len(dyes)], 0)
    return amounts


def has_dab(density: NDArray[np.float32]) -> bool:
    """Whether the (h, w, 3) densities hold brown: blue absorbed at least as much as green.

    Eosin and blood absorb green most, haematoxylin red and green; only DAB absorbs blue most.
    """
    red, green, blue = np.moveaxis(density, -1, 0)
    stained = density.sum(axis=2) > _STAINED
    brown = stained & (blue > 1.02 * green) & (blue > 1.25 * red)
    return bool(brown.sum() > _BROWN_SHARE * max(1, stained.sum()))


def nucleus_stain(density: NDArray[np.float32]) -> NDArray[np.float32]:
    """How strongly a pixel is dyed as nuclei are, by one (h, w) map: the density in red.

    Eosin and blood are nearly transparent in red while haematoxylin and dark DAB are not; unlike a
    deconvolved channel it carries no noise from the others, and a grey image gives its darkness.
    """
    return np.ascontiguousarray(density[..., 0])


def nucleus_stains(density: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """The (h, w) maps in which nuclei stand out, one per dye that may mark them.

    For H-DAB these are haematoxylin and DAB apart, because nuclei hold either; else it is
    `nucleus_stain` alone.
    """
    if not has_dab(density):
        return (nucleus_stain(density),)
    haematoxylin, dab = np.moveaxis(unmix(density, (HAEMATOXYLIN, DAB)), -1, 0)
    return np.ascontiguousarray(haematoxylin), np.ascontiguousarray(dab)
