"""Giving counted cells their classes as a step of a recipe."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import LabelError, ParameterError, RecipeError
from histoprompt.core.parameters import Parameter, check
from histoprompt.core.stain.ihc import (
    DAB_MEAN,
    GRADED,
    MODERATE,
    STRONG,
    WEAK,
    DabClassifier,
    DabThresholds,
    ihc_score,
)
from histoprompt.pipelines.classes.classifier_file import read_classifier
from histoprompt.pipelines.classes.classifiers import FewShotClassifier
from histoprompt.pipelines.classes.domain import domain_of
from histoprompt.pipelines.classes.encoded import encoders_of, with_encoders, without_encoders
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
    dab : bool
        By how much DAB they hold, in place of a classifier.
    weak, moderate, strong, graded
        Then, as for `DabThresholds`.
    """

    classifier: Annotated[
        Path | None, Parameter("Classifier", "A classifier of cells that was saved.")
    ] = None
    cells: Annotated[
        Path | None,
        Parameter("Cells", "A table of cells in place of those just counted.", advanced=True),
    ] = None
    dab: Annotated[
        bool, Parameter("By DAB", "By how much DAB cells hold, in place of a classifier.")
    ] = False
    weak: Annotated[float, WEAK] = DabThresholds.weak
    moderate: Annotated[float, MODERATE] = DabThresholds.moderate
    strong: Annotated[float, STRONG] = DabThresholds.strong
    graded: Annotated[bool, GRADED] = DabThresholds.graded

    def __post_init__(self) -> None:
        check(self)
        if self.dab and self.classifier is not None:
            raise ParameterError("Cells get their classes from a classifier or by DAB: choose one.")
        if self.dab:
            self.thresholds  # noqa: B018 - refuses those that cannot be

    @property
    def thresholds(self) -> DabThresholds:
        """From which density a nucleus is positive; raises `LabelError` if they do not grow."""
        return DabThresholds(self.weak, self.moderate, self.strong, self.graded)


def dab_params(thresholds: DabThresholds, cells: Path | None) -> ClassifyParams:
    """Cells by DAB, as a recipe holds it."""
    return ClassifyParams(None, cells, True, **asdict(thresholds))


def _classifier(params: ClassifyParams) -> FewShotClassifier | DabClassifier:
    if params.dab:
        return DabClassifier(params.thresholds)
    if params.classifier is None:
        raise ParameterError("Classifier is not given; name a file that was saved.")
    return read_classifier(params.classifier)


def _run(given: StepInput, params: ClassifyParams, folder: Path) -> StepOutput:
    classifier = _classifier(params)
    source = params.cells or folder.parent / _COUNT / _CELLS
    if not source.is_file():
        raise RecipeError(f"{given.slide.name} was not counted: there are no cells to classify.")
    encoders: tuple[str, ...] = ()
    if isinstance(classifier, FewShotClassifier):
        encoders = encoders_of(classifier.feature_names)
    cells = with_encoders(read_cells(source), given.slide, encoders, given.manager, given.task)
    classified = cells.classified(*classifier.classify(cells.features, cells.feature_names))
    write_cells(folder / _CELLS, without_encoders(classified))
    counts = classified.counts()
    told = ", ".join(f"{n} {name}" for name, n in counts.items())
    numbers = {f"{name} count": float(n) for name, n in counts.items()}
    if isinstance(classifier, DabClassifier):
        return StepOutput(told, numbers=numbers | _score(cells, params.thresholds))
    domain = domain_of(classifier, cells.features, cells.feature_names)
    notes = (str(domain),) if domain.outside else ()
    allowed = counts_of(classifier, cells.features, cells.feature_names)
    if allowed is not None:
        write_json(folder / ALLOWED, allowed.facts)
        for name, _, adjusted, _, _, expected in allowed.rows():
            numbers[f"{name} adjusted"], numbers[f"{name} expected"] = adjusted, expected
    return StepOutput(told, notes=notes, numbers=numbers)


def _score(cells: CellTable, thresholds: DabThresholds) -> dict[str, float]:
    density = cells.features[:, cells.feature_names.index(DAB_MEAN)]
    score = ihc_score(density, thresholds)
    return {"positive fraction": score.positive_fraction, "H-score": score.h_score}


def _methods(params: ClassifyParams) -> str:
    if not params.dab:
        return "Cells were classified by a classifier learnt from labelled examples."
    limits = ", ".join(f"{v:g}" for v in (params.weak, params.moderate, params.strong))
    return f"Cells were classified by their mean density of DAB, 1+, 2+ and 3+ from {limits}."


def _encoders(params: ClassifyParams) -> tuple[str, ...]:
    """The models that look at the cells; none where the classifier cannot be read."""
    try:
        read = None if params.classifier is None else read_classifier(params.classifier)
    except LabelError:  # the run itself says why
        return ()
    return () if read is None else encoders_of(read.feature_names)


STEP = Step(
    "classify",
    "gives counted cells their classes",
    ClassifyParams,
    _run,
    _encoders,
    _methods,
    after=("count",),
    alone=lambda params: params.cells is not None,
)
