"""The corner of the scanned part of a slide, from which some programs count positions."""

from __future__ import annotations

from histoprompt.core.errors import LabelError
from histoprompt.core.slides.slide import Slide

BOUNDS_X, BOUNDS_Y = "openslide.bounds-x", "openslide.bounds-y"
"""Properties of a slide, as OpenSlide names them: level-0 column and row of the corner."""


def bounds_corner(slide: Slide) -> tuple[float, float]:
    """Level-0 (row, col) of the first pixel of the scanned part.

    Raises
    ------
    LabelError
        If the slide does not state it, or states a place that is not on it.
    """
    told = {name: slide.properties.get(name, "") for name in (BOUNDS_Y, BOUNDS_X)}
    missing = [name for name, text in told.items() if not text]
    if missing:
        raise LabelError(
            f"{slide.name} does not state {' and '.join(missing)}, the corner of its scanned part. "
            "Give the offset as two numbers, row and column."
        )
    places = []
    for (name, text), size in zip(told.items(), slide.shape, strict=True):
        if not (text.isascii() and text.isdigit() and int(text[:12]) < size):
            raise LabelError(
                f"{slide.name} states {name} as {text[:24]!r}, but has {size} pixels in that "
                "direction. Give the offset as two numbers, row and column."
            )
        places.append(float(text))
    return places[0], places[1]
