"""People made up: where they click and scribble on an object.

The kinds of clicks and scribbles follow Wong et al., "ScribblePrompt", 2024. Regions are (h, w)
bool; positions are (row, col).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.draw import line
from skimage.morphology import skeletonize
from skimage.transform import resize

Region: TypeAlias = NDArray[np.bool_]
Rng: TypeAlias = np.random.Generator


def random_click(region: Region, rng: Rng) -> NDArray[np.intp]:
    """Any pixel of a non-empty region, (2,)."""
    where = np.argwhere(region)
    return np.asarray(where[rng.integers(len(where))])


def centre_click(region: Region, rng: Rng | None = None) -> NDArray[np.intp]:
    """The deepest pixel of a non-empty region; the array's edge counts as outside."""
    depth = ndi.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    best = np.argwhere(depth == depth.max())
    return np.asarray(best[0 if rng is None else rng.integers(len(best))])


def correcting_click(
    mask: Region, target: Region, points: Sequence[NDArray[np.intp]]
) -> tuple[NDArray[np.intp], bool] | None:
    """The middle of the deeper error, and whether it lies inside the object.

    Parameters
    ----------
    mask, target : (h, w) bool
        The answer, and what it should be.
    points : sequence of (2,) intp
        Clicks made before: their pixels are not clicked again.

    Returns
    -------
    (2,) intp and bool, or None
        None if nothing is wrong that has not been clicked.
    """
    clicked = np.zeros_like(target)
    clicked[tuple(np.array(points).T)] = True
    missed, extra = (wrong & ~clicked for wrong in (target & ~mask, mask & ~target))
    inside = _depth(missed) >= _depth(extra)
    wrong = missed if inside else extra
    return (centre_click(wrong), inside) if wrong.any() else None


def _depth(region: Region) -> float:
    return float(ndi.distance_transform_edt(np.pad(region, 1)).max())


def border_click(region: Region, rng: Rng) -> NDArray[np.intp]:
    """A pixel of a non-empty region close to its outline."""
    depth = ndi.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    return random_click(region & (depth <= max(1.0, 0.35 * depth.max())), rng)


def click(region: Region, rng: Rng) -> NDArray[np.intp]:
    """A click of any kind."""
    kind = rng.choice(3, p=(0.45, 0.4, 0.15))
    return (random_click, centre_click, border_click)[kind](region, rng)


def line_scribble(region: Region, rng: Rng) -> Region:
    """Straight lines between two or three pixels of the region."""
    out = np.zeros_like(region)
    stops = [random_click(region, rng) for _ in range(int(rng.integers(2, 4)))]
    for (r0, c0), (r1, c1) in pairwise(stops):
        out[line(r0, c0, r1, c1)] = True
    return out


def centre_scribble(region: Region, rng: Rng) -> Region:
    """The skeleton of the region."""
    return np.asarray(skeletonize(region))


def contour_scribble(region: Region, rng: Rng) -> Region:
    """The outline of the region drawn in at a random depth."""
    depth = ndi.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    inner = depth > rng.uniform(0.15, 0.7) * depth.max()
    return np.asarray(inner & ~ndi.binary_erosion(inner))


def scribble(region: Region, rng: Rng) -> Region:
    """A scribble of any kind, broken at random, one to three pixels thick, inside the region."""
    kind = rng.integers(3)
    drawn = (line_scribble, centre_scribble, contour_scribble)[kind](region, rng)
    holes = smooth_noise(region.shape, rng.uniform(4, 12), rng) > rng.uniform(0.3, 0.7)
    broken = drawn & holes & region
    if not broken.any():
        broken = drawn & region if (drawn & region).any() else region
    return broken if rng.random() < 0.5 else ndi.binary_dilation(broken) & region


def jittered_box(target: Region, rng: Rng, spread: float = 2.0) -> tuple[int, int, int, int]:
    """The box of a non-empty region, half-open, each side moved by a normal of that sd."""
    rows, cols = np.flatnonzero(target.any(1)), np.flatnonzero(target.any(0))
    true = np.array([rows[0], cols[0], rows[-1] + 1, cols[-1] + 1])
    r0, c0, r1, c1 = np.rint(true + rng.normal(0, spread, 4)).astype(int)
    h, w = target.shape
    r0, c0 = min(max(r0, 0), h - 1), min(max(c0, 0), w - 1)
    return r0, c0, min(max(r1, r0 + 1), h), min(max(c1, c0 + 1), w)


def smooth_noise(shape: tuple[int, int], sigma: float, rng: Rng) -> NDArray[np.float32]:
    """Smooth random texture in [0, 1], (h, w)."""
    coarse = max(2, round(2 / max(sigma / 8, 0.25)))
    small = rng.random([max(2, round(n / max(1, sigma / coarse))) for n in shape])
    field = ndi.gaussian_filter(small, coarse, mode="wrap")
    field = (field - field.min()) / (np.ptp(field) + 1e-6)
    return np.asarray(resize(field, shape, order=1), np.float32)
