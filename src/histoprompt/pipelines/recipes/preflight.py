"""Before a run: can every slide be worked on, is there room, how long will it take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from histoprompt.core.errors import HistopromptError, RecipeError
from histoprompt.core.files.atomic import free_bytes
from histoprompt.core.geometry import Box
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.wording import many
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.embedding.tile_plan import lay_tiles
from histoprompt.pipelines.embedding.tiles import AT_ONCE, ROLES, EmbedJob, read_square
from histoprompt.pipelines.recipes.engines import Scheduler
from histoprompt.pipelines.recipes.place import region_box
from histoprompt.pipelines.recipes.recipe import RECIPE, Recipe, RecipeStep, check_models
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
    slides : int
        That are not finished yet.
    faults : tuple of str
        Slides that cannot be worked on, and why.
    mm2 : float
        Of all slides that can, with their glass, or of the recipe's region on them.
    hours : float or None
        An upper bound from a tile that was timed per model; None if no step looks at tiles.
    room_mb, free_mb : float
        What results will take at most, and what is free.
    """

    slides: int
    faults: tuple[str, ...]
    mm2: float
    hours: float | None
    room_mb: float
    free_mb: float

    def __str__(self) -> str:
        hours = "" if self.hours is None else f"; at most {_told(self.hours)}"
        return (
            f"{self.slides - len(self.faults)} of {self.slides:,} slides can be worked on: "
            f"{self.mm2:.1f} mm2{hours}; at most {self.room_mb:,.0f} MB, "
            f"{self.free_mb:,.0f} MB are free"
        )

    @property
    def fits(self) -> bool:
        """Whether there is room for the results."""
        return self.room_mb <= self.free_mb

    def refuse(self) -> None:
        """Refuse a run that would be lost.

        Raises
        ------
        RecipeError
            If no slide can be worked on, or results may not fit on the disk.
        """
        if self.slides and len(self.faults) == self.slides:
            raise RecipeError(f"None of {self.slides:,} slides can be worked on. {self.faults[0]}")
        if not self.fits:
            raise RecipeError(
                f"The results take {self.room_mb:,.0f} MB at most, and {self.free_mb:,.0f} MB are "
                "free. Make room, or choose another folder."
            )


def _told(hours: float) -> str:
    """A time that is no more than it."""
    if hours < 1:
        return many(max(1, math.ceil(hours * 60)), "minute")
    return many(math.ceil(hours), "hour")


def preflight(
    recipe: Recipe, units: Sequence[Unit], out: Path, scheduler: Scheduler, task: Task
) -> Preflight:
    """Open every slide that is not finished, check the weights, time a tile per model.

    Raises
    ------
    RecipeError
        If weights differ from those of the recipe.
    HistopromptError
        If a model of the recipe cannot be loaded.
    """
    check_models(recipe)
    manager = ModelManager(device=units[0].device if units else "auto")
    for card in _cards(recipe):
        with manager.lease(card, task):
            task.step(0, len(units), f"{card.title} is here")
    units = [unit for unit in units if not _finished(unit, recipe)]
    faults: list[str] = []
    mm2, pixels = 0.0, 0.0
    seconds: float | None = None
    for done, unit in enumerate(units):
        task.step(done, len(units), f"Looking at {unit.name}")
        try:
            with open_slide(unit.path, unit.mpp, trust_size=unit.trust_size) as slide:
                if slide.mpp is None:
                    faults.append(f"{unit.name}: states no pixel size.")
                    continue
                box = _looked_at(recipe, slide)
                if seconds is None:
                    seconds = _seconds_per_pixel(recipe, slide, manager)
        except (HistopromptError, OSError) as error:
            faults.append(f"{unit.name}: {' '.join(str(error).split())}")
            continue
        mm2 += box.area * slide.mpp**2 / 1e6
        pixels += box.area
    hours = seconds * pixels / 3600 / scheduler.workers if seconds else None
    counts = any(one.name == "count" for one in recipe.steps)
    kept = (len(units) - len(faults)) * _BYTES_PER_SLIDE + counts * mm2 * _BYTES_PER_MM2
    free = free_bytes(out) / 1e6
    return Preflight(len(units), tuple(faults), mm2, hours, kept / 1e6, free)


def _finished(unit: Unit, recipe: Recipe) -> bool:
    """Whether a slide has results of every step; what they are of, the run itself looks at."""
    return all((Path(unit.folder) / one.name / RECIPE).is_file() for one in recipe.steps)


def _looked_at(recipe: Recipe, slide: Slide) -> Box:
    """The largest part of a slide that a step looks at; raises `RegionError` as the step would."""
    boxes = [region_box(getattr(s.params, "region", ()), slide) or slide.box for s in recipe.steps]
    return max(boxes, key=lambda box: box.area)


def _cards(recipe: Recipe) -> list[ModelCard]:
    """The models of a recipe that look at slides."""
    named = dict.fromkeys(m for one in recipe.steps for m in one.step.models(one.params))
    cards = map(registry.card, named)
    return [card for card in cards if card.role == "cells" or card.role in ROLES]


def _seconds_per_pixel(recipe: Recipe, slide: Slide, manager: ModelManager) -> float:
    """Of all models that look at tiles, per level-0 pixel of a slide."""
    found = 0.0
    for one in recipe.steps:
        for model in one.step.models(one.params):
            card = registry.card(model)
            if card.role == "cells":
                found += _of_cells(card, slide, manager)
            elif card.role in ROLES:
                found += _of_tiles(card, one, slide, manager)
    return found


def _of_cells(card: ModelCard, slide: Slide, manager: ModelManager) -> float:
    side = min(_TIMED_PX, *slide.shape)
    r0, c0 = ((extent - side) // 2 for extent in slide.shape)
    tile = np.asarray(slide.levels[0][r0 : r0 + side, c0 : c0 + side])
    with manager.lease(card, Task()) as model:
        return _second_of_two(lambda: model.segment(tile)) / side**2


def _of_tiles(card: ModelCard, one: RecipeStep, slide: Slide, manager: ModelManager) -> float:
    params: Any = one.params
    mpp, overlap = getattr(params, "mpp", 0.0) or None, getattr(params, "overlap", 1)
    plan = lay_tiles(slide, card, mpp=mpp, overlap=overlap)
    middle = slide.box.centre
    tile = read_square(slide, Box.around(*middle, plan.side).to_pixels(), plan.pixels)
    tiles = np.stack([tile] * AT_ONCE)
    job = EmbedJob(manager, card, getattr(params, "weights", None))
    seconds = _second_of_two(lambda: job.embed(Task(), tiles)) / AT_ONCE
    return seconds * len(getattr(params, "scales", (1.0,))) / plan.grid.size**2


def _second_of_two(run: Callable[[], object]) -> float:
    """Seconds; the first time loads and warms up."""
    run()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
