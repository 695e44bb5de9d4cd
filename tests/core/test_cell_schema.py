"""The one table of the columns of cells, and everything that reads it."""

from __future__ import annotations

import csv
from dataclasses import fields

import numpy as np
import pyarrow.parquet as pq
import pytest

from histoprompt.core.cell_schema import AREA, COLUMNS, PER_CELL, SHOWN, column_of
from histoprompt.core.cell_table import CellTable
from histoprompt.pipelines.count.store_files import record_type
from histoprompt.pipelines.formats.cell_files import read_cells
from histoprompt.pipelines.formats.cell_tables import (
    significant,
    write_cells_csv,
    write_cells_parquet,
)


def cells(n: int = 3) -> CellTable:
    return CellTable(
        id=np.arange(1, n + 1),
        row=np.full(n, 10.126),
        col=np.full(n, 20.0),
        area_um2=np.full(n, 31.41592),
        classes=("", "tumour, =1"),
        code=np.arange(n, dtype=np.int16) % 2,
        score=np.array([np.nan, 0.123456, 1.0], np.float32)[:n],
        features=np.array([[123456.78, 0.000123456], [np.nan, -2], [0, np.inf]], np.float32)[:n],
        feature_names=("a", "b"),
    )


def test_every_column_is_an_attribute_of_a_table_and_of_a_record():
    names = {field.name for field in fields(CellTable)}
    assert set(PER_CELL) <= names
    record = record_type(2)
    assert record.names[: len(COLUMNS)] == tuple(c.attribute for c in COLUMNS)
    # the records of counts that are kept on disk
    assert record.descr == [
        ("id", "<i8"), ("row", "<f8"), ("col", "<f8"), ("area_um2", "<f8"), ("code", "<i2"),
        ("score", "<f4"), ("box", "<i4", (4,)), ("features", "<f4", (2,)),
    ]  # fmt: skip
    assert [c.name for c in SHOWN] == ["id", "class", "score", "area_um2", "row", "col"]
    assert all(c.help for c in COLUMNS)


def test_a_feature_is_a_column_too():
    assert column_of("area_um2") is AREA
    assert AREA.header == "area µm²"
    assert column_of("dab_mean").header == "dab mean"
    assert column_of("dab_mean").text(0.123456) == "0.1235"
    assert column_of("id").text(7) == "7"
    assert column_of("score").text(float("nan")) == ""


def test_text_is_rounded_and_parquet_is_not(tmp_path):
    path = tmp_path / "cells.csv"
    write_cells_csv(path, cells().pieces(2), ("regions", ("r 1; r 2", "=x", "")))
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head == ["id", "row", "col", "area_um2", "class", "score", "a", "b", "regions"]
    assert rows == [
        ["1", "10.13", "20", "31.416", "", "nan", "123457", "0.000123456", "r 1; r 2"],
        ["2", "10.13", "20", "31.416", "tumour, =1", "0.1235", "nan", "-2", "'=x"],
        ["3", "10.13", "20", "31.416", "", "1", "0", "nan", ""],
    ]
    write_cells_parquet(tmp_path / "cells.parquet", cells().pieces(2))
    table = pq.read_table(tmp_path / "cells.parquet")
    assert table["area_um2"].to_pylist() == [31.41592] * 3
    assert table["class"].to_pylist() == ["", "tumour, =1", ""]


def test_a_table_without_cells_has_its_columns(tmp_path):
    write_cells_csv(tmp_path / "cells.csv", cells(0).pieces(10), ("regions", ()))
    text = (tmp_path / "cells.csv").read_text()
    assert text == "id,row,col,area_um2,class,score,a,b,regions\n"
    write_cells_csv(tmp_path / "cells.csv", CellTable.empty().pieces(10))
    assert len(read_cells(tmp_path / "cells.csv")) == 0


@pytest.mark.parametrize(
    ("value", "digits", "rounded"),
    [(123456.7, 5, 123460.0), (-0.00123456, 3, -0.00123), (0.0, 5, 0.0), (9.99996, 5, 10.0)],
)
def test_numbers_have_so_many_digits(value, digits, rounded):
    assert significant(np.array([value]), digits).tolist() == pytest.approx([rounded], rel=1e-12)
