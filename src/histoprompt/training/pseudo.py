"""Labels for real, unlabelled H&E: proposals by stain, kept where a segmenter agrees.

What is unsure is neither nucleus nor background: `known` is False there. Images lie at about
0.25 um/px, so that a nucleus is 16 to 70 px wide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.filters import threshold_otsu
from skimage.measure import regionprops
from skimage.morphology import disk
from skimage.segmentation import watershed

from histoprompt.models.instances import DecodeParams, decode, doubled
from histoprompt.training import augment
from histoprompt.training.augment import Float, Rgb, Rng
from histoprompt.training.data import Known, Labels

MIN_AREA, MAX_AREA = 120, 4000
SOLID = 0.88


def nuclear_density(rgb: Rgb) -> Float:
    """How dark the image is in red, smoothed, (h, w): haematoxylin absorbs red, eosin hardly."""
    return np.asarray(ndi.gaussian_filter(augment.to_od(rgb)[..., 0], 1.5), np.float32)


def propose(rgb: Rgb) -> tuple[Labels, Known]:
    """Nuclei that stand out by stain, size and shape; everything doubtful is left unknown."""
    density = nuclear_density(rgb)
    local = density - 0.6 * ndi.gaussian_filter(density, 40)
    cut = max(float(threshold_otsu(local)), 0.08)
    dark = ndi.binary_fill_holes(ndi.binary_opening(local > cut, disk(2)))
    labels = _split(dark)
    good = np.zeros(labels.max() + 1, bool)
    for region in regionprops(labels):
        r0, c0, r1, c1 = region.bbox
        whole = r0 > 0 and c0 > 0 and r1 < rgb.shape[0] and c1 < rgb.shape[1]
        fits = MIN_AREA <= region.area <= MAX_AREA and region.solidity >= SOLID
        good[region.label] = fits and (whole or region.area > 2 * MIN_AREA)
    kept = np.where(good[labels], labels, 0).astype(np.int32)
    return kept, (kept > 0) | (local < 0.6 * cut)


def _split(mask: NDArray[np.bool_]) -> Labels:
    inner = ndi.gaussian_filter(ndi.distance_transform_edt(mask), 1.5)
    peaks = (inner == ndi.maximum_filter(inner, 15)) & (inner > 3)
    markers, _ = ndi.label(peaks, np.ones((3, 3)))
    return np.asarray(watershed(-inner, markers, mask=mask), np.int32)


def agreed(
    labels: Labels,
    known: Known,
    masks: NDArray[np.bool_],
    scores: NDArray[np.floating],
    *,
    min_iou: float = 0.6,
    min_score: float = 0.6,
) -> tuple[Labels, Known]:
    """Keep the proposals that a segmenter, prompted with their boxes, sees alike.

    Parameters
    ----------
    masks : (n, h, w) bool
        The segmenter's mask for each label, in ascending order of label.
    scores : (n,) float
        Its own estimate of their IoU.

    Returns
    -------
    labels, known
        Kept nuclei have the segmenter's outline; where the two differ nothing is known.
    """
    out, sure = np.zeros_like(labels), known.copy()
    for value, mask, score in zip(np.unique(labels[labels > 0]), masks, scores, strict=True):
        mine = labels == value
        both, either = mine & mask, mine | mask
        sure &= ~either
        if score >= min_score and both.sum() >= min_iou * either.sum():
            fill = mask & ((labels == value) | (labels == 0)) & (out == 0)
            out[fill] = value
            sure |= fill | (either & ~fill & (labels == 0))
    return out, sure | (out > 0)


def relabelled(
    maps: NDArray[np.floating], params: DecodeParams, sure: float = 0.8, empty: float = 0.2
) -> tuple[Labels, Known]:
    """What a trained instance decoder is sure of in an image it has not been taught.

    Parameters
    ----------
    maps : (3, h, w) float
        Its probabilities of foreground, depth and rim.
    sure, empty : float
        Nuclei need this mean foreground, background at most that.

    Returns
    -------
    labels, known : (2h, 2w)
        Round nuclei it is sure of; the rest of what may be nucleus is not known.
    """
    front = np.asarray(maps[0])
    labels = decode(maps, params)
    good = np.zeros(labels.max() + 1, bool)
    for region in regionprops(labels, front):
        good[region.label] = region.intensity_mean >= sure and region.solidity >= SOLID
    kept = np.where(good[labels], labels, 0).astype(np.int32)
    known = (kept > 0) | ((front <= empty) & (labels == 0))
    return doubled(kept), doubled(known)


def with_centres(
    labels: Labels, known: Known, centres: NDArray[np.floating]
) -> tuple[Labels, Known]:
    """Keep proposals that hold exactly one of the true centres; the others are unsure.

    Parameters
    ----------
    centres : (n, 2) float
        Every nucleus of the image, (row, col).
    """
    index = np.rint(centres).astype(int).clip(0, np.array(labels.shape) - 1)
    holds = np.bincount(labels[tuple(index.T)], minlength=labels.max() + 1) == 1
    holds[0] = False
    kept = np.where(holds[labels], labels, 0).astype(np.int32)
    missed = np.ones(labels.shape, bool)
    missed[tuple(index[kept[tuple(index.T)] == 0].T)] = False
    near = ndi.distance_transform_edt(missed) < 16
    return kept, (kept > 0) | (known & (labels == 0) & ~near)


def bare_tissue(rgb: Rgb, rng: Rng) -> Float:
    """Density (h, w, 3) of the tissue with its nuclei painted over from their surroundings."""
    od = augment.to_od(rgb)
    density = nuclear_density(rgb)
    local = density - 0.6 * ndi.gaussian_filter(density, 40)
    nuclei = ndi.binary_dilation(local > 0.75 * max(float(threshold_otsu(local)), 0.06), disk(3))
    keep = (~nuclei).astype(np.float32)
    weight = ndi.gaussian_filter(keep, 12)[..., None] + 1e-3
    mean = ndi.gaussian_filter(od * keep[..., None], (12, 12, 0)) / weight
    detail = np.where(nuclei[..., None], 0, od - mean)
    moved = np.roll(detail, tuple(rng.integers(40, 200, 2)), axis=(0, 1))
    return np.maximum(mean + np.where(nuclei[..., None], moved, detail), 0).astype(np.float32)
