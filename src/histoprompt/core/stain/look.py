"""Whether a picture looks like stained tissue in bright light at all, with its colours in order.

Everything that finds, measures and scores cells is made for H&E and H-DAB. A fluorescence image, or
one whose red and blue were exchanged by some converter, gives numbers all the same, so a person is
told before they are believed.

In H&E nuclei and the pink around them differ in how much red they absorb for the green they absorb
(0.93 against 0.07 for the published dyes) far more than in blue (0.41 against 0.11). With red and
blue exchanged it is the other way round. H-DAB differs most in blue as well, but its blue nuclei
absorb as much red as green, which nothing in an exchanged picture does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import SlideError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.overview import stored_pixels
from histoprompt.core.slides.slide import Slide
from histoprompt.core.stain.deconvolution import is_dark

FLUORESCENCE = (
    "this looks like fluorescence (bright on a dark ground), not like stained tissue in bright "
    "light: cells, dyes and densities found in it are not to be relied on"
)
EXCHANGED = (
    "red and blue look exchanged: nuclei absorb blue where they should absorb red. Check the "
    "colours against another viewer and export the slide again before you rely on any number"
)

# Densities a stained pixel has in green, and the fewest of them that tell anything.
_LEAST, _MOST_DENSE, _FEWEST = 0.12, 1.6, 100
# How much wider the spread in red over green is in H&E than in blue over green, as a logarithm to
# base 2: 0.1 to 1.9 in 210 of 212 fields of six sources; and how much red for its green the bluest
# twentieth of a picture absorbs: from 0.85 where there is any blue dye.
_SPREAD, _BLUE = -0.3, 0.9
_SPARE = 0.02
# Where the glass is darker than this it is no glass.
_DARKEST_GLASS = 120.0

# How much of a slide is looked at: an overview if that costs no more than so many pixels of the
# file, else so many fields of so many pixels a side.
_CHEAP, _OVERVIEW = 2**24, 1024
_FIELDS, _SIDE = 4, 256


def doubts_of(image: NDArray[np.uint8]) -> tuple[str, ...]:
    """What makes a picture doubtful as stained tissue in bright light.

    Parameters
    ----------
    image : (h, w, 3) uint8 RGB
        Some tissue and perhaps glass, at 0.25 to 8 um a pixel.

    Returns
    -------
    tuple of str
        Sentences for a person; empty for H&E, H-DAB, grey pictures and those with too little stain
        to tell.
    """
    if is_dark(image):
        return (FLUORESCENCE,)
    return (EXCHANGED,) if _is_exchanged(image.reshape(-1, 3)) else ()


def look_at(slide: Slide) -> tuple[str, ...]:
    """The doubts about a slide, from a cheap look at it; none if its pixels cannot be decoded."""
    try:
        return doubts_of(_some_of(slide))
    except SlideError:
        return ()


def _some_of(slide: Slide) -> NDArray[np.uint8]:
    shrink = max(1.0, max(slide.shape) / _OVERVIEW)
    if stored_pixels(slide, shrink) <= _CHEAP:
        shape = tuple(max(1, round(n / shrink)) for n in slide.shape)
        return slide.read(slide.box, (shape[0], shape[1]))[0]
    rows, cols = (np.linspace(0, n, 2 * _FIELDS + 1)[1::2] for n in slide.shape)
    fields = [
        slide.read(Box.around(r, c, _SIDE).to_pixels().shift_inside(slide.box))[0]
        for r in rows
        for c in cols
    ]
    return np.concatenate([field.reshape(-1, 1, 3) for field in fields])


def _is_exchanged(pixels: NDArray[np.uint8]) -> bool:
    white = np.maximum(np.percentile(pixels, 99, axis=0), _DARKEST_GLASS)
    density = np.maximum(-np.log10((pixels.astype(np.float32) + 1) / (white + 1)), 0)
    stained = density[(density[:, 1] > _LEAST) & (density.max(axis=1) < _MOST_DENSE)]
    if len(stained) < _FEWEST:
        return False
    red, blue = stained[:, 0] / stained[:, 1], stained[:, 2] / stained[:, 1]
    spreads = [float(np.subtract(*np.percentile(v, [95, 5]))) + _SPARE for v in (red, blue)]
    spread = float(np.log2(spreads[0] / spreads[1]))
    return spread < _SPREAD and float(np.percentile(red, 95)) < _BLUE
