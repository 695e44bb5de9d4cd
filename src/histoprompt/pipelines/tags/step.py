"""Tagging as a step of a recipe."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from histoprompt.pipelines.recipes.command import arguments, option
from histoprompt.pipelines.recipes.step import Step, StepInput, StepOutput
from histoprompt.pipelines.tags.params import TagParams
from histoprompt.pipelines.tags.run import SlideToTag, tag_slides


def _run(given: StepInput, params: TagParams, folder: Path) -> StepOutput:
    slide = given.slide
    path = "" if slide.path is None else str(slide.path)
    one = SlideToTag(slide.name, path, lambda: nullcontext(slide))
    done = tag_slides([one], params, given.manager, folder, given.task)
    kept = sum(row.kept for row in done.rows)
    numbers = {f"{tag} tags": 0.0 for tag in done.work.names}
    for row in done.rows:
        if row.label:
            numbers[f"{row.label} tags"] += 1
    return StepOutput(f"{len(done.rows)} candidates, {kept} kept", True, done.notes, numbers)


def _methods(params: TagParams) -> str:
    what = "Cells" if params.kind == "cells" else "Tiles"
    return (
        f"{what} were tagged by the words of {params.tags.name if params.tags else 'a file'} with "
        f"the model {params.model}; votes of several wordings and ten views of each were filtered "
        "by their entropy and by the agreement of clusters."
    )


STEP = Step(
    "tag",
    "proposes tags for cells or tiles by words, and filters them",
    TagParams,
    _run,
    lambda params: (
        params.model,
        *((params.segmenter,) if params.kind == "cells" else ()),
    ),
    _methods,
    command=lambda params, slide, out: [
        *("tag", slide),
        *arguments(params),
        *option("out", out),
    ],
)
