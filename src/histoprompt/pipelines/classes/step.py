"""Giving counted cells their classes as a step of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from histoprompt.core.errors import ParameterError, RecipeError
from histoprompt.core.parameters import Parameter, check
from histoprompt.pipelines.classes.classifier_file import read_classifier
from histoprompt.pipelines.classes.domain import domain_of
from histoprompt.pipelines.classes.prevalence import counts_of
from histoprompt.pipelines.formats.cell_files import read_cells, write_cells
from histoprompt.pipelines.formats.json_files import write_json
from histoprompt.pipelines.recipes.step import Step, StepInput, StepOutput

_COUNT, _CELLS = "count", "cells.csv"
# Counts that allow for mistakes, for the step that reports.
ALLOWED = "class_counts.json"


@dataclass(frozen=True)
class ClassifyParams:
    """By what cells are classified.

    Attributes
    ----------
    classifier : Path or None
        A classifier that was saved.
    cells : Path or None
        A table of cells, in place of what the count before it found.
    """

    classifier: Annotated[
        Path | None, Parameter("Classifier", "A classifier of cells that was saved.")
    ] = None
    cells: Annotated[
        Path | None,
        Parameter("Cells", "A table of cells in place of those just counted.", advanced=True),
    ] = None

    def __post_init__(self) -> None:
        check(self)


def _run(given: StepInput, params: ClassifyParams, folder: Path) -> StepOutput:
    if params.classifier is None:
        raise ParameterError("Classifier is not given; name a file that was saved.")
    source = params.cells or folder.parent / _COUNT / _CELLS
    if not source.is_file():
        raise RecipeError(f"{given.slide.name} was not counted: there are no cells to classify.")
    cells = read_cells(source)
    classifier = read_classifier(params.classifier)
    classified = cells.classified(*classifier.classify(cells.features, cells.feature_names))
    write_cells(folder / _CELLS, classified)
    counts = classified.counts()
    domain = domain_of(classifier, cells.features, cells.feature_names)
    notes = (str(domain),) if domain.outside else ()
    told = ", ".join(f"{n} {name}" for name, n in counts.items())
    numbers = {f"{name} count": float(n) for name, n in counts.items()}
    allowed = counts_of(classifier, cells.features, cells.feature_names)
    if allowed is not None:
        write_json(folder / ALLOWED, allowed.facts)
        for name, _, adjusted, _, _, expected in allowed.rows():
            numbers[f"{name} adjusted"], numbers[f"{name} expected"] = adjusted, expected
    return StepOutput(told, notes=notes, numbers=numbers)


STEP = Step(
    "classify",
    "gives counted cells their classes",
    ClassifyParams,
    _run,
    lambda _: (),
    lambda _: "Cells were classified by a classifier learnt from labelled examples.",
    after=("count",),
    alone=lambda params: params.cells is not None,
)
