"""Stain and sharpness of the slides that a classifier learnt from, and of those it is given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.task import Task
from histoprompt.pipelines.explore.anomaly.guard import PIXELS, looks
from histoprompt.pipelines.explore.pictures import Opener, pictures_of, spread_out
from histoprompt.pipelines.explore.tile_set import TileSet

LOOKS = "looks"
# Tiles of a slide that are looked at.
_MOST = 60


@dataclass(frozen=True, eq=False)
class Looks:
    """Colour and sharpness of tiles: mean and spread of each number of `guard.looks`.

    Attributes
    ----------
    mean, deviation : (k,) float64
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    def shift(self, other: Looks) -> float:
        """How far another slide is, in standard deviations: root mean square over the numbers."""
        away = (other.mean - self.mean) / np.maximum(self.deviation, 1e-6)
        return float(np.sqrt(np.square(away).mean()))

    def told(self) -> str:
        """As a text that a file holds."""
        return json.dumps([self.mean.round(6).tolist(), self.deviation.round(6).tolist()])

    @classmethod
    def read(cls, about: Mapping[str, str]) -> Looks | None:
        """Out of what a file says; None if it does not say, or nothing that can be read."""
        try:
            values = np.array(json.loads(about[LOOKS]), np.float64)
        except (KeyError, ValueError, TypeError):
            return None
        return cls(*values) if values.ndim == 2 and len(values) == 2 else None


def looks_of(tiles: TileSet, number: int, opener: Opener, task: Task) -> Looks:
    """Of one slide with tiles.

    Raises
    ------
    SlideError
        If it cannot be read.
    """
    rows = tiles.rows_of(number)
    some = rows[spread_out(len(rows), _MOST)]
    pictures = pictures_of(tiles, some, PIXELS, opener, task)
    seen = looks(np.stack([pictures[row] for row in some.tolist()])).astype(np.float64)
    return Looks(seen.mean(axis=0), seen.std(axis=0))


def looks_over(tiles: TileSet, slides: list[int], opener: Opener, task: Task) -> Looks:
    """Of several slides as one: their spread holds how they differ from each other.

    Raises
    ------
    SlideError
        If one cannot be read.
    """
    each = [looks_of(tiles, number, opener, task) for number in slides]
    mean = np.mean([one.mean for one in each], axis=0)
    square = np.mean([one.deviation**2 + (one.mean - mean) ** 2 for one in each], axis=0)
    return Looks(mean, np.sqrt(square))
