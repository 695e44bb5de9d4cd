"""Whether a small picture is a reduction of a large one, by what both show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import SlideError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.levels import RgbLevel
from histoprompt.core.slides.resample import read_resampled

# A small picture of at most this many pixels is looked over for where something is to be seen; of a
# larger one an even grid of places is taken.
_LOOKED_OVER = 2**24
_OVERVIEW, _PLACES, _GRID = 256, 12, 8
# Pixels of the large picture a side of a place.
_SIDE = 512
# Grey values: what varies more is structure; structure may differ by the sharpness of the writer's
# filter, glass hardly at all.
_STRUCTURE, _APART, _GLASS_APART = 5.0, 25.0, 10.0
_ALIKE = 0.5


def same_picture(full: RgbLevel, small: RgbLevel) -> bool:
    """Whether `small` shows what `full` shows, of which it has the form.

    Where there is structure it must run alike in both; where both are plain they must be of the
    same brightness.

    Returns
    -------
    bool
        False as well if pixels cannot be decoded.
    """
    try:
        pairs = [_pair(full, small, box) for box in _boxes(full, small)]
    except SlideError:
        return False
    rough = [(a, b) for a, b in pairs if max(a.std(), b.std()) > _STRUCTURE]
    flat = [(a, b) for a, b in pairs if max(a.std(), b.std()) <= _STRUCTURE]
    if flat and max(abs(float(a.mean() - b.mean())) for a, b in flat) > _GLASS_APART:
        return False
    if not rough:
        return True
    a, b = (np.concatenate([(p[i] - p[i].mean()).ravel() for p in rough]) for i in (0, 1))
    apart = np.mean([abs(float(p[0].mean() - p[1].mean())) for p in rough])
    alike = float(a @ b) / float(np.sqrt((a @ a) * (b @ b)) + 1e-9)
    return alike > _ALIKE and float(apart) < _APART


def _boxes(full: RgbLevel, small: RgbLevel) -> list[Box]:
    """Places in pixels of the small picture."""
    h, w = small.shape[:2]
    factor = full.shape[1] / w
    side = int(min(max(8, _SIDE // factor), 64, h, w))
    if h * w <= _LOOKED_OVER:
        return _busiest(small, side)
    rows = np.linspace(0, h - side, _GRID).astype(int)
    cols = np.linspace(0, w - side, _GRID).astype(int)
    return [Box(int(r), int(c), int(r) + side, int(c) + side) for r in rows for c in cols]


def _busiest(small: RgbLevel, side: int) -> list[Box]:
    """Where most is to be seen, and the corners of the picture."""
    h, w = small.shape[:2]
    shrink = max(1.0, max(h, w) / _OVERVIEW)
    shape = max(1, round(h / shrink)), max(1, round(w / shrink))
    grey = read_resampled(small, Box(0, 0, h, w), shape).mean(axis=2)
    change = np.abs(np.diff(grey, axis=0, append=grey[-1:]))
    change += np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    order = np.argsort(change, axis=None)[:: -max(1, change.size // (20 * _PLACES))][:_PLACES]
    places = [
        (r * shrink, c * shrink) for r, c in zip(*np.unravel_index(order, shape), strict=True)
    ]
    places += [(0, 0), (h, w), (0, w), (h, 0)]
    whole = Box(0, 0, h, w)
    boxes = [Box.around(r, c, side).to_pixels().shift_inside(whole) for r, c in places]
    return [b.to_pixels() for b in dict.fromkeys(boxes)]


def _pair(
    full: RgbLevel, small: RgbLevel, box: Box
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What both show of a place, grey, at half the resolution of the small one."""
    down, across = (full.shape[i] / small.shape[i] for i in (0, 1))
    shape = max(1, box.shape[0] // 2), max(1, box.shape[1] // 2)
    there = Box(box.r0 * down, box.c0 * across, box.r1 * down, box.c1 * across)
    large = read_resampled(full, there, shape).mean(axis=2)
    return large, read_resampled(small, box, shape).mean(axis=2)
