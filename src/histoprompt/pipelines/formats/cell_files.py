"""Tables of cells as files: ``cells.csv`` and the labels a person gave to some of its cells."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import reprlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from histoprompt.core.cell_schema import BY_HAND, CLASS, COLUMNS, ID, PLACE_COLUMNS
from histoprompt.core.cell_table import UNCLASSIFIED, CellTable
from histoprompt.core.errors import LabelError
from histoprompt.core.files.documents import MANY_BYTES, read_bytes
from histoprompt.core.files.tables import one_line
from histoprompt.core.labels.classes import read_classes
from histoprompt.core.strings.names import plain
from histoprompt.pipelines.formats.cell_tables import AT_ONCE, write_cells_csv

_NEEDED: Final = tuple(column.name for column in PLACE_COLUMNS)
_KNOWN: Final = tuple(column.name for column in COLUMNS)
# Codes of classes are 16-bit numbers.
MOST_CLASSES: Final = 2**15 - 1

_LINE_END = re.compile(rb"\r\n|\r|\n")
# How pandas, R, spreadsheets and databases write what is not known.
_UNKNOWN = frozenset(
    {"", "nan", "NaN", "NAN", "-nan", "NA", "<NA>", "N/A", "n/a", "#N/A", "null", "NULL", "None"}
)
_BLOCK = 16 << 20  # no row may be longer


def read_cells(path: str | os.PathLike[str]) -> CellTable:
    """Read ``cells.csv``: id, row, col, area_um2, then class and score if any, then features.

    Parameters
    ----------
    path : path
        UTF-8, a header line, commas or semicolons; what could not be measured is ``nan``, or the
        cell is empty, as other programs leave it.

    Returns
    -------
    CellTable

    Raises
    ------
    LabelError
        If the file cannot be read, a column is missing or comes twice, a value is no number, or
        an id is no whole number from 1 or comes twice.
    """
    path = Path(path)
    raw = read_bytes(path, LabelError, MANY_BYTES)
    end = _LINE_END.search(raw)
    head = raw[: end.start()] if end else raw
    separator = next((mark for mark in ",;\t" if mark.encode() in head), ",")
    columns = _columns(path, head, separator)
    table = _without_blanks(_table(path, raw, columns, separator))
    names = tuple(c for c in columns if c not in (*_KNOWN, BY_HAND))
    numbers = [c for c in (*_KNOWN, *names) if c in columns and c != CLASS.name]
    values = _numbers(table, [columns.index(c) for c in numbers])
    # what is beyond all measure was not measured
    values[~(np.abs(values) < np.finfo(np.float32).max)] = np.nan
    value = {name: values[:, i] for i, name in enumerate(numbers)}
    for name in ("row", "col"):
        _check_places(value[name], path, name)
    classes, code = _classes(table, columns, path)
    known: dict[str, Any] = {
        c.attribute: value[c.name].astype(c.dtype)
        for c in COLUMNS
        if c.name in value and c is not ID
    }
    return CellTable(
        id=_ids(value[ID.name], path),
        **{**known, CLASS.attribute: code},
        classes=classes,
        features=values[:, len(numbers) - len(names) :].astype(np.float32),
        feature_names=names,
    )


def write_cells(path: str | os.PathLike[str], cells: CellTable) -> None:
    """Write a table as `read_cells` reads it; whole or not at all.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    write_cells_csv(Path(path), cells.pieces(AT_ONCE))


def read_cell_labels(path: str | os.PathLike[str], cells: CellTable) -> dict[int, str]:
    """Read the classes a person gave: ``labels.csv`` with the columns id and class.

    Raises
    ------
    LabelError
        If the file is malformed, empty, or names cells that are not in the table.
    """
    classes = read_classes(path)
    if not classes.names:
        raise LabelError(f"{path} labels no cell. Give a row of id and class for some cells.")
    kinds = len(set(classes.names.values()))
    if kinds > MOST_CLASSES - 1:
        raise LabelError(f"{path} has {kinds} classes, and {MOST_CLASSES - 1} are the most.")
    unknown = sorted(set(classes.names) - set(cells.id.tolist()))
    if unknown:
        few = ", ".join(map(str, unknown[:5])) + (" ..." if len(unknown) > 5 else "")
        raise LabelError(
            f"{path} labels {len(unknown)} of {len(classes.names)} ids that are not in the table "
            f"of {len(cells):,} cells: {few}. Check that both belong to the same count."
        )
    return dict(classes.names)


def _columns(path: Path, head: bytes, separator: str) -> list[str]:
    try:
        line = head.decode("utf-8-sig")
        columns = [plain(c.strip()) for c in next(csv.reader([line], delimiter=separator), [])]
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelError(f"The cells in {path} cannot be read: {error}") from error
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise LabelError(
            f"{path} has no column {', '.join(missing)}. A table of cells has the columns "
            f"{', '.join(_NEEDED)}, then class, score and features, separated by commas."
        )
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise LabelError(f"{path} has the column {', '.join(twice)} twice. Keep one of each.")
    return columns


