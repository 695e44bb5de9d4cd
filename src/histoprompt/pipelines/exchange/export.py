"""Corrected labels become training data."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import ExportError, LabelError
from histoprompt.core.files.atomic import explained, replacing_folder
from histoprompt.core.labels.classes import DEFAULT_CLASS, Classes, read_classes
from histoprompt.core.labels.sources import LabelSource, extent
from histoprompt.core.labels.table import scan
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.cells.given import GivenCells, measured
from histoprompt.pipelines.exchange.own_files import check_own, write_manifest
from histoprompt.pipelines.formats.catalogue import file_format
from histoprompt.pipelines.formats.data_card import CARD, card_of
from histoprompt.pipelines.formats.job import (
    FORMATS,
    ExportJob,
    ExportParams,
    Regions,
    Written,
)
from histoprompt.pipelines.formats.regions import read_regions
from histoprompt.pipelines.formats.tile_pairs import tile_mpp

__all__ = ["FORMATS", "ExportParams", "ExportReport", "export", "read_classes"]


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote.

    Attributes
    ----------
    folder : Path
        Where it lies.
    paths : tuple of Path
        The files and folders to look at.
    objects : int
    by_class : dict of str to int
        Objects of each class.
    tiles : int
        Tiles written; 0 for formats without.
    """

    folder: Path
    paths: tuple[Path, ...]
    objects: int
    by_class: dict[str, int]
    tiles: int

    @property
    def counted(self) -> str:
        """How many objects of which classes were written, wherever that was."""
        classes = ", ".join(f"{n} {name}" for name, n in sorted(self.by_class.items()))
        tiled = f" in {self.tiles:,} tiles" if self.tiles else ""
        return f"{self.objects:,} objects{tiled} ({classes})"

    def __str__(self) -> str:
        return f"{self.counted} -> {self.folder}"


def export(
    slide: Slide,
    labels: LabelSource,
    out: str | os.PathLike[str],
    params: ExportParams,
    task: Task,
    *,
    classes: Classes | None = None,
    regions: Regions | None = None,
    cells: CellTable | None = None,
) -> ExportReport:
    """Write labels of a slide as training data.

    Everything is written beside `out` and put there when it is complete, so that a failure, a full
    disk or a cancel leaves an earlier export as it was.

    Parameters
    ----------
    slide : Slide
        What was labelled.
    labels : LabelSource
        Of the whole slide, or of a region with an `origin`.
    out : path
        A folder that does not exist, is empty, or holds an earlier export, which is replaced.
    params : ExportParams
    task : Task
        For progress and cancel.
    classes : Classes, optional
        Of the objects; those it leaves out have `params.default_class`, or if that is empty what
        the format takes for none.
    regions : Regions, optional
        What the objects lie in; written by ``geojson``.
    cells : CellTable, optional
        The objects, measured, where that is done already.

    Returns
    -------
    ExportReport

    Raises
    ------
    LabelError
        If the labels do not fit the slide, hold no object, or classes are given for unknown ids.
    ExportError
        If `out` holds other things or cannot be written.
    MissingMppError
        If `params.mpp` is given and the slide's is not known.
    Cancelled
        If the user cancelled.
    """
    folder = Path(out).resolve()
    check_fit(slide, labels)
    with explained(folder):
        check_own(folder)
    table = scan(labels, task)
    if not len(table) and not (params.format == "geojson" and regions and len(regions.table)):
        raise LabelError("The labels hold no objects: there is nothing to export.")
    kind = file_format(params.format)
    none = "" if kind.unclassed else DEFAULT_CLASS
    classes = replace(classes or Classes(), default=params.default_class or none)
    classes.check(table.ids)
    if kind.measured and cells is None:
        cells = measured(slide, GivenCells.of(labels, table, classes), extent(labels), task)
    areas = tuple(read_regions(params.regions, slide.shape)) if params.regions else ()
    with replacing_folder(folder) as part:
        job = ExportJob(slide, labels, table, classes, params, part, task, regions, cells, areas)
        written = _writer(params.format)(job)
        if kind.tiled and not written.tiles:
            raise ExportError("No tile fits the regions and sets that were asked for.")
        if kind.tiled:
            (part / CARD).write_text(card_of(job, tile_mpp(job)), encoding="utf-8")
        write_manifest(part, job.provenance())
        task.step(1, 1, "Exported")
    return ExportReport(
        folder=folder,
        paths=tuple(folder / name for name in written.files),
        objects=len(table),
        by_class={n or "unclassified": k for n, k in classes.counted(table.ids).items()},
        tiles=written.tiles,
    )


def _writer(name: str) -> Callable[[ExportJob], Written]:
    write = file_format(name).write
    if write is None:
        raise ExportError(f"{name} is read but not written here.")
    return write


def check_fit(slide: Slide, labels: LabelSource) -> None:
    """Refuse labels that do not belong to the slide.

    Raises
    ------
    LabelError
        If labels of unknown origin have another size, or those of a region reach outside.
    """
    (h, w), (rows, cols) = labels.shape, slide.shape
    if labels.origin is None and (h, w) != (rows, cols):
        raise LabelError(
            f"The labels have {h} rows and {w} columns, but {slide.name} has {rows} rows and "
            f"{cols} columns. If they are those of a region, say which one."
        )
    if not slide.box.covers(extent(labels)):
        r, c = labels.origin or (0, 0)
        raise LabelError(
            f"The labels have {h} rows and {w} columns from row {r} and column {c}, which reaches "
            f"outside {slide.name} with {rows} rows and {cols} columns."
        )
