"""A large image for a segmenter that wants small ones: windows, each cell owned by one of them.

What a segmenter of whole images finds depends on the image (thresholds, normalisation). Cut into
windows from its corner on, two images whose corners differ by whole steps give the same cells.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from histoprompt.core.geometry import Box
from histoprompt.core.labels.renumber import renumbered
from histoprompt.core.tiling import Tile

# Noise and vignetting of glass stay below it, stained nuclei are several times darker.
GLASS_CONTRAST = 25

Span = tuple[int, int]
Find = Callable[[NDArray[np.uint8]], NDArray[np.int32]]


class Stepped:
    """Tells somebody of every step of a long look at an image; see `roles.SteppedSegmenter`."""

    def __init__(self) -> None:
        self._before: Callable[[], object] = no_step

    def stepping(self, step: Callable[[], object]) -> Self:
        """The same model, which calls `step` before each window and before cells are parted."""
        found = copy.copy(self)
        found._before = step
        return found


class WindowedCells(Stepped):
    """A `CellSegmenter` from a function that labels one window.

    Parameters
    ----------
    find : callable
        (h, w, 3) uint8 to (h, w) int32 labels, 0 background.
    size, step : int
        Side of the windows, and pixels between them; the card's `windows`.
    least_contrast : int
        A window in which no channel varies by so much is glass, and shown to nobody. For
        networks that stretch the contrast of what they see, and find cells in bare noise.
    """

    def __init__(self, find: Find, size: int, step: int, least_contrast: int = 0) -> None:
        super().__init__()
        self._find, self._size, self._step = find, size, step
        self._least = least_contrast

    def segment(self, image: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Label an (h, w, 3) image: (h, w) int32, cells from 1 without gaps."""
        h, w = image.shape[:2]
        out = np.zeros((h, w), np.int32)
        for tile in windows((h, w), self._size, self._step):
            self._before()
            window = np.ascontiguousarray(image[tile.outer.slices()])
            if np.ptp(window, axis=(0, 1)).max() < self._least:
                continue
            found = _numbered(self._find(window))
            owned, view = _owned(found, tile), out[tile.outer.slices()]
            count = int(out.max())
            np.copyto(view, owned + count, where=(owned > 0) & (view == 0))
        return _numbered(out)


def windows(shape: tuple[int, ...], size: int, step: int) -> Iterator[Tile]:
    """The windows of an image from its corner on: what each sees, and what it owns.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image, and whatever comes after.
    size, step : int
        Side of the windows, and pixels between them.
    """
    for row in spans(shape[0], size, step):
        for col in spans(shape[1], size, step):
            outer, inner = (Box(r[0], c[0], r[1], c[1]) for r, c in zip(row, col, strict=True))
            yield Tile(0, 0, inner, outer)


def spans(length: int, size: int, step: int) -> list[tuple[Span, Span]]:
    """Along one axis: what each window sees, and what it owns (at a rim, up to the rim)."""
    margin, last = (size - step) // 2, max(0, -(-(length - size) // step))
    found = []
    for k in range(last + 1):
        start = k * step
        first = start + margin if k else 0
        end = start + step + margin if k < last else length
        found.append(((start, min(start + size, length)), (first, end)))
    return found


def no_step() -> None:
    """Nobody wants to know of windows."""


def _owned(labels: NDArray[np.int32], tile: Tile) -> NDArray[np.int32]:
    """The cells whose centroid the window owns, numbered from 1."""
    count = int(labels.max(initial=0))
    if not count:
        return labels
    centres = np.array(ndi.center_of_mass(labels > 0, labels, np.arange(1, count + 1)))
    at = centres.reshape(-1, 2) + np.array([tile.outer.r0, tile.outer.c0])
    return renumbered(labels, np.array([tile.owns(r, c) for r, c in at]))


def _numbered(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Numbers from 1 without gaps."""
    present = np.unique(labels)
    return np.searchsorted(present[present > 0], labels, side="right").astype(np.int32)
