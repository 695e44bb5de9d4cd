"""Segmenting prompted objects as a step of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from histoprompt.core.errors import ParameterError
from histoprompt.core.labels.tiff import write_labels
from histoprompt.core.parameters import Parameter, check
from histoprompt.core.prompts.file import ObjectPrompt, read_prompts, write_prompts
from histoprompt.models import registry
from histoprompt.models.memory.embeddings import EmbeddingCache
from histoprompt.pipelines.prompts.compose import ComposedLabels
from histoprompt.pipelines.prompts.segment import SegmentJob, segment
from histoprompt.pipelines.recipes.beside import Needs
from histoprompt.pipelines.recipes.command import arguments, option
from histoprompt.pipelines.recipes.place import REGION, check_region, region_box
from histoprompt.pipelines.recipes.step import Step, StepInput, StepOutput

_LABELS = "labels.tif"


@dataclass(frozen=True)
class SegmentParams:
    """What is segmented.

    Attributes
    ----------
    prompts : Path or None
        JSON with clicks, boxes and scribbles.
    model : str
    weights : Path or None
    region : tuple of int
        Only this part of the slide is written.
    """

    prompts: Annotated[
        Path | None, Parameter("Prompts", "A file with clicks, boxes and scribbles.")
    ] = None
    model: Annotated[str, Parameter("Model", "What segments the objects.")] = registry.DEFAULT
    weights: Annotated[
        Path | None, Parameter("Weights", "A weights file of your own.", advanced=True)
    ] = None
    region: Annotated[tuple[int, ...], REGION] = ()

    def __post_init__(self) -> None:
        check(self)
        check_region(self.region)


def _run(given: StepInput, params: SegmentParams, folder: Path) -> StepOutput:
    if params.prompts is None:
        raise ParameterError("Prompts are not given; name a file.")
    card = registry.card(params.model)
    job = SegmentJob(given.manager, EmbeddingCache(), card, params.weights)
    found = segment(given.slide, read_prompts(params.prompts), job, given.task)
    box = region_box(params.region, given.slide) or given.slide.box
    labels = ComposedLabels(box, [(item.id, item.masks[0]) for item in found])
    write_labels(folder / _LABELS, labels, mpp=given.slide.mpp, task=given.task)
    notes = tuple(sorted({item.note for item in found if item.note}))
    return StepOutput(f"{len(labels.ids):,} objects", notes=notes)


def segment_chosen(
    objects: Sequence[ObjectPrompt], model: str, weights: Path | None, needs: Needs
) -> SegmentParams:
    """What a person points at in a window as parameters that a recipe holds.

    Raises
    ------
    ParameterError
        If nothing is prompted.
    PromptError
        If the file of prompts cannot be written.
    """
    if not objects:
        raise ParameterError("Nothing is prompted. Point at an object first.")
    path = needs.file("prompts.json")
    write_prompts(path, objects)
    return SegmentParams(prompts=path, model=model, weights=weights)


def _command(params: SegmentParams, slide: str, out: str) -> list[str]:
    return ["segment", slide, *arguments(params), *option("out", f"{out}.tif")]


STEP = Step(
    "segment",
    "segments prompted objects",
    SegmentParams,
    _run,
    lambda params: (params.model,),
    lambda params: f"Prompted objects were segmented with the model {params.model}.",
    command=_command,
)
