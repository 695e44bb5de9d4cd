"""From maps of foreground, depth and rim to separate nuclei: numpy only, bounded in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.morphology import reconstruction
from skimage.segmentation import watershed


@dataclass(frozen=True, slots=True)
class DecodeParams:
    """How maps become objects; sizes in pixels of the maps.

    Attributes
    ----------
    foreground : float
        Least probability of a nucleus' pixel.
    seed : float
        Least height at a nucleus' seed; the height is the depth less `rim` times the rim.
    rim : float
        Weight of the rim.
    smooth : float
        Sigma of the smoothing of the height.
    prominence : float
        How far a seed rises above the saddle to a higher one; texture within a nucleus makes lower
        peaks.
    area : float
        Smallest nucleus.
    certainty : float
        Least mean foreground probability within a nucleus.
    """

    foreground: float = 0.5
    seed: float = 0.3
    rim: float = 0.5
    smooth: float = 2.0
    prominence: float = 0.1
    area: float = 40
    certainty: float = 0.6


def decode(maps: NDArray[np.floating], params: DecodeParams = DecodeParams()) -> NDArray[np.int32]:
    """Nuclei from probabilities by a watershed on the depth, seeded at its h-maxima.

    Seeds and seams are found at half resolution, outlines at full resolution.

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
    h, w = maps.shape[1:]
    even = np.pad(np.asarray(maps, np.float32), [(0, 0), (0, h % 2), (0, w % 2)], mode="edge")
    front = even[0]
    basins = _basins(_half(even), params)
    large = basins.repeat(2, 0).repeat(2, 1)
    labels = np.where(large > 0, large, ndi.maximum_filter(large, 3))
    labels = np.where(ndi.binary_fill_holes(front > params.foreground), labels, 0)[:h, :w]
    return _kept(labels, front[:h, :w], params)


def _half(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    k, h, w = maps.shape
    return np.asarray(maps.reshape(k, h // 2, 2, w // 2, 2).mean((2, 4)), np.float32)


def _basins(maps: NDArray[np.float32], params: DecodeParams) -> NDArray[np.int32]:
    """One basin a seed, at half resolution."""
    front, depth, rim = maps
    mask = ndi.binary_fill_holes(front > params.foreground)
    height = ndi.gaussian_filter(depth - params.rim * rim, params.smooth / 2)
    filled = reconstruction(height - params.prominence, height)
    peaks = (height - filled >= 0.999 * params.prominence) & (height > params.seed) & mask
    seeds, _ = ndi.label(peaks, np.ones((3, 3)))
    return np.asarray(watershed(-height, seeds, mask=mask), np.int32)


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
