"""Imported outlines as a count: measured, with classes, ready for audit, as if counted here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import ExportError, LabelError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.documents import read_json
from histoprompt.core.files.tables import table_writer
from histoprompt.core.geometry import Box, Frame, union_of
from histoprompt.core.labels.sources import LabelSource
from histoprompt.core.labels.table import LabelTable, compacted
from histoprompt.core.labels.tiff import TiffLabels
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.find import TileCells, known_mpp
from histoprompt.pipelines.count.files import LABELS_TIF
from histoprompt.pipelines.count.kept import KeptCount, keep_count
from histoprompt.pipelines.count.out_folders import MADE, slide_in
from histoprompt.pipelines.count.region import count_region
from histoprompt.pipelines.count.run import CountJob
from histoprompt.pipelines.count.slide import CountResult, count_slide
from histoprompt.pipelines.exchange.import_labels import provenance
from histoprompt.pipelines.exchange.incoming import Incoming

IDS_CSV = "imported_ids.csv"
# Wider things are no cells, and reading around them would take the memory of a slide.
WIDEST_UM = 256.0
_MOST_CLASSES = 2**15 - 1
_LOW = 2**32 - 1


@dataclass(frozen=True, eq=False)
class ImportedCells:
    """Cells that another program found; a `find.CellSource`.

    Parameters
    ----------
    labels : LabelSource
        Of the slide.
    table : LabelTable
        The objects that count.
    classes : tuple of str
    code : (n,) int16
        Class of each object of the table.
    """

    labels: LabelSource
    table: LabelTable
    classes: tuple[str, ...]
    code: NDArray[np.int16]
    feature_names: tuple[str, ...] = ()

    def find(self, slide: Slide, inner: Box, task: Task) -> TileCells:
        """The cells that meet a tile, each whole, in level-0 pixels."""
        task.step(0, 0, "Measuring imported cells")
        r0, c0, r1, c1 = self.table.boxes.T
        meet = (r0 < inner.r1) & (r1 > inner.r0) & (c0 < inner.c1) & (c1 > inner.c0)
        here = np.flatnonzero(meet)
        if not len(here):
            corner = Box(inner.r0, inner.c0, inner.r0 + 1, inner.c0 + 1)
            nothing = np.zeros((1, 1), np.int32)
            return TileCells.of(np.zeros((1, 1, 3), np.uint8), nothing, Frame(corner, (1, 1)))
        around = union_of(Box(*corners) for corners in self.table.boxes[here].tolist())
        present, compact, _ = compacted(self.labels.read(around))
        rows = np.searchsorted(self.table.ids, present).clip(max=len(self.table) - 1)
        ours = (self.table.ids[rows] == present) & np.isin(rows, here)
        numbers = np.concatenate([[0], np.cumsum(ours) * ours]).astype(np.int32)
        image, frame = slide.read(around)
        cells = TileCells.of(image, numbers[compact], frame)
        return replace(cells, code=self.code[rows[ours]], classes=self.classes)


@dataclass(frozen=True, eq=False)
class CountPlan:
    """What an import into a count would make.

    Attributes
    ----------
    incoming : Incoming
    cells : ImportedCells
    wide : int
        Objects that are too large for cells and are left out.
    removed : int
        Cells of the count that is replaced.
    """

    incoming: Incoming
    cells: ImportedCells
    wide: int = 0
    removed: int = 0

    def __str__(self) -> str:
        found = self.incoming
        return (
            f"added {len(self.cells.table)} changed 0 removed {self.removed} "
            f"outside {found.outside} repaired {found.repaired}"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the count should know."""
        told = [f"The outlines come from {self.incoming.path.name} ({self.incoming.format.title})."]
        if self.wide:
            told.append(
                f"{self.wide} objects are wider than {WIDEST_UM:g} µm: they are no cells and were "
                "left out."
            )
        return tuple(told)


