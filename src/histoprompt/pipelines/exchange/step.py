"""Exporting labels as training data: what is exported, and the step of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

from histoprompt.annotations.store import LabelStore
from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import ExportError, LabelError, RecipeError, RegionError
from histoprompt.core.labels.classes import Classes
from histoprompt.core.labels.sources import ArrayLabels
from histoprompt.core.labels.tiff import TiffLabels, read_labels
from histoprompt.core.parameters import Parameter, check
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.count.files import CELLS_CSV, LABELS_TIF
from histoprompt.pipelines.count.result_folders import MADE, slide_in
from histoprompt.pipelines.exchange.export import ExportParams, ExportReport, export, read_classes
from histoprompt.pipelines.exchange.from_store import export_store
from histoprompt.pipelines.exchange.own_files import list_also, set_aside
from histoprompt.pipelines.formats.cell_files import read_cells
from histoprompt.pipelines.recipes.beside import keep_recipe
from histoprompt.pipelines.recipes.command import arguments, option
from histoprompt.pipelines.recipes.place import REGION, check_region, region_box
from histoprompt.pipelines.recipes.recipe import RECIPE, RecipeStep
from histoprompt.pipelines.recipes.step import Step, StepInput, StepOutput

# Stands for the committed objects of the slide, where no file has this name.
STORE = "store"
_SOURCES = ("count", "segment")


@dataclass(frozen=True)
class ExportStepParams(ExportParams):
    """What is exported, and how.

    Attributes
    ----------
    labels : Path or None
        A label image, the folder of a count, or ``store``: the committed objects of the slide. What
        steps before it made if None.
    classes : Path or None
        A table with columns id and class.
    region : tuple of int
        Where a label image lies on the slide: r0, c0, r1, c1.
    """

    labels: Annotated[
        Path | None,
        Parameter("Labels", "A label image, a count, or store: the committed objects."),
    ] = None
    classes: Annotated[Path | None, Parameter("Classes", "A table with columns id and class.")] = (
        None
    )
    region: Annotated[tuple[int, ...], REGION] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, ExportError)
        check_region(self.region)

    @property
    def from_store(self) -> bool:
        """Whether the committed objects are meant."""
        return self.labels is not None and self.labels.name == STORE and not self.labels.exists()


def store_export(params: ExportParams) -> ExportStepParams:
    """An export of the committed objects as parameters that a recipe holds."""
    plain = {f.name: getattr(params, f.name) for f in fields(ExportParams)}
    return ExportStepParams(**plain, labels=Path(STORE))


def export_kept(
    slide: Slide,
    store: LabelStore,
    out: Path,
    params: ExportParams,
    *,
    aside: bool = False,
    task: Task,
) -> ExportReport:
    """Export the committed objects, with the recipe beside them; raises as `export` does.

    With `aside` a folder that holds other things is renamed first, see `set_aside`.
    """
    read = [Path(slide.path)] if slide.path else []
    with set_aside(out, read) if aside else nullcontext():
        report = export_store(slide, store, out, params, task)
    keep_recipe(out, (RecipeStep("export", store_export(params)),), {"slide": slide.key})
    list_also(out, RECIPE)
    return report


def export_from(
    slide: Slide, params: ExportStepParams, source: Path | None, out: Path, task: Task
) -> ExportReport:
    """Export labels, wherever they are.

    Parameters
    ----------
    slide : Slide
    params : ExportStepParams
    source : Path or None
        A label image or the folder of a count; None for the committed objects.
    out : Path
        As for `export`.
    task : Task

    Raises
    ------
    LabelError
        If a count is of another slide, or labels cannot be read.
    RegionError
        If labels do not fit where they are said to lie.
    ExportError
        As `export`.
    """
    plain = ExportParams(**{f.name: getattr(params, f.name) for f in fields(ExportParams)})
    if source is None:
        with LabelStore.of(slide, read_only=True) as store:
            return export_store(slide, store, out, plain, task)
    labels, own, cells = labels_at(source, slide, params.region)
    classes = read_classes(params.classes, params.default_class) if params.classes else own
    return export(slide, labels, out, plain, task, classes=classes, cells=cells)


def labels_at(
    source: Path, slide: Slide, region: tuple[int, ...] = ()
) -> tuple[TiffLabels | ArrayLabels, Classes | None, CellTable | None]:
    """The labels of a file or a count, with the classes and the cells that a count tells.

    Parameters
    ----------
    source : Path
        A label image, or the folder of a count.
    slide : Slide
    region : tuple of int
        Where a label image lies on it, if the file does not say: r0, c0, r1, c1.

    Raises
    ------
    LabelError
        If a count is of another slide, or labels cannot be read.
    RegionError
        If labels do not fit where they are said to lie.
    """
    if not (source / MADE).is_file():
        return _labels(source, region, slide), None, None
    cells = _cells(source, slide)
    named = zip(cells.id.tolist(), cells.class_names, strict=True)
    classes = Classes({i: name for i, name in named if name})
    return _labels(source / LABELS_TIF, region, slide), classes, cells


def _cells(folder: Path, slide: Slide) -> CellTable:
    """The cells of a count, which must be of the slide."""
    if slide_in(folder) != slide.key:
        raise LabelError(f"{folder} holds the count of another slide than {slide.name}.")
    return read_cells(folder / CELLS_CSV)


def _labels(path: Path, where: tuple[int, ...], slide: Slide) -> TiffLabels | ArrayLabels:
    """The labels of a file, where a region says they lie or where the file says it."""
    region = region_box(where, slide)
    if region is None:
        return read_labels(path)
    labels = read_labels(path, (round(region.r0), round(region.c0)))
    if labels.shape != region.shape:
        raise RegionError(
            f"The region {','.join(map(str, where))} has {region.shape[0]} rows and "
            f"{region.shape[1]} columns, but {path} has {labels.shape[0]} and {labels.shape[1]}."
        )
    return labels


def _run(given: StepInput, params: ExportStepParams, folder: Path) -> StepOutput:
    source = None if params.from_store else params.labels or _made(folder.parent, given.slide)
    report = export_from(given.slide, params, source, folder, given.task)
    return StepOutput(report.counted, numbers={"exported objects": float(report.objects)})


def _made(folder: Path, slide: Slide) -> Path:
    """What the steps before made of a slide."""
    found: Sequence[Path] = (folder / "count", folder / "segment" / LABELS_TIF)
    source = next((p for p in found if p.is_file() or (p / MADE).is_file()), None)
    if source is None:
        raise RecipeError(f"{slide.name} has no labels to export: count or segment first.")
    return source


def _methods(params: ExportParams) -> str:
    return f"Objects were exported as {params.format}."


def _command(params: ExportStepParams, slide: str, out: str) -> list[str] | None:
    if params.labels is None:
        return None
    given = [*option("image", slide), *option("labels", str(params.labels))]
    given += option("format", params.format)
    words = arguments(params, skip=("format", "labels"))
    return ["export", *given, *words, *option("out", out)]


STEP = Step(
    "export",
    "writes objects as training data",
    ExportStepParams,
    _run,
    lambda _: (),
    _methods,
    after=_SOURCES,
    alone=lambda params: params.labels is not None,
    command=_command,
)
