"""What a simulated person points at in a field: nuclei, clumps of them, and regions of any kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.segmentation import felzenszwalb

from histoprompt.pipelines.evaluate.simulate import Rng
from histoprompt.training.augment import Rgb
from histoprompt.training.data import FIELD, Known, Labels, Sample

Region = NDArray[np.bool_]
LEAST = 12  # known pixels of a target


@dataclass(frozen=True, eq=False)
class Target:
    """One object within its window.

    Attributes
    ----------
    origin : (row, col)
        Of the window in the field.
    mask, known : (s, s) bool
    """

    origin: tuple[int, int]
    mask: Region
    known: Known


def pick_targets(sample: Sample, count: int, size: int, regions: float, rng: Rng) -> list[Target]:
    """Up to `count` objects of a field to be prompted; may be none.

    Parameters
    ----------
    size : int
        Side of the window each is seen in.
    regions : float
        Chance that they are regions of the image, as in Wong et al., "ScribblePrompt", 2024, and
        not nuclei.
    """
    if rng.random() < regions:
        pairs = [(m, np.ones_like(m)) for m in image_regions(sample.image, count, rng)]
    else:
        sure = True if sample.parted is None else sample.parted
        labels = np.where(sure, sample.labels, 0)
        pairs = [(m, sample.known) for m in nuclei_of(labels, count, rng)]
    found = [_windowed(redrawn(mask, rng), known, size, rng) for mask, known in pairs if mask.any()]
    return [t for t in found if (t.mask & t.known).sum() >= LEAST]


def nuclei_of(labels: Labels, count: int, rng: Rng, clumps: float = 0.06) -> Iterator[Region]:
    """Random nuclei of at least 30 px; at times all that touch one another."""
    groups, _ = ndi.label(labels > 0)
    areas = np.bincount(labels.ravel())
    for value in rng.permutation(1 + np.flatnonzero(areas[1:] >= 30))[:count]:
        one = labels == value
        yield groups == groups[tuple(np.argwhere(one)[0])] if rng.random() < clumps else one


def image_regions(image: Rgb, count: int, rng: Rng) -> Iterator[Region]:
    """Superpixels of an (h, w, 3) image with even sides, some of them joined or smoothed."""
    level = felzenszwalb(
        image[::2, ::2],
        scale=float(rng.choice([50, 150, 400, 1000])),
        sigma=0.8,
        min_size=int(rng.choice([40, 200, 600])),
    )
    level = level.repeat(2, 0).repeat(2, 1)
    names = rng.permutation(level.max() + 1)
    for name in names[:count]:
        region = level == name
        if rng.random() < 0.3:
            region = region | (level == rng.choice(names))
        if rng.random() < 0.3:
            region = ndi.gaussian_filter(region.astype(float), 3) > 0.5
        yield region


def redrawn(mask: Region, rng: Rng, chance: float = 0.6, shift: float = 1.0) -> Region:
    """The object as another annotator draws it: closer or wider by a pixel or so, or as it is.

    A network that has seen one hand only holds on to it, however often it is corrected.

    Parameters
    ----------
    chance : float
        Of being redrawn.
    shift : float
        Standard deviation in px of the outline's way outwards, 2 px at most.
    """
    if rng.random() >= chance:
        return mask
    outwards = float(np.clip(rng.normal(0, shift), -2, 2))
    at = _around(mask)
    near = mask[at]
    depth = ndi.distance_transform_edt(near) - ndi.distance_transform_edt(~near)
    drawn = np.zeros_like(mask)
    drawn[at] = ndi.gaussian_filter(depth, 0.7) > -outwards
    # Small nuclei and thin regions are not drawn away.
    return drawn if 2 * drawn.sum() > mask.sum() else mask


def _around(mask: Region, margin: int = 8) -> tuple[slice, ...]:
    """The part of an array that holds a mask, which is not empty, and some pixels around it."""
    hits = [np.flatnonzero(mask.any(axis)) for axis in (1, 0)]
    return tuple(slice(max(0, hit[0] - margin), hit[-1] + margin + 1) for hit in hits)


def window_origin(mask: Region, size: int, rng: Rng, wander: float = 7) -> tuple[int, int]:
    """A window of this side with the middle of a mask near its own, inside the field."""
    out = []
    for axis in (1, 0):
        hit = np.flatnonzero(mask.any(axis))
        start = round((hit[0] + hit[-1]) / 2 - size / 2 + rng.normal(0, wander))
        out.append(int(min(max(start, 0), mask.shape[1 - axis] - size)))
    return out[0], out[1]


def _windowed(mask: Region, known: Known, size: int, rng: Rng) -> Target:
    r, c = (0, 0) if size == FIELD else window_origin(mask, size, rng)
    at = np.s_[r : r + size, c : c + size]
    return Target((r, c), mask[at], known[at])
