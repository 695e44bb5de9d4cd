"""An audit on paper: fields of a count written as a table, filled in by a person, read back."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NotRequired

import shapely
from pydantic import Field
from shapely.errors import ShapelyError
from typing_extensions import TypedDict

from histoprompt.core.errors import LabelError, RegionError, Remedy
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.documents import FEW_BYTES, Corners, Shape, read_json
from histoprompt.core.files.tables import Row, TextTable, read_table, table_writer
from histoprompt.core.geometry import Box
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.channels import on_channel
from histoprompt.core.slides.slide import Slide
from histoprompt.pipelines.audit.estimate import Corrected
from histoprompt.pipelines.count.audit import (
    TABLE,
    Audit,
    draw_audit,
    load_audit,
    save_audit,
    write_audit_table,
)
from histoprompt.pipelines.count.files import AUDIT_COLUMNS, CELLS_CSV, COUNTS_CSV, by_class
from histoprompt.pipelines.count.region import ALL, CountRegion, count_region
from histoprompt.pipelines.count.report import REPORT, renew_report
from histoprompt.pipelines.count.result_folders import MADE
from histoprompt.pipelines.formats.cell_files import read_cells
from histoprompt.pipelines.formats.regions import Region

FIELDS_CSV = "fields.csv"
PLACE = ("row0", "col0", "row1", "col1")
_NAMES = ("class", "region")


class _Made(TypedDict):
    """What an audit needs of ``count.json``."""

    slide: str
    path: Annotated[str, Field(min_length=1)]
    mpp: Annotated[float, Field(ge=1e-3, le=1e2)]
    region: Corners
    polygons: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    complete: bool
    picked: bool
    channel: NotRequired[str]
    without: NotRequired[list[Annotated[list[str], Field(min_length=2, max_length=2)]]]


_SHAPE: Shape[_Made] = Shape(_Made)


def draw_fields(
    folder: Path,
    fields: int,
    seed: int,
    slide: Path | Slide | None = None,
    *,
    trust_size: bool = False,
) -> Audit:
    """Draw the fields of a count to look at, and write ``fields.csv`` into its folder.

    Parameters
    ----------
    folder : Path
        Of `histoprompt count`: holds ``count.json`` and ``cells.csv``.
    fields : int
        How many.
    seed : int
        Of the draw.
    slide : Path or Slide, optional
        Where the slide is, if it was moved since; or the slide itself, where it is open.
    trust_size : bool
        As for `open_slide`, where it is not open.

    Raises
    ------
    LabelError
        If the folder holds no count, or fields that somebody has begun to fill in.
    RegionError
        If the count is partial, of another slide, or there is nothing to audit.
    SlideError
        If the slide is not there.
    """
    made = _made(folder)
    if not made["complete"]:
        raise RegionError(f"The count in {folder} is partial. Finish it, then draw fields.")
    path = folder / FIELDS_CSV
    if path.exists() and any(_filled(row) for _, row in _table(path).rows):
        raise LabelError(
            f"{path} is filled in already: drawing again until the result pleases voids an audit. "
            "Move the file away if you mean to start anew."
        )
    cells = read_cells(folder / CELLS_CSV)
    audit = draw_audit(_ground(made, slide, trust_size), cells, made["mpp"], fields, seed)
    save_audit(folder, audit)
    _write_fields(path, audit)
    return audit


def draw_more(folder: Path, fields: int) -> Audit:
    """Draw more fields of the same audit, and add them to ``fields.csv``; filled rows stay.

    Parameters
    ----------
    folder : Path
        Where fields were drawn.
    fields : int
        How many more.

    Raises
    ------
    LabelError
        If no fields were drawn here, cells have other classes since, or the table is not theirs.
    RegionError
        If every field is drawn already.
    """
    audit, path = _drawn(folder), folder / FIELDS_CSV
    done = _by_place(path, audit)
    longer = audit.longer(fields)
    added = range(audit.plan.fields, longer.plan.fields)
    _write_rows(path, list(done[0]), [*done, *(_row(longer, number) for number in added)])
    save_audit(folder, longer)
    return longer


def apply_fields(folder: Path, path: Path) -> Audit:
    """Correct a count by a filled table of fields.

    Writes ``audit.csv``, the intervals into ``counts.csv`` and what follows into ``report.html``.

    Parameters
    ----------
    folder : Path
        Where the fields were drawn.
    path : Path
        The table. Fields are in random order, so the last ones may be left empty.

    Raises
    ------
    LabelError
        If no fields were drawn here, cells have other classes since, or the table is not theirs,
        has gaps, or holds what is no count.
    """
    audit = _drawn(folder)
    audit = replace(audit, seen=_seen(path, audit))
    _write_intervals(folder / COUNTS_CSV, audit.corrected())
    write_audit_table(folder / TABLE, audit)
    save_audit(folder, audit)
    renew_report(folder / REPORT, folder / MADE, audit.corrected())
    return audit


def _drawn(folder: Path) -> Audit:
    """The audit whose fields were drawn in a folder."""
    audit = load_audit(folder)
    if audit is None:
        raise LabelError(f"No fields were drawn in {folder}.", remedy=Remedy.DRAW_FIELDS)
    if not audit.fits(read_cells(folder / CELLS_CSV)):
        raise LabelError(
            f"The cells in {folder} are not those the fields were drawn for. Draw fields anew."
        )
    return audit


def _made(folder: Path) -> _Made:
    path = folder / MADE
    if not path.is_file():
        raise LabelError(f"{folder} holds no count: {MADE} is missing. Name a folder of count.")
    return _SHAPE.of(
        read_json(path, LabelError, FEW_BYTES), str(path), advice="Count the slide again."
    )


def _ground(made: _Made, given: Path | Slide | None, trust_size: bool) -> CountRegion:
    """The ground of a count as it was."""
    channel = made.get("channel")
    if isinstance(given, Slide):
        return _ground_on(on_channel(given, channel) if channel else given, made)
    place = given or made["path"]
    with open_slide(place, made["mpp"], channel=channel, trust_size=trust_size) as slide:
        return _ground_on(slide, made)


def _ground_on(slide: Slide, made: _Made) -> CountRegion:
    if slide.key != made["slide"]:
        raise RegionError(f"{slide.path or slide.name} is not the slide that was counted.")
    box = Box(*made["region"])
    if not slide.box.covers(box):
        raise RegionError(f"The region {tuple(box)} that was counted is not on {slide.name}.")
    regions = [_region(name, text) for name, text in made["polygons"]]
    without = [_region(name, text) for name, text in made.get("without", ())]
    return count_region(slide, box if made["picked"] else None, regions, without=without)


def _region(name: str, text: str) -> Region:
    try:
        polygon = shapely.from_wkt(text)
    except ShapelyError as error:
        raise LabelError(f"The region {name} of the count is damaged: {error}.") from error
    if not shapely.is_valid(polygon) or not shapely.area(polygon) > 0:
        raise LabelError(f"The region {name} of the count is damaged: it is no area.")
    return Region(name, polygon)


def _true(name: str) -> str:
    return f"true {name or 'cells'}"


def _found(name: str) -> str:
    return f"found {name or 'cells'}"


def _write_fields(path: Path, audit: Audit) -> None:
    columns = audit.plan.columns
    head = [*PLACE, *map(_found, columns), *map(_true, columns)]
    _write_rows(path, head, [_row(audit, number) for number in range(audit.plan.fields)])


def _row(audit: Audit, number: int) -> dict[str, object]:
    """A field as a row of the table; what is there in truth is left empty."""
    found = zip(map(_found, audit.plan.columns), audit.found(number), strict=True)
    return {**dict(zip(PLACE, map(int, audit.box(number)), strict=True)), **dict(found)}


def _write_rows(path: Path, head: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    with replacing_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        write = table_writer(file, head, _NAMES)
        for row in rows:
            write([row.get(column, "") for column in head])


def _table(path: Path) -> TextTable:
    return read_table(path, "The table", LabelError)


def _filled(row: Mapping[str, str]) -> bool:
    return any(value for name, value in row.items() if name.startswith("true "))


def _by_place(path: Path, audit: Audit) -> list[dict[str, str]]:
    """The rows of a table of fields, in the order these were drawn in.

    Fields ahead in that order may follow: they are there if the disk was full when more were drawn.
    """
    columns = [_true(name) for name in audit.plan.columns]
    found = _table(path)
    missing = [c for c in (*PLACE, *columns) if not found.rows or c not in found.columns]
    if missing:
        raise LabelError(f"{path} has no column {', '.join(missing)}, or no row below its header.")
    table: dict[tuple[str, ...], Row] = {}
    for line, row in found.rows:
        place = tuple(row[c] for c in PLACE)
        if table.setdefault(place, row) != row:
            raise LabelError(
                f"{path} line {line}: the field at {', '.join(place)} stands in two rows with "
                "different numbers. Keep the right one."
            )
    everywhere = [tuple(str(int(v)) for v in audit.plan.boxes[i]) for i in audit.plan.order]
    drawn = everywhere[: audit.plan.fields]
    if not set(drawn) <= set(table) <= set(everywhere):
        raise LabelError(f"{path} does not hold the {len(drawn):,} fields that were drawn here.")
    return [table[place] for place in drawn]


def _seen(path: Path, audit: Audit) -> tuple[tuple[int, ...], ...]:
    """The true counts of the first fields, as far as the table is filled in."""
    rows, columns = _by_place(path, audit), [_true(name) for name in audit.plan.columns]
    given = [_filled(row) for row in rows]
    if not any(given):
        raise LabelError(f"{path} is not filled in: enter the true counts of some fields.")
    done = sum(given)
    if not all(given[:done]):
        number = given.index(False) + 1
        raise LabelError(
            f"{path}: row {number} is empty, a later one is not. Fields are in random order: fill "
            "them in from the top, else the interval would not hold."
        )
    return tuple(tuple(_count(row[c], path, c) for c in columns) for row in rows[:done])


def _count(text: str, path: Path, column: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise LabelError(
            f"{path}: {reprlib.repr(text)} in column {column} is no count. Enter 0, 1, 2 ..."
        )
    return int(text)


def _write_intervals(path: Path, corrected: tuple[Corrected, ...]) -> None:
    """Fill in the columns of ``counts.csv`` that an audit adds; all others stay as they are."""
    table = _table(path)
    rows = [row for _, row in table.rows]
    lacking = {*_NAMES, *AUDIT_COLUMNS} - set(table.columns if rows else ())
    if lacking:
        raise LabelError(f"{path} has no column {', '.join(sorted(lacking))}. Count again.")
    by_name = by_class(corrected)
    for row in rows:
        count = by_name.get(row["class"]) if row["region"] == ALL else None
        ends = (None, None, None) if count is None else (count.estimate, count.low, count.high)
        row |= dict(
            zip(AUDIT_COLUMNS, ("" if v is None else f"{v:.1f}" for v in ends), strict=True)
        )
    _write_rows(path, list(rows[0]), rows)
