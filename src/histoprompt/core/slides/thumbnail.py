"""A small picture of a slide, for lists."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.geometry import Box
from histoprompt.core.slides.resample import read_resampled
from histoprompt.core.slides.slide import Slide


def thumbnail(slide: Slide, side: int) -> NDArray[np.uint8]:
    """The whole slide as a picture.

    Parameters
    ----------
    slide : Slide
    side : int
        Pixels of its longer side.

    Returns
    -------
    (h, w, 3) uint8
    """
    longest = max(slide.shape)
    rows, cols = (max(1, round(extent * side / longest)) for extent in slide.shape)
    level = slide.levels[slide.level_for(longest / side)]
    return read_resampled(level, Box.of_shape(level.shape), (rows, cols))
