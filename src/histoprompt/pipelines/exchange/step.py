"""Exporting counted or segmented objects as a step of a recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from histoprompt.core.errors import RecipeError
from histoprompt.core.labels.tiff import read_labels
from histoprompt.pipelines.exchange.export import ExportParams, export
from histoprompt.pipelines.recipes.step import Step, StepInput, StepOutput

_SOURCES = ("count", "segment")
_LABELS = "labels.tif"


def _run(given: StepInput, params: ExportParams, folder: Path) -> StepOutput:
    found = [folder.parent / name / _LABELS for name in _SOURCES]
    source = next((path for path in found if path.is_file()), None)
    if source is None:
        raise RecipeError(f"{given.slide.name} has no labels to export: count or segment first.")
    report = export(given.slide, read_labels(source), folder, replace(params), given.task)
    return StepOutput(str(report), numbers={"exported objects": float(report.objects)})


def _methods(params: ExportParams) -> str:
    return f"Objects were exported as {params.format}."


STEP = Step(
    "export",
    "writes objects as training data",
    ExportParams,
    _run,
    lambda _: (),
    _methods,
    after=_SOURCES,
)
