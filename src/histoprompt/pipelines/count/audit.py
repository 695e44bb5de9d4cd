"""The audit of a count: which fields a person is shown, what was seen there, what follows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import LabelError, RegionError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.documents import Corners, Count, Finite, Shape, read_json
from histoprompt.core.files.tables import table_writer
from histoprompt.core.geometry import Box
from histoprompt.core.task import Task
from histoprompt.pipelines.audit.estimate import Corrected, corrected_counts
from histoprompt.pipelines.audit.marks import AuditMark, truth_by_marks
from histoprompt.pipelines.audit.plan import AuditPlan, field_boxes, plan_audit
from histoprompt.pipelines.count.kept import KeptCount
from histoprompt.pipelines.count.region import CountRegion
from histoprompt.pipelines.formats.json_files import write_json

FILE, TABLE = "audit.json", "audit.csv"
_ANEW = "Move the file away to start anew."
SIDE_UM = 100.0


@dataclass(frozen=True, eq=False)
class Audit:
    """An audit as far as it got.

    Attributes
    ----------
    plan : AuditPlan
    seen : tuple of tuple of int
        True counts by ``plan.columns`` of the first fields of ``plan.chosen``.
    marks : tuple of AuditMark
        What was pointed at, in all fields.
    digest : str
        Of the cells and classes the fields were drawn for.
    """

    plan: AuditPlan
    seen: tuple[tuple[int, ...], ...] = ()
    marks: tuple[AuditMark, ...] = ()
    digest: str = ""

    @property
    def finished(self) -> bool:
        """Whether all chosen fields were looked at."""
        return len(self.seen) == self.plan.fields

    def box(self, number: int) -> Box:
        """Where the field of this number, from 0, lies."""
        return self.plan.boxes[int(self.plan.chosen[number])]

    def found(self, number: int) -> tuple[int, ...]:
        """Cells that were counted there, by ``plan.columns``."""
        here = self.plan.found[self.plan.chosen[number], : len(self.plan.columns)]
        return tuple(here.tolist())

    def entered(self, counts: Sequence[int]) -> Audit:
        """With the true counts of the next field."""
        return replace(self, seen=(*self.seen, tuple(counts)))

    def longer(self, fields: int) -> Audit:
        """With so many more fields to look at; what was entered stays.

        Raises
        ------
        RegionError
            If every field is drawn already, or not a positive number of them is asked for.
        """
        if fields < 1 or not self.plan.left:
            raise RegionError(
                f"{fields:,} more fields cannot be drawn: {self.plan.fields} of "
                f"{len(self.plan.order)} are drawn already."
            )
        return replace(self, plan=self.plan.longer(fields))

    def fits(self, cells: CellTable) -> bool:
        """Whether cells are as they were when the fields were drawn."""
        return self.digest == _digest(cells)

    def taken_back(self) -> Audit:
        """Without the last field that was entered."""
        return replace(self, seen=self.seen[:-1])

    def corrected(self) -> tuple[Corrected, ...]:
        """Corrected counts with intervals; empty before the first field was entered."""
        if not self.seen:
            return ()
        return corrected_counts(self.plan, np.array(self.seen, np.int64))


class _Kept(TypedDict):
    """What `save_audit` writes."""

    boxes: Annotated[list[Corners], Field(min_length=1)]
    classes: list[str]
    found: list[list[Count]]
    order: list[Count]
    fields: Count
    seen: list[list[Count]]
    marks: list[Annotated[list[Finite | str], Field(min_length=3, max_length=3)]]
    cells: str


_SHAPE: Shape[_Kept] = Shape(_Kept)


def start_audit(work: KeptCount, cells: CellTable, fields: int, seed: int, *, task: Task) -> Audit:
    """Draw the fields to look at.

    Parameters
    ----------
    work : KeptCount
    cells : CellTable
        Of `work`, with the classes they have now; the audit is of these.
    fields : int
    seed : int
        Of the draw.
    task : Task

    Raises
    ------
    RegionError
        If the count is not complete, or no field holds anything that was counted.
    """
    if not work.complete:
        raise RegionError(
            f"{len(work.progress.done):,} of {work.progress.total:,} tiles are counted. Finish the "
            "count first: fields of what is not counted yet cannot be audited."
        )
    task.step(0, 0, "Choosing fields")
    return draw_audit(work.ground, cells, work.slide.mpp or 1.0, fields, seed)


def draw_audit(ground: CountRegion, cells: CellTable, mpp: float, fields: int, seed: int) -> Audit:
    """Draw fields of 100 um on the ground of a count; all of them where there are fewer.

    Raises
    ------
    RegionError
        If no field is asked for, or none holds anything that was counted.
    """
    side = max(1, round(SIDE_UM / mpp))
    boxes = [box for box in field_boxes(ground.box, side) if ground.meets(box)]
    plan = plan_audit(cells, boxes, min(fields, max(1, len(boxes))), seed)
    return Audit(plan, digest=_digest(cells))


def _digest(cells: CellTable) -> str:
    """Of which cells there are and of what class."""
    columns = repr(cells.classes).encode(), cells.id.tobytes(), cells.code.tobytes()
    return hashlib.sha256(b"|".join(columns)).hexdigest()


def truth_in_field(work: KeptCount, cells: CellTable, audit: Audit) -> tuple[int, ...]:
    """Cells by ``plan.columns`` in the field to look at next: those found, corrected by marks."""

    def cell_at(row: float, col: float) -> int:
        r, c = round(row), round(col)
        pixel = Box(r, c, r + 1, c + 1)
        return int(work.progress.store.read(pixel)[0, 0]) if work.ground.box.covers(pixel) else 0

    box = audit.box(len(audit.seen))
    near = [m for m in audit.marks if box.pad(max(box.shape) / 2).contains(m.row, m.col)]
    return truth_by_marks(box, audit.plan.columns, cells, near, cell_at)


def write_audit_table(path: Path, audit: Audit) -> None:
    """Write ``audit.csv``: a line for each class with what was found, corrected, and the interval.

    Raises
    ------
    ExportError
        If the disk is full.
    """
    with replacing_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        head = ("class", "found", "corrected", "low", "high", "fields", "note")
        write = table_writer(file, head, names=("class", "note"))
        for c in audit.corrected():
            ends = ("" if end is None else f"{end:.1f}" for end in (c.low, c.high))
            write((c.name, c.found, f"{c.estimate:.1f}", *ends, c.fields, c.note))


def save_audit(folder: Path, audit: Audit) -> None:
    """Keep an audit beside its count."""
    plan = audit.plan
    content = {
        "boxes": [[int(v) for v in box] for box in plan.boxes],
        "classes": list(plan.classes),
        "found": plan.found.tolist(),
        "order": plan.order.tolist(),
        "fields": plan.fields,
        "seen": [list(counts) for counts in audit.seen],
        "marks": [[mark.row, mark.col, mark.name] for mark in audit.marks],
        "cells": audit.digest,
    }
    with replacing_file(folder / FILE) as part:
        write_json(part, content)


def load_audit(folder: Path) -> Audit | None:
    """The audit kept beside a count; None if there is none.

    Raises
    ------
    LabelError
        If the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return None
    raw = _SHAPE.of(read_json(path), f"The audit cannot be read: {path}", advice=_ANEW)
    try:
        return _audit(raw)
    except (RegionError, ValueError) as error:
        raise LabelError(f"The audit in {path} cannot be read: {error} {_ANEW}") from error


