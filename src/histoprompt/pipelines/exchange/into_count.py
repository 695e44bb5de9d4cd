"""Imported outlines as a count: measured, with classes, ready for audit, as if counted here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from histoprompt.annotations.class_list import is_ignored
from histoprompt.core.errors import ExportError, LabelError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.documents import read_json
from histoprompt.core.files.tables import table_writer
from histoprompt.core.labels.shared import shared_pixels
from histoprompt.core.labels.tiff import TiffLabels
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.wording import many
from histoprompt.core.task import Task
from histoprompt.pipelines.cells.find import known_mpp
from histoprompt.pipelines.cells.given import WIDEST_UM, GivenCells
from histoprompt.pipelines.count.files import LABELS_TIF
from histoprompt.pipelines.count.ignored import centred_in, ignored_of
from histoprompt.pipelines.count.kept import KeptCount, keep_count
from histoprompt.pipelines.count.region import count_region
from histoprompt.pipelines.count.result_folders import MADE, slide_in
from histoprompt.pipelines.count.run import CountJob
from histoprompt.pipelines.count.slide import CountResult, count_slide
from histoprompt.pipelines.count.store import COLOURS
from histoprompt.pipelines.exchange.import_labels import provenance
from histoprompt.pipelines.exchange.incoming import Incoming
from histoprompt.pipelines.formats.regions import Region

IDS_CSV = "imported_ids.csv"


@dataclass(frozen=True, eq=False)
class CountPlan:
    """What an import into a count would make.

    Attributes
    ----------
    incoming : Incoming
    cells : GivenCells
    wide : int
        Objects that are too large for cells and are left out.
    removed : int
        Cells of the count that is replaced.
    ignored : int
        Objects that lie in ignored areas, or are of an ignored class themselves, and are left out.
    without : tuple of Region
        The ignored areas of the slide: what is committed in ignored classes.
    """

    incoming: Incoming
    cells: GivenCells
    wide: int = 0
    removed: int = 0
    ignored: int = 0
    without: tuple[Region, ...] = ()

    def __str__(self) -> str:
        found = self.incoming
        return (
            f"added {len(self.cells.table)} changed 0 removed {self.removed} "
            f"outside {found.outside} repaired {found.repaired}"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the count should know."""
        found = self.incoming
        told = [f"The outlines come from {found.path.name} ({found.format.title})."]
        told += [f"{note}." for note in found.notes]
        if self.wide:
            told.append(
                f"{self.wide:,} objects are wider than {WIDEST_UM:g} µm: they are no cells and "
                "were left out."
            )
        if self.ignored:
            told.append(f"{many(self.ignored, 'imported cell')} in ignored areas left out.")
        return tuple(told)


def plan_count(slide: Slide, incoming: Incoming, out: Path | None = None) -> CountPlan:
    """Work out which objects become cells; nothing is written.

    As in every count, no cell counts whose centre lies in what is committed in ignored classes.

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
    LabelStoreError
        If the committed labels are damaged.
    ExportError
        If `out` holds the count of another slide.
    """
    narrow = incoming.table.widest <= WIDEST_UM / known_mpp(slide)
    without = ignored_of(slide)
    codes, names = incoming.classes.coded(incoming.table.ids)
    ignored = np.array([is_ignored(name) for name in names])[codes]
    ignored |= centred_in(without, incoming.labels, incoming.table)
    table = incoming.table.only(np.flatnonzero(narrow & ~ignored))
    cells = GivenCells.of(incoming.labels, table, incoming.classes)
    measured = incoming.measured
    cells = replace(cells, described=measured.of(table.ids), feature_names=measured.names)
    wide, left = np.count_nonzero(~narrow), np.count_nonzero(narrow & ignored)
    return CountPlan(incoming, cells, int(wide), _cells_in(out, slide), int(left), without)


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
    counted = count_slide(
        slide, job, out, task, box=slide.box, without=plan.without, notes=plan.notes
    )
    if counted.complete:
        _write_ids(out, plan, task)
    return counted


def keep_imported_count(slide: Slide, plan: CountPlan, task: Task) -> KeptCount:
    """Measure the objects and keep them as a count to work on. Raises as `write_imported_count`."""
    ground = count_region(slide, slide.box, without=plan.without)
    kept = keep_count(slide, _job(slide, plan), ground, task=task, box=slide.box)
    return replace(kept, notes=(*kept.notes, *plan.notes))


def _job(slide: Slide, plan: CountPlan) -> CountJob:
    plan.incoming.check(slide)
    if not len(plan.cells.table) and plan.ignored:
        raise LabelError(
            f"All {plan.ignored:,} cells of {plan.incoming.path.name} lie in ignored areas. Give "
            "these areas another class to count in them."
        )
    if not len(plan.cells.table):
        raise LabelError(f"No object of {plan.incoming.path.name} is small enough for a cell.")
    about: dict[str, Any] = {"segmenter": "imported", **provenance(plan.incoming)}
    about |= {"objects": len(plan.cells.table), "outside": plan.incoming.outside}
    chosen = plan.incoming.classes.colours
    if chosen:
        about[COLOURS] = {name: list(colour) for name, colour in sorted(chosen.items())}
    if plan.cells.feature_names:
        about["imported measurements"] = len(plan.cells.feature_names)
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
    found, pairs = plan.incoming, dict[int, int]()
    boxes = list(found.labels.filled_boxes())
    with TiffLabels(out / LABELS_TIF, (0, 0)) as counted:
        for done, box in enumerate(boxes):
            task.step(done, len(boxes), "Noting the ids of the file")
            cells, ids = counted.read(box), found.labels.read(box)
            own, imported, _ = shared_pixels(cells, ids)
            pairs.update(zip(own.tolist(), imported.tolist(), strict=True))
    with (
        replacing_file(out / IDS_CSV) as part,
        part.open("w", newline="", encoding="utf-8") as file,
    ):
        write = table_writer(file, ("id", "imported_id", "name"), names=("name",))
        for cell, label in sorted(pairs.items()):
            write((cell, label, found.titles.get(label, "")))
