"""What is read of a slide so that a cell segmenter sees a tile whole.

A segmenter cuts an image into windows from its corner on, and near the rim of a window sees less.
So that a nucleus is outlined alike whichever tile it is met in, images begin and end where windows
of one lattice over the whole slide do; beyond the slide they are filled by reflection.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.geometry import Box, Frame
from histoprompt.core.slides.slide import Slide
from histoprompt.models.card import ModelCard

# Raise it when segmenters are shown other pixels of the same tile: counts do not go on then.
ALGORITHM = 1
# The halo: microns around a tile within which the cells it owns lie. It is part of the key of a
# count (`count/key.py`), so nothing needs raising with it. Prompted cells and nuclei under a click
# use it too.
HALO_UM = 24.0
# A scale this near to the model's is left as it is.
TOLERANCE = 0.05
# Pixels beyond a frame that resampling looks at.
_APRON = 8


@dataclass(frozen=True, slots=True)
class WindowGrid:
    """The windows of a segmenter as they lie on a slide.

    Attributes
    ----------
    size, step : int
        Of the windows, in the model's pixels.
    pixels, per : int
        So many of the model's pixels are so many level-0 pixels, exactly.
    """

    size: int
    step: int
    pixels: int
    per: int

    @classmethod
    def of(cls, card: ModelCard, mpp: float) -> WindowGrid | None:
        """The lattice of a model on a slide, or None if the model has no windows."""
        if card.windows is None:
            return None
        size, step = card.windows
        unit = math.gcd(size, step)
        return cls(size, step, unit, max(1, round(unit / scale_of(card, mpp))))

    def to_level0(self, pixels: int) -> int:
        """Level-0 length of a whole number of units of the model's pixels."""
        return pixels // self.pixels * self.per

    def frame(self, box: Box) -> Frame:
        """The whole windows that hold a level-0 box; they may reach outside the slide."""
        size, step = self.to_level0(self.size), self.to_level0(self.step)
        r0, c0 = (math.floor(v / step) * step for v in (box.r0, box.c0))
        rows, cols = (
            max(0, math.ceil((end - start - size) / step))
            for start, end in ((r0, box.r1), (c0, box.c1))
        )
        outer = Box(r0, c0, r0 + size + rows * step, c0 + size + cols * step)
        return Frame(outer, (self.size + rows * self.step, self.size + cols * self.step))


def scale_of(card: ModelCard, mpp: float) -> float:
    """The model's pixels a level-0 pixel; 1 where that is nearly so."""
    scale = mpp / (card.mpp or mpp)
    return 1.0 if abs(scale - 1) < TOLERANCE else scale


def frame_around(inner: Box, slide: Slide, card: ModelCard) -> Frame:
    """Where to look for the cells of a tile.

    Parameters
    ----------
    inner : Box
        What the tile owns, level-0 pixels.
    slide : Slide
        Its mpp must be known.
    card : ModelCard
        Of a cell segmenter.
    """
    assert slide.mpp is not None
    halo = max(1, round(HALO_UM / slide.mpp))
    lattice = WindowGrid.of(card, slide.mpp)
    if lattice is not None:
        # windows share a half of their overlap at most, in the middle of it
        margin = (lattice.size - lattice.step) * 3 // 4 / lattice.pixels * lattice.per
        return lattice.frame(inner.pad(halo + math.ceil(margin)))
    outer = inner.pad(halo).intersection(slide.box)
    assert outer is not None
    scale = scale_of(card, slide.mpp)
    if scale == 1.0:
        return Frame(outer, outer.shape)
    return Frame(outer, (max(1, round(outer.height * scale)), max(1, round(outer.width * scale))))


def read_frame(slide: Slide, frame: Frame) -> NDArray[np.uint8]:
    """The (rows, cols, 3) image of a frame; what lies outside the slide is reflected.

    The image is the same whichever frame of a lattice a pixel is read in.
    """
    if slide.box.covers(frame.box):
        return slide.read(frame.box, frame.shape)[0]
    # as far into the slide as the frame reaches out of it, so that there is enough to reflect
    reach = max(frame.box.shape)
    there = frame.box.pad(reach).intersection(slide.box)
    assert there is not None
    image = slide.read(there)[0]
    if frame.box.shape == frame.shape:
        return _padded(image, there, frame.box)
    wide = Slide.from_arrays("reflected", _padded(image, there, frame.box.pad(_APRON)))
    return wide.read(wide.box.pad(-_APRON), frame.shape)[0]


def _padded(image: NDArray[np.uint8], there: Box, wanted: Box) -> NDArray[np.uint8]:
    """The pixels of `wanted` from an image of `there`, by reflection where they are missing."""
    rows = _reflected(int(wanted.r0 - there.r0), wanted.shape[0], image.shape[0])
    cols = _reflected(int(wanted.c0 - there.c0), wanted.shape[1], image.shape[1])
    return np.ascontiguousarray(image[np.ix_(rows, cols)])


def _reflected(start: int, count: int, size: int) -> NDArray[np.intp]:
    """Indices start ... start + count, mirrored at both ends of an axis of this size."""
    index = np.arange(start, start + count) % (2 * size)
    return np.minimum(index, 2 * size - 1 - index).astype(np.intp)
