"""Examples that are searched by: pictures, and places on slides, as vectors of the encoder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import PromptError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.embedding.tile_plan import moved_inside
from histoprompt.pipelines.embedding.tiles import EmbedJob, read_square
from histoprompt.pipelines.explore.index import SlideIndex

_BOX = re.compile(r"^(?:(?P<slide>.+):)?(?P<box>-?\d+(?:\s*,\s*-?\d+){3})$")
# Windows of one example that are looked at, evenly over a large one.
MOST_WINDOWS = 64


@dataclass(frozen=True)
class Example:
    """What somebody points at.

    Attributes
    ----------
    place : str
        Of a box: the slide's name or path, the first slide if empty. Of a picture: its path.
    box : Box or None
        Integer level-0 pixels of the slide; None for a picture.
    """

    place: str
    box: Box | None = None

    @classmethod
    def parse(cls, text: str) -> Example:
        """Read ``r0,c0,r1,c1``, ``SLIDE:r0,c0,r1,c1`` or the path of a picture.

        Raises
        ------
        PromptError
            If it is none of them.
        """
        match = _BOX.match(text.strip())
        if match is None:
            if not text.strip():
                raise PromptError("An example is empty: give a picture, or a box r0,c0,r1,c1.")
            if re.fullmatch(r"[\d\s,.;-]+", text):
                raise PromptError(
                    f"The example {text!r} is no box. A box is four whole numbers r0,c0,r1,c1 in "
                    "level-0 pixels."
                )
            return cls(text)
        try:
            box = Box(*map(int, match["box"].split(",")))
        except RegionError as error:
            raise PromptError(f"The example {text!r}: {error}") from error
        return cls(match["slide"] or "", box)

    def __str__(self) -> str:
        if self.box is None:
            return Path(self.place).name
        numbers = ",".join(f"{v:g}" for v in self.box)
        return f"{self.place}:{numbers}" if self.place else numbers


def windows_of(box: Box, slide: Slide, side: int) -> list[Box]:
    """What the encoder is shown of a box: one window on its middle, or several over a larger one.

    Parameters
    ----------
    box : Box
        On the slide.
    slide : Slide
    side : int
        Level-0 pixels a side of a window.

    Raises
    ------
    RegionError
        If the box does not lie on the slide.
    """
    if not slide.box.covers(box):
        raise RegionError(
            f"The example {','.join(f'{v:g}' for v in box)} lies outside {slide.name}, which has "
            f"{slide.shape[0]} rows and {slide.shape[1]} columns."
        )
    starts = [_starts(low, high, side) for low, high in ((box.r0, box.r1), (box.c0, box.c1))]
    every = [Box(r, c, r + side, c + side) for r in starts[0] for c in starts[1]]
    chosen = np.unique(np.linspace(0, len(every) - 1, min(MOST_WINDOWS, len(every))).astype(int))
    return [moved_inside(every[k], slide.box) for k in chosen]


def _starts(low: float, high: float, side: int) -> list[int]:
    """Where windows begin that lie evenly in an interval; one in its middle if it is short."""
    count = max(1, round((high - low) / side))
    if count == 1:
        return [round((low + high - side) / 2)]
    return [round(v) for v in np.linspace(low, high - side, count)]


def look_at_box(
    box: Box, slide: Slide, index: SlideIndex, job: EmbedJob, task: Task
) -> NDArray[np.float32]:
    """(k, d) vectors of what a box on a slide shows, at the magnification of an index."""
    return _look(slide, windows_of(box, slide, _side(slide, index)), index.pixels, job, task)


def look_at_picture(
    picture: Slide, index: SlideIndex, job: EmbedJob, task: Task
) -> NDArray[np.float32]:
    """(k, d) vectors of a picture, at the magnification of an index."""
    windows = windows_of(picture.box, picture, _side(picture, index))
    return _look(picture, windows, index.pixels, job, task)


def _side(slide: Slide, index: SlideIndex) -> int:
    """Level-0 pixels of a slide, or of a picture, that a tile of an index covers."""
    if slide.mpp is None or index.mpp is None:
        return index.side
    return max(1, round(index.side * index.mpp / slide.mpp))


def _look(
    slide: Slide, windows: Sequence[Box], pixels: int, job: EmbedJob, task: Task
) -> NDArray[np.float32]:
    return job.embed(task, np.stack([read_square(slide, w, pixels) for w in windows]))
