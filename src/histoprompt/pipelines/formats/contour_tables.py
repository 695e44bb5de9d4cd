"""Contours as a table, as HistomicsTK writes them: a row an object, ``coords_x`` and ``coords_y``.

Each holds whole numbers with commas between, the centres of the outermost pixels as OpenCV draws
them. ``group`` (or ``label``, ``class``, ``main_classification``) is the class, ``color`` its
colour. Holes are not in the table; the column ``has_holes`` only says that there are some.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from histoprompt.core.errors import LabelError
from histoprompt.core.files.documents import head_of
from histoprompt.pipelines.formats.annotation import Annotation, Reading, colour_of
from histoprompt.pipelines.formats.contour_lists import read_contour

_X, _Y = "coords_x", "coords_y"
_CLASS = ("group", "label", "class", "main_classification", "raw_classification")


def matches(path: Path) -> bool:
    """Whether a file is a table of contours."""
    first = head_of(path, 4096, (".tsv", ".csv", ".txt")).split(b"\n", 1)[0]
    return _X.encode() in first and _Y.encode() in first


def read(reading: Reading) -> Iterator[Annotation]:
    """The objects of a table.

    Raises
    ------
    LabelError
        If it cannot be read, or lacks a column.
    """
    try:
        with reading.path.open(encoding="utf-8-sig") as file:
            first = file.readline().rstrip("\r\n")
            tabs = "\t" in first
            names = [name.strip().lower() for name in _cells(first, tabs)]
            if _X not in names or _Y not in names:
                raise LabelError(f"{reading.path.name} lacks the columns {_X} and {_Y}.")
            for number, line in enumerate(file, start=2):
                if line.strip():
                    row = dict(zip(names, _cells(line.rstrip("\r\n"), tabs), strict=False))
                    yield from _object(reading, f"line {number}", row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelError(f"{reading.path.name} cannot be read as a table: {error}.") from error


def _cells(line: str, tabs: bool) -> list[str]:
    """The cells of a line; between tabs there are no quotes, and a contour may be very long."""
    return line.split("\t") if tabs else next(csv.reader([line], strict=True), [])


def _object(reading: Reading, where: str, row: dict[str, str]) -> Iterator[Annotation]:
    try:
        x, y = (np.array(row.get(name, "").strip('" []').split(","), float) for name in (_X, _Y))
        points = np.stack([x, y], axis=1)
    except ValueError:
        reading.skip(where, f"{_X} and {_Y} are no lists of as many numbers")
        return
    stated = (row.get(name, "").strip() for name in _CLASS)
    about: dict[str, Any] = {
        "class_name": next((name for name in stated if name), ""),
        "colour": colour_of(row.get("color", "")),
    }
    if row.get("has_holes", "").strip() in ("1", "1.0", "True"):
        reading.remark(where, "it has holes that the table does not tell; they are filled")
    yield from read_contour(reading, where, points, **about)
