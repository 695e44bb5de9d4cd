"""Tagging as a step of a recipe: a slide at a time, or all slides of a project together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.project.project import open_project
from histoprompt.pipelines.recipes.command import arguments, option
from histoprompt.pipelines.recipes.step import ProjectInput, Step, StepInput, StepOutput
from histoprompt.pipelines.tags.params import TagParams
from histoprompt.pipelines.tags.run import SlideToTag, tag_slides


def _run(given: StepInput, params: TagParams, folder: Path) -> StepOutput:
    slide = given.slide
    path = "" if slide.path is None else str(slide.path)
    one = SlideToTag(slide.name, path, lambda: nullcontext(slide))
    return _tagged([one], params, folder, given.manager, given.task)


def _of_project(given: ProjectInput, params: TagParams) -> StepOutput:
    project = open_project(given.project)
    slides = [
        SlideToTag(one.id, project.place(one), partial(project.open, one), one.patient)
        for one in project.slides
    ]
    return _tagged(slides, params, given.folder, given.manager, given.task)


def _tagged(
    slides: Sequence[SlideToTag],
    params: TagParams,
    folder: Path,
    manager: ModelManager,
    task: Task,
) -> StepOutput:
    done = tag_slides(slides, params, manager, folder, task)
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
    project=_of_project,
)
