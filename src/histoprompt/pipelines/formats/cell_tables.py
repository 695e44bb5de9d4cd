"""Tables of cells out: CSV and Parquet, some cells at a time, with the columns of `cell_schema`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from histoprompt.core.cell_schema import CLASS, COLUMNS, Column
from histoprompt.core.cell_table import CellTable
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.strings.names import guarded

# Cells written at once.
AT_ONCE = 20_000
# Of a feature in a file of text.
_DIGITS = 6


def write_cells_csv(
    path: Path, tables: Iterable[CellTable], more: tuple[str, Iterable[str]] | None = None
) -> None:
    """Write cells as text: rounded, with names that no spreadsheet takes for a formula.

    Parameters
    ----------
    path : Path
    tables : iterable of CellTable
        At least one, `AT_ONCE` cells each; they share classes and features.
    more : (str, iterable of str), optional
        Another column: its name, and a text for each cell of all tables.

    Raises
    ------
    ExportError
        If the file cannot be written.
    """
    first, tables = _peeked(tables)
    name, texts = (None, iter(())) if more is None else (more[0], iter(more[1]))
    schema = _schema(first, (name,) if name else ())
    with replacing_file(path) as part, part.open("wb") as file:
        head = io.StringIO(newline="")
        csv.writer(head, lineterminator="\n").writerow(map(guarded, schema.names))
        file.write(head.getvalue().encode())
        plain = arrow_csv.WriteOptions(include_header=False, quoting_style="needed")
        with arrow_csv.CSVWriter(file, schema, write_options=plain) as writer:
            for cells in tables:
                arrays = [pa.array(_rounded(_values(cells, c), c)) for c in COLUMNS]
                arrays[COLUMNS.index(CLASS)] = _classes(cells, map(guarded, cells.classes))
                features = significant(cells.features, _DIGITS).astype(np.float32)
                arrays += [pa.array(values) for values in features.T]
                if name:
                    added = [guarded(next(texts)) for _ in range(len(cells))]
                    arrays.append(pa.array(added, pa.string()))
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))


def write_cells_parquet(path: Path, tables: Iterable[CellTable]) -> None:
    """Write cells in full precision, classes coded.

    Parameters
    ----------
    path : Path
    tables : iterable of CellTable
        At least one; they share classes and features.

    Raises
    ------
    ExportError
        If the file cannot be written.
    """
    first, tables = _peeked(tables)
    schema = _schema(first)
    with replacing_file(path) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for cells in tables:
            arrays = [pa.array(_values(cells, c)) for c in COLUMNS]
            arrays[COLUMNS.index(CLASS)] = _classes(cells, cells.classes)
            arrays += [pa.array(np.ascontiguousarray(values)) for values in cells.features.T]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))


def significant(values: NDArray[np.floating], digits: int) -> NDArray[np.float64]:
    """Numbers in so many significant digits each; what is not finite is not a number."""
    values = values.astype(np.float64)
    values[~np.isfinite(values)] = np.nan
    size = np.floor(np.log10(np.maximum(np.abs(values), 1e-30)))
    scale = 10.0 ** (digits - 1 - np.nan_to_num(size))
    return np.asarray(np.rint(values * scale) / scale)


def _peeked(tables: Iterable[CellTable]) -> tuple[CellTable, Iterator[CellTable]]:
    rest = iter(tables)
    first = next(rest)
    return first, chain((first,), rest)


def _schema(cells: CellTable, texts: Sequence[str] = ()) -> pa.Schema:
    """The columns of cells, then their features, then columns of texts."""
    kinds = [(c.name, pa.from_numpy_dtype(np.dtype(c.dtype))) for c in COLUMNS]
    kinds[COLUMNS.index(CLASS)] = (CLASS.name, pa.dictionary(pa.int16(), pa.string()))
    features = [(name, pa.float32()) for name in cells.feature_names]
    return pa.schema([*kinds, *features, *((name, pa.string()) for name in texts)])


def _classes(cells: CellTable, names: Iterable[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(_values(cells, CLASS), list(names))


def _values(cells: CellTable, column: Column) -> NDArray[Any]:
    return np.asarray(getattr(cells, column.attribute), column.dtype)


def _rounded(values: NDArray[Any], column: Column) -> NDArray[Any]:
    return values if column.decimals is None else np.round(values, column.decimals)
