"""Tables of cells as files: ``cells.csv`` and the labels a person gave to some of its cells."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.atomic import replacing_file
from histoprompt.core.cell_table import UNCLASSIFIED, CellTable
from histoprompt.core.classes import read_classes
from histoprompt.core.errors import LabelError

# What every table of cells has, in the order of its columns; classes and features may follow.
PLACE_COLUMNS: Final = ("id", "row", "col", "area_um2")
CLASS_COLUMNS: Final = ("class", "score")


def read_cells(path: str | os.PathLike[str]) -> CellTable:
    """Read ``cells.csv``: id, row, col, area_um2, then class and score if any, then features.

    Parameters
    ----------
    path : path
        UTF-8, a header line, commas; what could not be measured is written ``nan``.

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
    columns = _columns(path)
    names = tuple(c for c in columns if c not in (*PLACE_COLUMNS, *CLASS_COLUMNS))
    numbers = [c for c in (*PLACE_COLUMNS, "score", *names) if c in columns]
    values = _numbers(path, [columns.index(c) for c in numbers])
    value = {name: values[:, i] for i, name in enumerate(numbers)}
    classes, code = _classes(path, columns, len(values))
    score = value.get("score", np.full(len(values), np.nan))
    return CellTable(
        id=_ids(value["id"], path),
        row=value["row"],
        col=value["col"],
        area_um2=value["area_um2"],
        classes=classes,
        code=code,
        score=score.astype(np.float32),
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
    head = [*PLACE_COLUMNS, *CLASS_COLUMNS, *cells.feature_names]
    names = cells.class_names
    with replacing_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for i, name in enumerate(names):
            place = f"{cells.row[i]:.2f}", f"{cells.col[i]:.2f}", f"{cells.area_um2[i]:.3f}"
            features = (f"{v:.6g}" for v in cells.features[i].tolist())
            writer.writerow((cells.id[i], *place, name, f"{cells.score[i]:.4f}", *features))


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
    unknown = sorted(set(classes.names) - set(cells.id.tolist()))
    if unknown:
        few = ", ".join(map(str, unknown[:5])) + (" ..." if len(unknown) > 5 else "")
        raise LabelError(
            f"{path} labels {len(unknown)} of {len(classes.names)} ids that are not in the table "
            f"of {len(cells)} cells: {few}. Check that both belong to the same count."
        )
    return dict(classes.names)


def _columns(path: Path) -> list[str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            columns = [name.strip() for name in next(csv.reader(file), [])]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelError(f"The cells in {path} cannot be read: {error}") from error
    missing = [name for name in PLACE_COLUMNS if name not in columns]
    if missing:
        raise LabelError(
            f"{path} has no column {', '.join(missing)}. A table of cells has the columns "
            f"{', '.join(PLACE_COLUMNS)}, then class, score and features, separated by commas."
        )
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise LabelError(f"{path} has the column {', '.join(twice)} twice. Keep one of each.")
    return columns


def _numbers(path: Path, use: list[int]) -> NDArray[np.float64]:
    """The numeric columns of the file; the line of what is no number is named."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            if len(file.readlines(1 << 20)) < 2:
                return np.zeros((0, len(use)))
        return np.loadtxt(
            path, delimiter=",", skiprows=1, usecols=use, ndmin=2, quotechar='"',
            comments=None, encoding="utf-8-sig",
        )  # fmt: skip
    except ValueError as error:
        raise LabelError(
            f"{path}: {error} Rows are counted from 1 below the header, columns from 0; every "
            "column but class must hold numbers, nan for what is not known."
        ) from error


def _classes(path: Path, columns: list[str], n: int) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    if "class" not in columns or n == 0:
        return (UNCLASSIFIED,), np.zeros(n, np.int16)
    place = columns.index("class")
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        next(rows)
        found = [row[place].strip() for row in rows if row]
    names, code = np.unique(np.array(found), return_inverse=True)
    return tuple(names.tolist()), code.astype(np.int16)


def _ids(values: NDArray[np.float64], path: Path) -> NDArray[np.int64]:
    wrong = ~((values >= 1) & (values == np.floor(values)) & (values < 2**53))
    if wrong.any():
        raise LabelError(f"{path}: {values[wrong][0]:g} is no id. Ids are whole numbers from 1.")
    ids = values.astype(np.int64)
    unique, times = np.unique(ids, return_counts=True)
    if len(unique) < len(ids):
        raise LabelError(f"{path}: id {unique[times > 1][0]} comes twice. Ids must be unique.")
    return ids