def plan_count(slide: Slide, incoming: Incoming, out: Path | None = None) -> CountPlan:
    """Work out which objects become cells; nothing is written.

    Parameters
    ----------
    slide : Slide
        Its mpp must be known.
    incoming : Incoming
    out : Path, optional
        Where the count would go.

    Raises
    ------
    MissingMppError
        If the slide has no pixel size.
    LabelError
        If there are too many classes.
    ExportError
        If `out` holds the count of another slide.
    """
    most = WIDEST_UM / known_mpp(slide)
    table = incoming.table
    sides = table.boxes[:, 2:] - table.boxes[:, :2]
    fits = (sides <= most).all(axis=1)
    kept = LabelTable(table.ids[fits], table.boxes[fits], table.areas[fits])
    names = [incoming.classes.of(i) for i in kept.ids.tolist()]
    classes = tuple(sorted(set(names)))
    if len(classes) > _MOST_CLASSES:
        raise LabelError(f"{incoming.path.name} has {len(classes)} classes: too many to count.")
    number = {name: i for i, name in enumerate(classes)}
    code = np.array([number[name] for name in names], np.int16)
    cells = ImportedCells(incoming.labels, kept, classes, code)
    return CountPlan(incoming, cells, int((~fits).sum()), _cells_in(out, slide))


def write_imported_count(slide: Slide, plan: CountPlan, out: Path, task: Task) -> CountResult:
    """Measure the objects and write all files of a count, and ``imported_ids.csv`` beside them.

    Cells are numbered anew, as every count numbers its own; the table gives the file's ids.

    Raises
    ------
    LabelError
        If nothing is left to count.
    ExportError
        If the disk is full, or another program counts into the folder.
    """
    job = _job(slide, plan)
    counted = count_slide(slide, job, out, task, box=slide.box)
    if counted.complete:
        _write_ids(out, plan, task)
    return replace(counted, notes=(*counted.notes, *plan.notes))


def keep_imported_count(
    slide: Slide, plan: CountPlan, manager: ModelManager, task: Task
) -> KeptCount:
    """Measure the objects and keep them as a count to work on. Raises as `write_imported_count`."""
    ground = count_region(slide, slide.box)
    kept = keep_count(slide, _job(slide, plan), ground, task=task, box=slide.box)
    return replace(kept, notes=(*kept.notes, *plan.notes))


def _job(slide: Slide, plan: CountPlan) -> CountJob:
    plan.incoming.check(slide)
    if not len(plan.cells.table):
        raise LabelError(f"No object of {plan.incoming.path.name} is small enough for a cell.")
    about: dict[str, Any] = {"segmenter": "imported", **provenance(plan.incoming)}
    about |= {"objects": len(plan.cells.table), "outside": plan.incoming.outside}
    return CountJob(plan.cells, about)


def _cells_in(out: Path | None, slide: Slide) -> int:
    """Cells of the count that lies in a folder."""
    if out is None or not out.exists():
        return 0
    if not out.is_dir():
        raise ExportError(f"{out} is a file. Give a folder for the count.")
    if slide_in(out) not in (None, slide.key):
        raise ExportError(f"{out} holds the count of another slide. Choose another folder.")
    try:
        made = read_json(out / MADE)
    except LabelError:
        return 0
    cells = made.get("cells") if isinstance(made, dict) else None
    return cells if isinstance(cells, int) else 0


def _write_ids(out: Path, plan: CountPlan, task: Task) -> None:
    """Write which cell each imported object became."""
    found, pairs = plan.incoming, {}
    boxes = list(found.labels.filled_boxes())
    with TiffLabels(out / LABELS_TIF, (0, 0)) as counted:
        for done, box in enumerate(boxes):
            task.step(done, len(boxes), "Noting the ids of the file")
            cells, ids = counted.read(box), found.labels.read(box)
            both = (cells > 0) & (ids > 0)
            keys = np.unique(cells[both].astype(np.uint64) << np.uint64(32) | ids[both])
            pairs.update((key >> 32, key & _LOW) for key in keys.tolist())
    with replacing_file(out / IDS_CSV) as part, part.open("w", newline="", encoding="utf-8") as file:
        write = table_writer(file, ("id", "imported_id", "name"), names=("name",))
        for cell, label in sorted(pairs.items()):
            write((cell, label, found.titles.get(label, "")))
