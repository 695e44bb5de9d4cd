"""Nuclei of a whole field without a network: thresholds, markers, watershed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.filters import threshold_otsu
from skimage.measure import regionprops
from skimage.morphology import disk
from skimage.segmentation import watershed

from histoprompt.core.labels.renumber import renumbered
from histoprompt.core.stain.deconvolution import brightfield, nucleus_stains, optical_density

# Typical radius of a nucleus in microns, and the bounds in pixels within which one is searched.
RADIUS_UM = 3.0
MIN_RADIUS, MAX_RADIUS = 3.0, 25.0
# Difference in optical density below which an image holds no nuclei, only noise.
MIN_CONTRAST = 0.04


@dataclass(frozen=True, eq=False)
class _Levels:
    """A smoothed stain map and what is background and nucleus in it."""

    stain: NDArray[np.float32]
    low: float
    cut: float
    high: float

    @property
    def contrast(self) -> float:
        return self.high - self.low


def find_nuclei(image: NDArray[np.uint8], mpp: float | None = None) -> NDArray[np.int32]:
    """Find the nuclei of an image.

    Haematoxylin density above a global and a local threshold, split by a watershed whose markers
    are the maxima of distance and darkness together. On H-DAB, brown nuclei are found apart and
    added where they are compact: a stained membrane is not.

    Parameters
    ----------
    image : (h, w, 3) uint8 RGB
    mpp : float, optional
        Microns a pixel; without it the size of nuclei is estimated from the image.

    Returns
    -------
    (h, w) int32
        0 background, 1 ... n one value per nucleus.
    """
    density = optical_density(brightfield(image))
    maps = nucleus_stains(density)
    labels = find_in_stain(maps[0], mpp)
    for stain in maps[1:]:
        labels = _add_compact(labels, find_in_stain(stain, mpp))
    return labels


def find_in_stain(stain: NDArray[np.float32], mpp: float | None = None) -> NDArray[np.int32]:
    """As `find_nuclei`, from an (h, w) map in which nuclei are high."""
    empty = np.zeros(stain.shape, np.int32)
    if min(stain.shape) < 3 or float(np.ptp(stain)) < MIN_CONTRAST:
        return empty
    radius = nucleus_radius(stain, mpp)
    levels = _levels(ndi.gaussian_filter(stain, max(0.7, radius / 8)))
    if levels.contrast < MIN_CONTRAST:
        return empty
    mask = _foreground(levels, radius)
    split = watershed(*_landscape(stain, mask, levels, radius), mask=mask)
    return _of_size(split, np.pi * (radius / 2) ** 2)


def nucleus_radius(stain: NDArray[np.float32], mpp: float | None = None) -> float:
    """Typical radius in pixels of the nuclei in an (h, w) stain map.

    From the pixel size where it is known; else from the distance to the border at the middles of
    the stained parts, which touching nuclei do not change.
    """
    if mpp:
        return float(np.clip(RADIUS_UM / mpp, MIN_RADIUS, MAX_RADIUS))
    smooth = ndi.gaussian_filter(stain, 1.5)
    distance = ndi.distance_transform_edt(smooth > _levels(smooth).cut)
    middles = (distance == ndi.maximum_filter(distance, 5)) & (distance >= 2)
    depths = distance[middles]
    if not depths.size:
        return 6.0
    return float(np.clip(np.average(depths, weights=depths**2), MIN_RADIUS, MAX_RADIUS))


def _levels(smooth: NDArray[np.float32]) -> _Levels:
    if float(np.ptp(smooth)) == 0:
        value = float(smooth.flat[0])
        return _Levels(smooth, value, value, value)
    cut = float(threshold_otsu(smooth))
    above = smooth > cut
    return _Levels(smooth, float(smooth[~above].mean()), cut, float(smooth[above].mean()))


def _foreground(levels: _Levels, radius: float) -> NDArray[np.bool_]:
    """Above most of the global threshold, and darker than the surroundings."""
    around = ndi.gaussian_filter(levels.stain, 2 * radius)
    mask = levels.stain > levels.low + 0.8 * (levels.cut - levels.low)
    mask &= levels.stain > around + 0.1 * levels.contrast
    opened = ndi.binary_opening(mask, disk(max(1, round(radius / 4))))
    return np.asarray(ndi.binary_fill_holes(opened), dtype=bool)


def _landscape(
    stain: NDArray[np.float32], mask: NDArray[np.bool_], levels: _Levels, radius: float
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The surface to flood and its markers: deep and dark is low."""
    distance = np.minimum(ndi.distance_transform_edt(mask) / radius, 1.5)
    dark = (ndi.gaussian_filter(stain, radius / 2) - levels.low) / levels.contrast
    height = ndi.gaussian_filter(distance + 0.3 * dark * mask, radius / 4)
    size = max(3, round(1.3 * radius) | 1)
    peaks = (height == ndi.maximum_filter(height, size)) & mask
    markers, _ = ndi.label(peaks, np.ones((3, 3)))
    return -height, markers.astype(np.int32)


def _of_size(labels: NDArray[np.int32], least: float) -> NDArray[np.int32]:
    """Drop labels of fewer pixels than `least` and number the rest 1 ... n."""
    return renumbered(labels, np.bincount(labels.ravel())[1:] >= least)


def _add_compact(labels: NDArray[np.int32], extra: NDArray[np.int32]) -> NDArray[np.int32]:
    """Put the compact objects of `extra` over `labels`, in place of what they mostly cover."""
    out = labels.copy()
    for region in regionprops(extra):
        if region.solidity < 0.85:
            continue
        window = out[region.slice]
        covered = np.unique(window[region.image])
        for value in covered[covered > 0]:
            whole = out == value
            if whole[region.slice][region.image].sum() > whole.sum() / 2:
                out[whole] = 0
        window[region.image] = out.max() + 1
    return _of_size(out, 1)
