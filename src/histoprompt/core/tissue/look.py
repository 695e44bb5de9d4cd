"""What a small H&E tile looks like, in thirteen numbers a person can name.

No network: optical densities, two dyes by colour deconvolution, and what smoothing at the size of
a nucleus leaves. Everything is computed for a stack of tiles at once.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from histoprompt.core.stain.deconvolution import EOSIN, HAEMATOXYLIN, optical_density, unmix

FEATURES: Final = (
    "white",  # share of pixels nearly without dye
    "holes",  # share of pixels in white gaps wider than 16 um, in a tile that holds tissue too
    "eosin",  # mean amount of eosin where there is tissue
    "nuclei",  # share of tissue pixels in nuclei
    "clumps",  # share of nucleus pixels in bodies wider than 7 um
    "dark",  # mean haematoxylin inside nuclei
    "elongated",  # how far nuclei point one way, 0 ... 1
    "fibrous",  # how far eosin runs one way, 0 ... 1
    "haze",  # haematoxylin outside nuclei: bluish ground of mucus, cartilage, basophil cytoplasm
    "rough",  # fine variation of density outside nuclei
    "red",  # share of pixels red as blood
    "brown",  # share of pixels brown as DAB
    "ink",  # share of pixels of a colour that no dye gives
)
_WHITE, _TISSUE = 0.16, 0.25  # total optical densities
_EPS = 1e-3


def look_at(tiles: NDArray[np.uint8], mpp: float) -> NDArray[np.float32]:
    """Measure tiles.

    Parameters
    ----------
    tiles : (n, h, w, 3) uint8 RGB
    mpp : float
        Microns a pixel.

    Returns
    -------
    (n, 13) float32
        In the order of `FEATURES`; finite, also for tiles of one colour.
    """
    density = optical_density(tiles)
    total = density.sum(axis=3)
    tissue = total > _TISSUE
    stains = unmix(density, (HAEMATOXYLIN, EOSIN))
    haematoxylin, eosin = stains[..., 0], stains[..., 1]
    nuclei = _nuclei(density[..., 0], tissue, mpp)
    ground = tissue & ~nuclei
    columns = (
        _share(total < _WHITE),
        _holes(total < _WHITE, tissue, mpp),
        _mean(eosin, tissue),
        _mean(nuclei, tissue),
        _clumps(nuclei, mpp),
        _mean(haematoxylin, nuclei),
        _direction(density[..., 0] * nuclei, mpp, nuclei),
        _direction(eosin, 2 * mpp, ground),
        _mean(haematoxylin, ground),
        _roughness(total, ground, mpp),
        *_colours(density, total),
    )
    return np.stack(columns, axis=1).astype(np.float32)


def _nuclei(red: NDArray[np.float32], tissue: NDArray[np.bool_], mpp: float) -> NDArray[np.bool_]:
    """Pixels clearly denser in red light than the 40 um around, and dense at all."""
    smooth = _smooth(red, 0.7 / mpp)
    around = _smooth(red, 20 / mpp)
    return np.asarray(tissue & (smooth > 0.22) & (smooth > around + 0.06) | (smooth > 0.55))


def _holes(white: NDArray[np.bool_], tissue: NDArray[np.bool_], mpp: float) -> NDArray[np.float32]:
    wide = _smooth(white.astype(np.float32), 4 / mpp) > 0.97
    some = np.clip((_share(tissue) - 0.04) / 0.08, 0, 1)
    return np.asarray(np.minimum(_share(wide) * 1.5, 1) * some, np.float32)


def _clumps(nuclei: NDArray[np.bool_], mpp: float) -> NDArray[np.float32]:
    wide = (_smooth(nuclei.astype(np.float32), 2.2 / mpp) > 0.72) & nuclei
    return _mean(wide, nuclei)


def _direction(
    image: NDArray[np.float32], mpp: float, where: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Coherence of the structure tensor over areas of some 20 um, weighed by its strength."""
    smooth = _smooth(image, 0.8 / mpp)
    if min(image.shape[1:]) < 2:
        return np.zeros(len(image), np.float32)
    rows, cols = np.gradient(smooth, axis=(1, 2))
    a, b, c = (
        _smooth(np.asarray(x, np.float32), 6 / mpp) for x in (rows * rows, rows * cols, cols * cols)
    )
    strength = (a + c) * where
    apart = np.sqrt((a - c) ** 2 + 4 * b * b) * where
    return np.asarray(_sum(apart) / (_sum(strength) + _EPS * image[0].size * 0.01), np.float32)


def _roughness(
    total: NDArray[np.float32], ground: NDArray[np.bool_], mpp: float
) -> NDArray[np.float32]:
    fine = _smooth(total, 0.5 / mpp) - _smooth(total, 2.5 / mpp)
    return np.asarray(np.sqrt(_mean(fine * fine, ground)), np.float32)


def _colours(
    density: NDArray[np.float32], total: NDArray[np.float32]
) -> tuple[NDArray[np.float32], ...]:
    red, green, blue = np.moveaxis(density, -1, 0)
    blood = (green > 0.35) & (red < 0.42 * green) & (blue > 0.55 * green)
    brown = (total > 0.45) & (blue > 1.02 * green) & (blue > 1.25 * red) & (red > 0.1)
    black = (density.min(axis=3) > 0.75) & (np.ptp(density, axis=3) < 0.3)
    green_ink = (red > 1.5 * green) & (red > 0.3)
    return _share(blood), _share(brown), _share(black | green_ink)


def _smooth(stack: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    out: NDArray[np.float32] = ndi.gaussian_filter(stack, sigma, axes=(1, 2), truncate=2.5)
    return out


def _sum(values: NDArray[np.generic]) -> NDArray[np.float64]:
    return np.asarray(np.sum(values, axis=(1, 2), dtype=np.float64), np.float64)


def _share(where: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.asarray(where.mean(axis=(1, 2)), np.float32)


def _mean(values: NDArray[np.generic], where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mean over part of each tile; 0 where there is none of it."""
    count = where.sum(axis=(1, 2))
    return np.asarray(_sum(values * where) / np.maximum(count, 1), np.float32)
