"""Points as a table: columns ``x,y`` or ``row,col`` with a class, or bare ``x,y[,class]`` lines.

Named columns may be ``x, y`` (or ``centroid x`` with a unit in pixels, as QuPath writes it) and
``class``, ``label`` or ``name``. Positions are pixel centres.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from histoprompt.core.errors import LabelError
from histoprompt.pipelines.formats.annotation import Annotation, Reading

_HALF = 0.5
_X = ("x", "col", "centroid x px", "centroid x", "x_centroid")
_Y = ("y", "row", "centroid y px", "centroid y", "y_centroid")
_CLASS = ("class", "label", "classification", "name", "type")


def matches(path: Path) -> bool:
    """Whether a file is a table of points."""
    return path.is_file() and path.suffix.lower() in (".csv", ".tsv", ".txt")


def read(reading: Reading) -> Iterator[Annotation]:
    """The points of a table.

    Raises
    ------
    LabelError
        If it is no table of points.
    """
    try:
        with reading.path.open(newline="", encoding="utf-8-sig") as file:
            start = file.read(4096)
            file.seek(0)
            sign = max(",;\t", key=start.split("\n", 1)[0].count)
            yield from _rows(reading, csv.reader(file, delimiter=sign, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelError(f"{reading.path.name} cannot be read as a table: {error}.") from error


def _rows(reading: Reading, rows: Iterator[list[str]]) -> Iterator[Annotation]:
    first = next(rows, None)
    if not first:
        raise LabelError(f"{reading.path.name} is empty.")
    names = [name.strip().lower().replace("µ", "u") for name in first]
    columns: tuple[int | None, int | None, int | None, int | None]
    if _numeric(first):
        columns = (0, 1, 2 if len(first) > 2 else None, None)
        yield from _point(reading, 1, first, columns)
    else:
        columns = (_find(names, _X), _find(names, _Y), _find(names, _CLASS), _find(names, ("id",)))
        if columns[0] is None or columns[1] is None:
            raise LabelError(
                f"{reading.path.name} has the columns {', '.join(first)[:200]}; a table of points "
                "needs x and y (or col and row) in pixels."
            )
    for number, row in enumerate(rows, start=2):
        if any(cell.strip() for cell in row):
            yield from _point(reading, number, row, columns)


def _point(
    reading: Reading,
    number: int,
    row: list[str],
    columns: tuple[int | None, int | None, int | None, int | None],
) -> Iterator[Annotation]:
    cells = [row[i].strip() if i is not None and i < len(row) else "" for i in columns]
    where = f"line {number}"
    try:
        x, y = float(cells[0]) + _HALF, float(cells[1]) + _HALF
    except ValueError:
        reading.skip(where, "x and y are no numbers")
        return
    yield from reading.at(
        where, x, y, class_name=cells[2], id=reading.identity(where, cells[3] or None)
    )


def _find(names: list[str], wanted: tuple[str, ...]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _numeric(row: list[str]) -> bool:
    try:
        return len(row) >= 2 and all(float(cell) is not None for cell in row[:2])
    except ValueError:
        return False
