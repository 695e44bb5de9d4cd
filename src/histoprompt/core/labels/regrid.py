"""Labels on another grid of pixels: where they were, and as large as they were.

A pixel of the new grid that falls between two of the old one belongs to neither more than to the
other. Taking always the same of the two moves every object by a quarter of a pixel; giving such
pixels to objects makes all of them larger. So each object is given as many pixels as its area asks
for, those first that it fills most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.geometry import Frame

# Where a new pixel is looked at along an axis, in its own size from its centre, and the weights. A
# little off the quarters, where the pixels of models twice and four times as fine meet.
_AT = (-0.74, -0.26, 0.26, 0.74)
_WEIGHTS = np.outer((1, 3, 3, 1), (1, 3, 3, 1)).ravel() / 64
# Of these 16 places, the four nearest to the centre.
_NEAR = (5, 6, 9, 10)


def regrid(labels: NDArray[np.int32], source: Frame, target: Frame) -> NDArray[np.int32]:
    """Labels that lie at one frame, on the pixels of another.

    Growing repeats the nearest pixel. Shrinking keeps the area and the middle of every object to a
    fraction of a new pixel, and leaves at least one pixel of each that has its share of one.

    Parameters
    ----------
    labels : (h, w) int32
        0 background, objects from 1.
    source, target : Frame
        Where `labels` and the result lie; nothing lies outside of `source`.

    Returns
    -------
    (rows, cols) int32
    """
    ratio = [s / t for s, t in zip(source.scale, target.scale, strict=True)]
    empty = np.pad(labels, ((0, 1), (0, 1)))  # one more row and column: what lies outside
    if min(ratio) > 1 - 1e-9:
        rows, cols = (_places(source, target, axis, 0.0) for axis in (0, 1))
        return np.asarray(empty[np.ix_(rows, cols)])
    rows, cols = (np.stack([_places(source, target, axis, at) for at in _AT]) for axis in (0, 1))
    near = [empty[np.ix_(rows[k // 4], cols[k % 4])] for k in _NEAR]
    same = (near[0] == near[1]) & (near[0] == near[2]) & (near[0] == near[3])
    out = np.where(same, near[0], 0).astype(np.int32)
    r, c = np.nonzero(~same)
    if not len(r):
        return out
    seen = np.stack([empty[rows[k // 4, r], cols[k % 4, c]] for k in range(16)], axis=1)
    wanted = _pixels(labels, source, target, ratio[0] * ratio[1])
    middles, places = _middles(labels, source, target), np.stack([r, c], axis=1)
    free = np.ones(len(r), bool)
    for rank in (0, 1):  # what the first of two neighbours does not need the other may have
        owner, share = _owners(seen, rank)
        missing = wanted - np.bincount(out.ravel(), minlength=len(wanted))
        far = ((places - middles[owner]) ** 2).sum(axis=1).round(6)
        kept = _first(owner, share, far, np.where(np.arange(len(missing)), missing, 0), free)
        out[r[kept], c[kept]] = owner[kept]
        free &= ~kept
    return out


def _places(source: Frame, target: Frame, axis: int, at: float) -> NDArray[np.intp]:
    """For each row (or column) of the target the one of the source; one past the last if none."""
    points = np.zeros((target.shape[axis], 2))
    points[:, axis] = np.arange(target.shape[axis]) + at
    found = np.rint(source.to_array(target.to_slide(points))[:, axis]).astype(np.intp)
    size = source.shape[axis]
    return np.where((found >= 0) & (found < size), found, size)


def _owners(seen: NDArray[np.int32], rank: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Of (n, 16) labels around n pixels, the one each belongs to if to any, and how much.

    With `rank` 1 the next one; 0 where there is none.
    """
    near = seen[:, _NEAR]
    share = np.stack([(seen == label[:, None]) @ _WEIGHTS for label in near.T], axis=1)
    share[near == 0] = -1
    every = np.arange(len(seen))
    best = share.argmax(axis=1)
    if rank:
        share[near == near[every, best][:, None]] = -1
        best = share.argmax(axis=1)
    return np.where(share[every, best] > 0, near[every, best], 0), share[every, best]


def _pixels(
    labels: NDArray[np.int32], source: Frame, target: Frame, ratio: float
) -> NDArray[np.int64]:
    """How many pixels of the target the part of each object that lies in it asks for."""
    inside = []
    for axis in (0, 1):
        points = np.zeros((source.shape[axis], 2))
        points[:, axis] = np.arange(source.shape[axis])
        at = target.to_array(source.to_slide(points))[:, axis]
        inside.append(np.flatnonzero((at >= -0.5) & (at < target.shape[axis] - 0.5)))
    count = int(labels.max(initial=0)) + 1
    areas = np.bincount(labels[np.ix_(*inside)].ravel(), minlength=count)
    return np.asarray(np.where(areas > 0, np.maximum(np.rint(areas * ratio), 1), 0), np.int64)


def _middles(labels: NDArray[np.int32], source: Frame, target: Frame) -> NDArray[np.float64]:
    """The middle of each object, 0 first, (n, 2) in pixels of the target."""
    rows, cols = np.nonzero(labels)
    of = labels[rows, cols]
    areas = np.maximum(np.bincount(of), 1)
    sums = np.stack([np.bincount(of, weights=axis) for axis in (rows, cols)], axis=1)
    return target.to_array(source.to_slide(sums / areas[:, None]))


def _first(
    owner: NDArray[np.int32],
    share: NDArray[np.float64],
    far: NDArray[np.float64],
    missing: NDArray[np.int64],
    free: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Which pixels their owners get: as many as each is missing, the fullest and nearest first."""
    order = np.lexsort((far, -share.round(6), owner, ~free))[: int(free.sum())]
    sorted_owner = owner[order]
    starts = np.searchsorted(sorted_owner, sorted_owner)
    kept = np.zeros(len(owner), bool)
    kept[order] = np.arange(len(order)) - starts < missing[sorted_owner]
    return kept
