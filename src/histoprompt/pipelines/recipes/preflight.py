"""Before a run: can every slide be worked on, is there room, how long will it take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import HistopromptError
from histoprompt.core.files.atomic import free_bytes
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.recipes.engines import Scheduler
from histoprompt.pipelines.recipes.recipe import Recipe, check_models
from histoprompt.pipelines.recipes.unit import Unit

_TIMED_PX = 1024
# What a count keeps of a square millimetre: labels, tables, outlines; measured on dense tissue.
_BYTES_PER_MM2 = 6e6
# Of its page and facts, whose pictures are as large for any slide.
_BYTES_PER_SLIDE = 5e6


@dataclass(frozen=True)
class Preflight:
    """What was found.

    Attributes
    ----------
    faults : tuple of str
        Slides that cannot be worked on, and why.
    mm2 : float
        Of all slides that can, with their glass.
    hours : float or None
        An upper bound from one tile that was timed; None if no step looks at all of a slide.
    room_mb, free_mb : float
        What results will take at most, and what is free.
    """

    faults: tuple[str, ...]
    mm2: float
    hours: float | None
    room_mb: float
    free_mb: float


def preflight(
    recipe: Recipe, units: Sequence[Unit], out: Path, scheduler: Scheduler, task: Task
) -> Preflight:
    """Open every slide, check the weights, time one tile.

    Raises
    ------
    RecipeError
        If weights differ from those of the recipe.
    """
    check_models(recipe)
    faults: list[str] = []
    mm2, pixels = 0.0, 0.0
    finder, tile = _finder(recipe), None
    for done, unit in enumerate(units):
        task.step(done, len(units), f"Looking at {unit.name}")
        try:
            with open_slide(unit.path, unit.mpp, trust_size=unit.trust_size) as slide:
                if slide.mpp is None:
                    faults.append(f"{unit.name}: states no pixel size.")
                    continue
                mm2 += slide.shape[0] * slide.shape[1] * slide.mpp**2 / 1e6
                pixels += slide.shape[0] * slide.shape[1]
                if finder is not None and tile is None:
                    tile = _middle(slide)
        except HistopromptError as error:
            faults.append(f"{unit.name}: {' '.join(str(error).split())}")
    hours = None
    if finder is not None and tile is not None:
        seconds = _seconds_per_pixel(finder, tile, units[0].device)
        hours = seconds * pixels / 3600 / scheduler.workers
    free = free_bytes(out) / 1e6
    room = mm2 * _BYTES_PER_MM2 + (len(units) - len(faults)) * _BYTES_PER_SLIDE
    return Preflight(tuple(faults), mm2, hours, room / 1e6, free)


def _middle(slide: Slide) -> NDArray[np.uint8]:
    """A square tile of the slide's middle, level 0."""
    side = min(_TIMED_PX, *slide.shape)
    corner = [(extent - side) // 2 for extent in slide.shape]
    rows, cols = (slice(start, start + side) for start in corner)
    return np.asarray(slide.levels[0][rows, cols])


def _finder(recipe: Recipe) -> ModelCard | None:
    """The model that finds cells in a recipe; None if no step looks for them."""
    cards = [registry.card(m) for one in recipe.steps for m in one.step.models(one.params)]
    return next((card for card in cards if card.role == "cells"), None)


def _seconds_per_pixel(card: ModelCard, tile: NDArray[np.uint8], device: str) -> float:
    """Of a model, on a tile; the second of two runs."""
    with ModelManager(device=device).lease(card, Task()) as model:
        model.segment(tile)
        start = time.perf_counter()
        model.segment(tile)
        seconds = time.perf_counter() - start
    return seconds / float(np.prod(tile.shape[:2]))
