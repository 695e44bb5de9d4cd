"""The tiles that fit a text best, as small pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.embedding.tiles import read_square


@dataclass(frozen=True, eq=False)
class TilePicture:
    """One tile of a score map.

    Attributes
    ----------
    tile : int
        Its index in the map.
    score : float
    picture : (h, w, 3) uint8
    """

    tile: int
    score: float
    picture: NDArray[np.uint8]


def gallery(
    slide: Slide, scores: ScoreMap, text: str, *, count: int, pixels: int, task: Task
) -> list[TilePicture]:
    """The `count` tiles that score highest, best first, as squares of `pixels` a side.

    Raises
    ------
    KeyError
        If the map has no such text.
    """
    column, found = scores.column(text), []
    best = scores.top(text, count).tolist()
    for done, tile in enumerate(best):
        task.step(done, len(best), "Reading the best tiles")
        picture = read_square(slide, scores.box(tile), pixels)
        found.append(TilePicture(tile, float(column[tile]), picture))
    return found
