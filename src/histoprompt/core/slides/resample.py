"""One region of an array at another resolution, placed to a fraction of a pixel."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histoprompt.core.geometry import Box

if TYPE_CHECKING:
    from histoprompt.core.slides.slide import LevelArray

# Source pixels that are held at once; more are read in bands (100 MB of RGB).
BAND_PIXELS = 2**25


def read_resampled(
    level: LevelArray, box: Box, shape: tuple[int, int], band_pixels: int = BAND_PIXELS
) -> NDArray[np.uint8]:
    """Read `box` of a level as an array of another shape.

    Shrinking averages the area under each new pixel; growing interpolates linearly. A source too
    large to hold is read in bands of rows, so memory stays bounded whatever the box.

    Parameters
    ----------
    level : (H, W, 3) uint8 array-like
    box : Box
        In the level's own pixels, half-open, fractional sides allowed. It may reach a little over
        the level's edge, where the last pixels are repeated.
    shape : (rows, cols)
        Of the result.

    Returns
    -------
    (rows, cols, 3) uint8
    """
    rows, cols = shape
    whole = all(float(v).is_integer() for v in box)
    if whole and box.shape == shape and Box.of_shape(level.shape).covers(box):
        return np.asarray(level[box.slices()])
    count = min(rows, max(1, math.ceil(box.area / band_pixels)))
    out = np.empty((rows, cols, 3), np.uint8)
    edges = np.linspace(0, rows, count + 1, dtype=int)
    step = box.height / rows
    for first, last in pairwise(edges):
        part = Box(box.r0 + first * step, box.c0, box.r0 + last * step, box.c1)
        out[first:last] = _resize(level, part, (int(last - first), cols))
    return out


def _resize(level: LevelArray, box: Box, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Read the pixels under the box with the filter's margin around them, and resize."""
    scale = box.height / shape[0], box.width / shape[1]
    margin = math.ceil(max(1.0, *scale)) + 1
    rows = _span(box.r0, box.r1, margin, level.shape[0])
    cols = _span(box.c0, box.c1, margin, level.shape[1])
    image = np.asarray(level[slice(*rows), slice(*cols)])
    image = _repeat_edge(image, box.r1 - rows[0], box.c1 - cols[0])
    left, top = box.c0 - cols[0], box.r0 - rows[0]
    place = (left, top, left + box.width, top + box.height)
    size = image.shape[1], image.shape[0]
    inside = (place[0], place[1], min(place[2], size[0]), min(place[3], size[1]))
    resized = Image.fromarray(image).resize(shape[::-1], _filter(scale, inside), box=inside)
    return np.asarray(resized)


def _span(start: float, stop: float, margin: int, length: int) -> tuple[int, int]:
    first = min(max(0, math.floor(start) - margin), length - 1)
    return first, max(first + 1, min(length, math.ceil(stop) + margin))


def _repeat_edge(image: NDArray[np.uint8], bottom: float, right: float) -> NDArray[np.uint8]:
    """Make up the fraction of a pixel that a level cut to whole pixels lacks."""
    down = max(0, math.ceil(bottom - 1e-6) - image.shape[0])
    across = max(0, math.ceil(right - 1e-6) - image.shape[1])
    if not (down or across):
        return image
    return np.pad(image, ((0, down), (0, across), (0, 0)), mode="edge")


def _filter(
    scale: tuple[float, float], place: tuple[float, float, float, float]
) -> Image.Resampling:
    """Choose the filter: the plain mean where pixels fit whole, else one that weighs fractions.

    Pillow's box filter takes whole source pixels only, so off the grid it would shift the
    picture by up to half of one.
    """
    if min(scale) < 1:
        return Image.Resampling.BILINEAR
    if all(float(v).is_integer() for v in (*scale, *place)):
        return Image.Resampling.BOX
    return Image.Resampling.HAMMING