def _without_blanks(table: pa.Table) -> pa.Table:
    """The rows in which any of the first columns holds something."""
    known = np.zeros(table.num_rows, bool)
    for i in range(min(len(_NEEDED), table.num_columns)):
        column = table.column(i)
        held = np.asarray(column.is_valid())
        if pa.types.is_string(column.type):
            held = held & (np.asarray(column).astype(str) != "")
        known |= held
    return table if known.all() else table.filter(pa.array(known))


def _table(path: Path, raw: bytes, columns: list[str], separator: str) -> pa.Table:
    """The cells of the table: numbers, and texts in the column of classes."""
    numbers = [str(i) for i in range(len(columns))]
    kinds = [pa.string() if name == "class" else pa.float64() for name in columns]
    decimal_comma = separator != "," and b"," in raw
    try:
        return arrow_csv.read_csv(
            pa.BufferReader(raw),
            arrow_csv.ReadOptions(
                use_threads=False, block_size=_BLOCK, skip_rows=1, column_names=numbers
            ),
            arrow_csv.ParseOptions(delimiter=separator),
            arrow_csv.ConvertOptions(
                column_types=dict(zip(numbers, kinds, strict=True)),
                null_values=list(_UNKNOWN),
                strings_can_be_null=False,
                decimal_point="," if decimal_comma else ".",
            ),
        )
    except pa.ArrowInvalid as error:
        if len(_LINE_END.split(raw.strip(), maxsplit=1)) < 2:  # a header alone
            return pa.table({n: pa.array([], k) for n, k in zip(numbers, kinds, strict=True)})
        told = f"{path} cannot be read: {str(error)[:300]}"
        with contextlib.suppress(csv.Error):
            told = _fault(path, raw, columns, separator) or told
        raise LabelError(told) from error


def _fault(path: Path, raw: bytes, columns: list[str], separator: str) -> str:
    """The first value that is wrong, by its line and the header of its column."""
    lines = io.StringIO(raw.decode("utf-8-sig", "replace"), newline="")
    rows = csv.reader(lines, delimiter=separator)
    next(rows)
    for cells in rows:
        if not cells:
            continue
        if len(cells) != len(columns):
            return (
                f"{path} line {rows.line_num} has {len(cells):,} cells below {len(columns)} "
                "columns. All but class hold numbers, and nothing or nan where one is not known."
            )
        for name, cell in zip(columns, cells, strict=True):
            if name != "class" and cell.strip() not in _UNKNOWN and not _is_number(cell, separator):
                return (
                    f"{path} line {rows.line_num}: {reprlib.repr(cell)} in column {name} is no "
                    "number. Leave the cell empty, or write nan, for what is not known."
                )
            if "\ufffd" in cell:
                return f"{path} line {rows.line_num} is not UTF-8. Save the table as UTF-8."
    return ""


def _is_number(cell: str, separator: str) -> bool:
    text = cell.strip() if separator == "," else cell.strip().replace(",", ".")
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text


def _numbers(table: pa.Table, use: list[int]) -> NDArray[np.float64]:
    """Numeric columns, (n, k); not a number where a cell is empty."""
    out = np.empty((table.num_rows, len(use)))
    for k, i in enumerate(use):
        out[:, k] = table.column(i).to_numpy()
    return out


def _classes(
    table: pa.Table, columns: list[str], path: Path
) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    if "class" not in columns or not table.num_rows:
        return (UNCLASSIFIED,), np.zeros(table.num_rows, np.int16)
    coded = table.column(columns.index("class")).combine_chunks().dictionary_encode()
    given = [
        one_line(plain(text.strip()), str(path), LabelError)
        for text in coded.dictionary.to_pylist()
    ]
    names, new = np.unique(np.array(given, object), return_inverse=True)
    if len(names) > MOST_CLASSES:
        raise LabelError(
            f"{path} has {len(names)} classes, and {MOST_CLASSES} are the most. Its column class "
            "may hold something else."
        )
    return tuple(names.tolist()), new[coded.indices.to_numpy()].astype(np.int16)


def _check_places(values: NDArray[np.float64], path: Path, column: str) -> None:
    wrong = ~(np.abs(values) < 2**31)
    if wrong.any():
        raise LabelError(
            f"{path}: {values[wrong][0]:g} in column {column} lies on no slide. Every cell needs "
            "a place in level-0 pixels."
        )


def _ids(values: NDArray[np.float64], path: Path) -> NDArray[np.int64]:
    wrong = ~((values >= 1) & (values == np.floor(values)) & (values < 2**53))
    if wrong.any():
        raise LabelError(f"{path}: {values[wrong][0]:g} is no id. Ids are whole numbers from 1.")
    ids = values.astype(np.int64)
    unique, times = np.unique(ids, return_counts=True)
    if len(unique) < len(ids):
        raise LabelError(f"{path}: id {unique[times > 1][0]} comes twice. Ids must be unique.")
    return ids
