"""Coarser levels for a slide whose file has none, made where they are looked at."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.geometry import Box
from histoprompt.core.slides.levels import RgbLevel
from histoprompt.core.slides.resample import read_resampled
from histoprompt.core.slides.slide import LevelArray, Slide

# A viewer reads the coarsest level whole, so it must not have more pixels a side than this.
LARGEST_OVERVIEW = 8192
_FACTOR, _BLOCK = 4, 256
_KEPT_BYTES = 256 * 2**20
NOTE = "the file has no coarse levels: overviews are made when looked at; a pyramid opens faster"


def with_overviews(slide: Slide, largest: int = LARGEST_OVERVIEW) -> Slide:
    """Add made levels, each a quarter of the one before, until the coarsest is small enough.

    Nothing is read here. A slide whose coarsest level has at most `largest` pixels a side is
    returned as it is.
    """
    base = slide.levels[-1]
    made: list[LevelArray] = []
    factor = 1
    while max(base.shape[:2]) / factor > largest:
        factor *= _FACTOR
        made.append(RgbLevel(MadeLevel(base, factor), "YXS", slide.name, chunks=(_BLOCK, _BLOCK)))
    if not made:
        return slide
    return replace(slide, levels=(*slide.levels, *made), notes=(*slide.notes, NOTE))


def stored_pixels(slide: Slide, downsample: float) -> int:
    """Pixels of the file that are decoded to read a whole slide at so many pixels a pixel."""
    level = slide.levels[slide.level_for(downsample)]
    return int(getattr(level, "stored_pixels", level.shape[0] * level.shape[1]))


class MadeLevel:
    """Area means of a finer level, computed a block at a time.

    Blocks are kept if the whole level is small enough to keep; the array they go to takes memory
    only where it has been written.

    Parameters
    ----------
    finer : (H, W, 3) uint8 array-like
    factor : int
        Pixels of the finer level a side of each pixel here.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, finer: LevelArray, factor: int) -> None:
        self._finer, self._factor = finer, factor
        h, w = (-(-n // factor) for n in finer.shape[:2])
        self.shape = (h, w, 3)
        self.stored_pixels = int(finer.shape[0]) * int(finer.shape[1])
        self._blocks = -(-h // _BLOCK), -(-w // _BLOCK)
        self._kept: NDArray[np.uint8] | None = None
        if h * w * 3 <= _KEPT_BYTES:
            self._kept = np.empty(self.shape, np.uint8)
        self._done = np.zeros(self._blocks, bool)
        self._lock = threading.Lock()

    def __getitem__(self, key: tuple[slice, slice, slice]) -> NDArray[Any]:
        rows, cols, channels = key
        if self._kept is None:
            wanted = self._make(Box(rows.start, cols.start, rows.stop, cols.stop))
            return wanted[:: rows.step, :: cols.step, channels]
        for i in range(rows.start // _BLOCK, -(-rows.stop // _BLOCK)):
            for j in range(cols.start // _BLOCK, -(-cols.stop // _BLOCK)):
                self._keep(self._kept, i, j)
        return self._kept[key].copy()

    def _keep(self, kept: NDArray[np.uint8], i: int, j: int) -> None:
        with self._lock:
            if self._done[i, j]:
                return
            box = Box(i * _BLOCK, j * _BLOCK, (i + 1) * _BLOCK, (j + 1) * _BLOCK)
            box = box.intersection(Box.of_shape(self.shape)) or box
            kept[box.slices()] = self._make(box)
            self._done[i, j] = True

    def _make(self, box: Box) -> NDArray[np.uint8]:
        there = Box(*(v * self._factor for v in box))
        inside = there.intersection(Box.of_shape(self._finer.shape))
        blank = getattr(self._finer, "is_blank", None)
        if inside is not None and blank is not None and blank(*inside.slices()):
            return np.full((*box.shape, 3), 255, np.uint8)
        return read_resampled(self._finer, there, box.shape)