def _audit(raw: _Kept) -> Audit:
    """An audit out of values of the right kinds; they must fit each other."""
    plan = AuditPlan(
        tuple(Box(*box) for box in raw["boxes"]),
        tuple(raw["classes"]),
        np.array(raw["found"], np.int64),
        np.array(raw["order"], np.intp),
        raw["fields"],
    )
    n, c = len(plan.boxes), len(plan.classes)
    if plan.found.shape != (n, c + 1):
        raise ValueError(f"{n:,} fields and {c} classes do not fit its table of cells.")
    if sorted(raw["order"]) != list(range(n)) or not 1 <= plan.fields <= n:
        raise ValueError(f"its order is none of {n:,} fields, of which {plan.fields} are drawn.")
    wide = len(plan.columns)  # unsure cells have a column of their own
    if len(raw["seen"]) > plan.fields or any(len(counts) != wide for counts in raw["seen"]):
        raise ValueError(f"what was seen does not fit {plan.fields:,} fields of {wide} columns.")
    seen = tuple(map(tuple, raw["seen"]))
    return Audit(plan, seen, tuple(map(_mark, raw["marks"])), raw["cells"])


def _mark(kept: list[float | str]) -> AuditMark:
    row, col, name = kept
    return AuditMark(float(row), float(col), str(name))
