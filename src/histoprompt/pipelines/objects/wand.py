"""A region by one click: the tissue around a place that looks like it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from histoprompt.annotations.store import Change, LabelStore
from histoprompt.core.classical.wand import like_it
from histoprompt.core.errors import PromptError
from histoprompt.core.geometry import Frame
from histoprompt.core.parameters import Parameter, check
from histoprompt.core.results import Mask
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.objects.draw import Keeping, keep_mask

# Pixels a side of the picture that is looked at.
SIDE = 1024

REACH = Parameter(
    "Wand",
    "How different from the clicked place tissue may look and still be taken: 2 is just seen, 100 "
    "is black against white.",
    low=1.0,
    high=100.0,
)


@dataclass(frozen=True)
class WandParams:
    """How far the wand reaches.

    Attributes
    ----------
    tolerance : float
        Colour difference to the place that is clicked, CIELAB units.
    """

    tolerance: Annotated[float, REACH] = 10.0

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Touch:
    """Where the wand touches a slide.

    Attributes
    ----------
    area : Frame
        What is in sight, at the resolution at which it is seen; at most `SIDE` pixels a side of it
        are looked at.
    at : (row, col)
        Level-0 pixels.
    params : WandParams
    """

    area: Frame
    at: tuple[float, float]
    params: WandParams = WandParams()


def wand(slide: Slide, touch: Touch, task: Task) -> Mask:
    """What looks like a place, and is joined to it.

    Raises
    ------
    PromptError
        If the place is not in the area.
    SlideError
        If the slide cannot be read.
    Cancelled
        If the user cancelled.
    """
    box = touch.area.box.to_pixels().intersection(slide.box)
    if box is None or not box.contains(*touch.at):
        raise PromptError("The wand was clicked beside what is in sight: click on the slide.")
    step = max(1.0, min(touch.area.scale), max(box.shape) / SIDE)
    rows, cols = (max(1, round(n / step)) for n in box.shape)
    image, frame = slide.read(box, (rows, cols))
    task.step(0, 0, "Looking for what looks like it")
    row, col = np.rint(frame.to_array([touch.at])[0]).astype(int).tolist()
    at = min(max(row, 0), rows - 1), min(max(col, 0), cols - 1)
    return Mask(like_it(image, at, touch.params.tolerance), frame).cropped()


def keep_wand(
    slide: Slide, store: LabelStore, touch: Touch, how: Keeping, task: Task
) -> tuple[int, Change | None]:
    """Keep what the wand takes, as one edit. Raises as `wand` and `keep_mask` do."""
    return keep_mask(store, wand(slide, touch, task.part(0.0, 0.5)), how, task)
