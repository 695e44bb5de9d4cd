"""Relating as a step of a recipe: it works on a project, not on a slide."""

from __future__ import annotations

from pathlib import Path

from histoprompt.core.errors import RecipeError
from histoprompt.pipelines.project.project import open_project
from histoprompt.pipelines.recipes.command import arguments, option
from histoprompt.pipelines.recipes.step import ProjectInput, Step, StepInput, StepOutput
from histoprompt.pipelines.relate.methods import methods_sentence
from histoprompt.pipelines.relate.params import RelateParams
from histoprompt.pipelines.relate.write import relate_into


def _run(given: StepInput, params: RelateParams, folder: Path) -> StepOutput:
    del params, folder
    raise RecipeError(
        f"Relating needs all slides of a project at once; {given.slide.name} alone tells "
        "nothing. Give the project."
    )


def _of_project(given: ProjectInput, params: RelateParams) -> StepOutput:
    project = open_project(given.project)
    found, notes = relate_into(project, params, given.folder, given.task)
    told = f"{len(found.surviving)} of {len(found.findings)} tests survive"
    faults = tuple(str(f) for f in found.faults)
    numbers = {"patients": float(len(found.study)), "survive": float(len(found.surviving))}
    return StepOutput(told, True, (*found.notes, *found.guard.warnings, *faults, *notes), numbers)


STEP = Step(
    "relate",
    "relates features of a project's slides to its patients' data",
    RelateParams,
    _run,
    lambda _: (),
    methods_sentence,
    command=lambda params, project, out: [
        *("relate", project),
        *arguments(params),
        *option("out", out),
    ],
    project=_of_project,
    slides=False,
)
