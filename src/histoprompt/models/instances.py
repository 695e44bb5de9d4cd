"""From maps of foreground, depth and rim to separate nuclei: numpy only, bounded in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.morphology import reconstruction
from skimage.segmentation import watershed


@dataclass(frozen=True, slots=True)
class DecodeParams:
    """How maps become objects; positions and sizes in pixels of the maps.

    Attributes
    ----------
    foreground : float
        Least probability of a nucleus' pixel.
    seed : float
        Least depth at a nucleus' seed, in [0, 1].
    smooth : float
        Sigma of the smoothing of the depth.
    prominence : float
        How far a seed's depth rises above the saddle to a higher one; texture within a nucleus
        makes lower peaks.
    area : float
        Smallest nucleus.
    certainty : float
        Least mean foreground probability within a nucleus.
    """

    foreground: float = 0.5
    seed: float = 0.25
    smooth: float = 1.5
    prominence: float = 0.05
    area: float = 16
    certainty: float = 0.6


def decode(maps: NDArray[np.floating], params: DecodeParams = DecodeParams()) -> NDArray[np.int32]:
    """Nuclei from probabilities by a watershed on the depth, seeded at its h-maxima.

    Parameters
    ----------
    maps : (3, h, w) float
        Foreground, depth and rim, in [0, 1].
    params : DecodeParams

    Returns
    -------
    (h, w) int32
        Objects numbered from 1 without gaps.
    """
    front, depth, rim = maps
    mask = ndi.binary_fill_holes(front > params.foreground)
    height = ndi.gaussian_filter(np.asarray(depth - 0.5 * rim, np.float32), params.smooth)
    filled = reconstruction(height - params.prominence, height)
    peaks = (height - filled >= 0.999 * params.prominence) & (height > params.seed) & mask
    seeds, _ = ndi.label(peaks, np.ones((3, 3)))
    labels = np.asarray(watershed(-height, seeds, mask=mask), np.int32)
    return _kept(labels, np.asarray(front), params)


def doubled(plane: NDArray[Any]) -> NDArray[Any]:
    """An (h, w) array with every pixel made 2 x 2, (2h, 2w)."""
    return np.ascontiguousarray(plane.repeat(2, 0).repeat(2, 1))


def _kept(
    labels: NDArray[np.int32], front: NDArray[np.floating], params: DecodeParams
) -> NDArray[np.int32]:
    count = int(labels.max()) + 1
    area = np.bincount(labels.ravel(), minlength=count)
    sure = np.bincount(labels.ravel(), weights=front.ravel(), minlength=count) / area.clip(1)
    keep = (area >= params.area) & (sure >= params.certainty)
    keep[0] = False
    numbers = (np.cumsum(keep) * keep).astype(np.int32)
    return np.asarray(numbers[labels])
