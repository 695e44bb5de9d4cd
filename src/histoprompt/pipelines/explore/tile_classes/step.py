"""Giving tiles their classes as a step of a recipe."""

from __future__ import annotations

from pathlib import Path

from histoprompt.pipelines.explore.building import build_index
from histoprompt.pipelines.explore.from_index import tiles_of
from histoprompt.pipelines.explore.opening import opener_of
from histoprompt.pipelines.explore.tile_classes.apply import (
    TilesParams,
    classify_tiles,
    seen_as,
    write_classified,
)
from histoprompt.pipelines.explore.tile_classes.fit import load_tiles
from histoprompt.pipelines.recipes.command import arguments, option
from histoprompt.pipelines.recipes.step import Step, StepInput, StepOutput


def _run(given: StepInput, params: TilesParams, folder: Path) -> StepOutput:
    classifier, about = load_tiles(params.file())
    index = build_index(given.slide, seen_as(about), given.manager, given.task)
    found = classify_tiles(tiles_of([index]), classifier, about, opener_of(given.slide), given.task)
    given.task.repeat()
    write_classified(folder, found, about)
    mm2 = found.mm2()[0]
    told = ", ".join(f"{v:.3f} mm2 {name}" for name, v in zip(found.names, mm2, strict=True))
    numbers = {f"{name} mm2": float(v) for name, v in zip(found.names, mm2, strict=True)}
    return StepOutput(told, notes=found.notes(), numbers=numbers)


STEP = Step(
    "tiles",
    "gives tiles their classes",
    TilesParams,
    _run,
    lambda _: (),
    lambda _: "Tiles were classified by a classifier learnt from marked tiles.",
    command=lambda params, slide, out: [
        *("tiles", "apply", slide),
        *arguments(params),
        *option("out", out),
    ],
)
