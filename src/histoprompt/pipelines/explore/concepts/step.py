"""Telling tiles by concepts as a step of a recipe."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from histoprompt.pipelines.explore.building import build_index
from histoprompt.pipelines.explore.concepts.apply import tell_tiles, write_told
from histoprompt.pipelines.explore.concepts.concept_file import read_concepts
from histoprompt.pipelines.explore.concepts.params import ConceptApplyParams
from histoprompt.pipelines.explore.concepts.values import values_of
from histoprompt.pipelines.explore.from_index import tiles_of
from histoprompt.pipelines.explore.tile_classes.apply import seen_as
from histoprompt.pipelines.explore.tile_classes.fit import check_encoder
from histoprompt.pipelines.recipes.command import arguments, option
from histoprompt.pipelines.recipes.step import Step, StepInput, StepOutput


def _run(given: StepInput, params: ConceptApplyParams, folder: Path) -> StepOutput:
    model = read_concepts(params.file())
    seen = replace(seen_as(model.about), weights=params.weights)
    tiles = tiles_of([build_index(given.slide, seen, given.manager, given.task)])
    check_encoder(model.about, tiles)
    values = values_of(
        tiles, model.concepts, seen.job(given.manager), lambda _: nullcontext(given.slide),
        given.task,
    )  # fmt: skip
    found = tell_tiles(tiles, values, model)
    given.task.repeat()
    write_told(folder, found)
    mm2 = dict(zip(model.classes, found.mm2().tolist(), strict=True))
    told = ", ".join(f"{v:.3f} mm2 {name}" for name, v in mm2.items())
    return StepOutput(told, numbers={f"{name} mm2": v for name, v in mm2.items()})


STEP = Step(
    "concepts",
    "tells tiles by concepts, and which concept decided",
    ConceptApplyParams,
    _run,
    lambda _: (),
    lambda _: (
        "Tiles were classified by a regularised logistic regression on named concepts (scores of "
        "phrases and measured properties), learnt from marked tiles."
    ),
    command=lambda params, slide, out: [
        *("concepts", "apply", slide),
        *arguments(params),
        *option("out", out),
    ],
)
