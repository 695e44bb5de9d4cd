"""A vocabulary of one's own as a step of a recipe: its pairs name slides of a project."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from histoprompt.core.errors import RecipeError
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide
from histoprompt.pipelines.align.pairs import Pair, project_slides, read_pairs
from histoprompt.pipelines.align.params import AlignParams
from histoprompt.pipelines.align.run import align
from histoprompt.pipelines.recipes.step import ProjectInput, Step, StepInput, StepOutput

_FILE = "vocabulary.safetensors"


def _run(given: StepInput, params: AlignParams, folder: Path) -> StepOutput:
    del params, folder
    raise RecipeError(
        f"A vocabulary needs the slides of several patients; {given.slide.name} alone tells "
        "nothing. Give the project."
    )


def _of_project(given: ProjectInput, params: AlignParams) -> StepOutput:
    pairs = read_pairs(params.file(), project_slides(given.project))
    done = align(
        pairs, params, given.folder / _FILE, opened=_opened, manager=given.manager, task=given.task
    )
    first, *rest = done.told
    numbers = {"pairs": float(done.pairs), "patients": float(done.patients), "p": done.p}
    return StepOutput(f"{first} -> {done.out}", True, tuple(rest), numbers)


def _opened(pair: Pair) -> AbstractContextManager[Slide]:
    return open_slide(pair.slide, pair.mpp)


STEP = Step(
    "align",
    "makes a vocabulary of a project's own sentences",
    AlignParams,
    _run,
    lambda params: (params.image,),
    lambda params: (
        f"Features of images ({params.image}) and sentences ({params.text}) were brought together "
        "on pairs of the study's own slides; patients were held out, and shuffled pairs compared."
    ),
    project=_of_project,
    slides=False,
)
