"""Opening the slides that tiles are of, to read pictures of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide
from histoprompt.pipelines.explore.pictures import Opener
from histoprompt.pipelines.explore.tile_set import TiledSlide


def opener_of(*opened: Slide) -> Opener:
    """Opens slides by their path; those given are open, and stay so."""
    known = {slide.key: slide for slide in opened}

    @contextmanager
    def opening(tiled: TiledSlide) -> Iterator[Slide]:
        if tiled.key in known:
            yield known[tiled.key]
            return
        with open_slide(tiled.path, tiled.mpp) as slide:
            yield slide

    return opening
