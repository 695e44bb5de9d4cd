"""Labels for real, unlabelled H&E: what a network is sure of, and tissue without its nuclei.

What is unsure is neither nucleus nor background: `known` is False there. Images lie at about
0.25 um/px, so that a nucleus is 10 to 70 px wide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.filters import threshold_otsu
from skimage.measure import regionprops
from skimage.morphology import disk

from histoprompt.models.cells.instances import decode
from histoprompt.pipelines.evaluate.simulate import Rng
from histoprompt.training import augment
from histoprompt.training.augment import Float, Rgb
from histoprompt.training.data import Known, Labels

MIN_AREA, MAX_AREA = 80, 4000
SOLID = 0.88


def nuclear_density(rgb: Rgb) -> Float:
    """How dark the image is in red, smoothed, (h, w): haematoxylin absorbs red, eosin hardly."""
    return np.asarray(ndi.gaussian_filter(augment.to_od(rgb)[..., 0], 1.5), np.float32)


def stained(rgb: Rgb) -> NDArray[np.bool_]:
    """Where an (h, w, 3) image is darker in red than its surroundings, as most nuclei are."""
    density = nuclear_density(rgb)
    local = density - 0.6 * ndi.gaussian_filter(density, 40)
    return np.asarray(local > 0.75 * max(float(threshold_otsu(local)), 0.06))


def relabelled(
    rgb: Rgb, maps: NDArray[np.floating], sure: float = 0.75, empty: float = 0.2
) -> tuple[Labels, Known]:
    """What a trained network is sure of in an image it has not been taught.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
    maps : (3, h, w) float
        Its probabilities of foreground, distance and boundary.
    sure, empty : float
        Nuclei need this mean foreground, background at most that.

    Returns
    -------
    labels, known : (h, w)
        Round nuclei it is sure of; the rest of what may be nucleus, by the network or by its
        stain, is not known.
    """
    front = np.asarray(maps[0])
    labels = decode(maps)
    good = np.zeros(labels.max() + 1, bool)
    for region in regionprops(labels, front):
        fits = MIN_AREA <= region.area <= MAX_AREA and region.solidity >= SOLID
        good[region.label] = fits and region.intensity_mean >= sure
    kept = np.where(good[labels], labels, 0).astype(np.int32)
    return kept, (kept > 0) | ((front <= empty) & (labels == 0) & ~stained(rgb))


def bare_tissue(rgb: Rgb, rng: Rng) -> Float:
    """Density (h, w, 3) of the tissue with its nuclei painted over from their surroundings."""
    od = augment.to_od(rgb)
    nuclei = ndi.binary_dilation(stained(rgb), disk(3))
    keep = (~nuclei).astype(np.float32)
    weight = ndi.gaussian_filter(keep, 12)[..., None] + 1e-3
    mean = ndi.gaussian_filter(od * keep[..., None], (12, 12, 0)) / weight
    detail = np.where(nuclei[..., None], 0, od - mean)
    moved = np.roll(detail, tuple(rng.integers(40, 200, 2)), axis=(0, 1))
    whole = mean + np.where(nuclei[..., None], moved, detail)
    return np.asarray(np.maximum(whole, 0), np.float32)
