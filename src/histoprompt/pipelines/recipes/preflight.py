"""Before a run: can every slide be worked on, is there room, how long will it take."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from histoprompt.core.errors import HistopromptError, RecipeError
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.recipes.engines import Scheduler
from histoprompt.pipelines.recipes.recipe import Recipe, changed_models
from histoprompt.pipelines.recipes.unit import Unit

_TIMED_PX = 1024
# What a count keeps of a square millimetre: labels, tables, outlines; measured on dense tissue.
_BYTES_PER_MM2 = 6e6


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
    changed = changed_models(recipe)
    if changed:
        model, (then, now) = next(iter(changed.items()))
        raise RecipeError(
            f"The recipe was made with other weights of {model} ({then[:23]}) than those here "
            f"({now[:23] or 'none'})."
        )
    faults: list[str] = []
    mm2, pixels = 0.0, 0.0
    timed: Slide | None = None
    for done, unit in enumerate(units):
        task.step(done, len(units), f"Looking at {unit.name}")
        try:
            slide = open_slide(unit.path, unit.mpp, trust_size=unit.trust_size)
        except HistopromptError as error:
            faults.append(f"{unit.name}: {' '.join(str(error).split())}")
            continue
        if slide.mpp is None:
            faults.append(f"{unit.name}: states no pixel size.")
        else:
            mm2 += slide.shape[0] * slide.shape[1] * slide.mpp**2 / 1e6
            pixels += slide.shape[0] * slide.shape[1]
            timed = timed or slide
    seconds = _seconds_per_pixel(recipe, timed, units[0].device if units else "auto")
    hours = None if seconds is None else seconds * pixels / 3600 / scheduler.workers
    existing = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free / 1e6
    return Preflight(tuple(faults), mm2, hours, mm2 * _BYTES_PER_MM2 / 1e6, free)


def _seconds_per_pixel(recipe: Recipe, slide: Slide | None, device: str) -> float | None:
    """Of the model that finds cells, on a tile of the slide's middle; the second of two runs."""
    cards = [registry.card(m) for one in recipe.steps for m in one.step.models(one.params)]
    card = next((c for c in cards if c.role == "cells"), None)
    if card is None or slide is None:
        return None
    side = min(_TIMED_PX, *slide.shape)
    corner = [(extent - side) // 2 for extent in slide.shape]
    image = np.asarray(slide.levels[0][corner[0] : corner[0] + side, corner[1] : corner[1] + side])
    manager, task = ModelManager(device=device), Task()
    with manager.lease(card, task) as model:
        model.segment(image)
        start = time.perf_counter()
        model.segment(image)
        return (time.perf_counter() - start) / side**2
