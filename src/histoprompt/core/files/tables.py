"""Tables of text (CSV), in and out: what every reader and writer of them has in common.

Out: commas, UTF-8, and names that no spreadsheet takes for a formula. In: the same, and what
spreadsheets make of it: semicolons or tabs, a byte-order mark, blank rows, decimal commas.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from histoprompt.core.files.documents import MANY_BYTES, Error, read_text
from histoprompt.core.strings.names import guarded, plain, tidy

Row = dict[str, str]
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")


@dataclass(frozen=True)
class TextTable:
    """A table whose cells are texts without space around them.

    Attributes
    ----------
    columns : tuple of str
    rows : tuple of (int, dict)
        The line of the file that a row ends on, and its cells by column; blank rows are left out.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[int, Row], ...]


def table_writer(
    file: IO[str], head: Sequence[str], names: Collection[str] = ()
) -> Callable[[Iterable[object]], object]:
    """Write the header of a table, and get what writes a row.

    Parameters
    ----------
    file : text file
        Opened with ``newline=""``.
    head : sequence of str
        Names of the columns.
    names : collection of str
        Columns whose cells people named; they are made safe for spreadsheets.
    """
    write = csv.writer(file).writerow
    write(map(guarded, head))
    where = [column in names for column in head]

    def row(cells: Iterable[object]) -> None:
        write(
            guarded(str(cell)) if named else cell for cell, named in zip(cells, where, strict=True)
        )

    return row


def read_table(
    path: Path, what: str, error: Error, need: Collection[str] = (), *, fold: bool = False
) -> TextTable:
    """Read a table.

    Parameters
    ----------
    path : Path
    what : str
        What it holds, for messages, such as ``"The marks in"``.
    error : type
        What is raised if it cannot be read, a column of `need` is missing or comes twice, a quote
        stands alone, or a row has cells beyond the header; the message names the line.
    need : collection of str
        Columns there must be.
    fold : bool
        Whether columns are known by any mix of small and capital letters.
    """
    lines = _lines(read_text(path, error, MANY_BYTES), f"{what} {path}", error)
    head = lines[0][1] if lines else []
    columns = tuple(tidy(plain(name)).lower() if fold else tidy(plain(name)) for name in head)
    _check_columns(columns, need, str(path), error)
    rows = []
    for number, cells in lines[1:]:
        if any(cell for cell in cells[len(columns) :]):
            raise error(
                f"{path} line {number} has {len(cells):,} cells below {len(columns)} columns. Put "
                "names that hold a comma into quotes."
            )
        filled = [*map(plain, cells), *[""] * len(columns)]
        rows.append((number, dict(zip(columns, filled, strict=False))))
    return TextTable(columns, tuple(rows))


def one_line(cell: str, where: str, error: Error) -> str:
    """A name out of a cell; one with a line break is refused.

    A quote that stands alone makes all that follows, up to the next quote, one cell.
    """
    if "\n" in cell or "\r" in cell:
        raise error(f"{where}: a name holds a line break. A quote mark stands alone here or above.")
    return tidy(cell)


def _lines(text: str, what: str, error: Error) -> list[tuple[int, list[str]]]:
    """The rows that hold anything, with the line each ends on; the first is the header."""
    first = text.split("\n", 1)[0]
    separator = next((mark for mark in ",;\t" if mark in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = []
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if separator != ",":
                stripped = [_with_point(cell) for cell in stripped]
            if any(stripped):
                rows.append((reader.line_num, stripped))
    except csv.Error as fault:
        raise error(
            f"{what} cannot be read: {fault} (line {reader.line_num}). "
            "A quote mark may stand alone."
        ) from fault
    return rows


def _with_point(cell: str) -> str:
    return cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell


def _check_columns(
    columns: tuple[str, ...], need: Collection[str], where: str, error: Error
) -> None:
    missing = [name for name in need if name not in columns]
    if missing:
        held = ", ".join(name or "(no name)" for name in columns[:20]) or "none"
        raise error(
            f"{where} lacks the columns {', '.join(missing)}. It has the columns {held}; it needs "
            f"{' and '.join(need)}, separated by commas."
        )
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise error(f"{where} has the column {', '.join(twice)} twice. Keep one of each.")
