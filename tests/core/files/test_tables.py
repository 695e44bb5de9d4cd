"""Tables as people and spreadsheets write them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from histoprompt.core.errors import LabelError
from histoprompt.core.files.tables import read_table, table_writer
from histoprompt.core.labels.classes import Classes, read_classes, write_classes


def read(path: Path, text: str | bytes, **more):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(path, "The cells of", LabelError, ("id", "class"), **more)


@pytest.mark.parametrize(
    "text",
    [
        "id,class\n1,a\n2,\"b, c\"\n",
        "\ufeffid;class\r\n1;a\r\n2;b, c\r\n",
        "id\tclass\n1\ta\n2\tb, c\n",
        "id , class\n\n1, a \n,\n \n2,\"b, c\"\n,,,\n",
        "id,class\r1,a\r2,\"b, c\"\r",
        "id,class,\n1,a,\n2,\"b, c\",\n",
    ],
)  # fmt: skip
def test_what_spreadsheets_write_is_read(tmp_path, text):
    rows = [row for _, row in read(tmp_path / "t.csv", text).rows]
    assert [(row["id"], row["class"]) for row in rows] == [("1", "a"), ("2", "b, c")]


def test_a_decimal_comma_is_a_point_where_semicolons_part_the_cells(tmp_path):
    text = "id;class;x\n1;a,5;2,75\n2;1,5,5;-,5\n"
    rows = [row for _, row in read(tmp_path / "t.csv", text).rows]
    assert [(row["class"], row["x"]) for row in rows] == [("a,5", "2.75"), ("1,5,5", "-.5")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "lacks the columns id, class"),
        ("id\n1\n", "lacks the columns class. It has the columns id; it needs id and class"),
        ("id,class,id\n1,a,2\n", "the column id twice"),
        ("id,class\n1,a\n2,big, round\n", "line 3 has 3 cells below 2 columns"),
        ('id,class\n1,"a\n2,b\n3,c\n', "quote mark may stand alone"),
        ('id,class\n1,"a"b\n', "quote mark may stand alone"),
        (b"id,class\n1,\xe9\n", "is not UTF-8"),
        ("id,class\n1,a\n".encode("utf-16"), "is UTF-16"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_line(tmp_path, text, says):
    with pytest.raises(LabelError, match=says):
        read(tmp_path / "t.csv", text)


def test_a_quote_that_takes_the_following_rows_into_a_name_is_refused(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text('id,class\n1,"a\n2,b\n3,c"\n4,d\n')
    with pytest.raises(LabelError, match=r"line 4: a name holds a line break"):
        read_classes(path)


def test_a_spreadsheet_sees_no_formula_and_the_reader_sees_the_name(tmp_path):
    path = tmp_path / "t.csv"
    names = ["=cmd|' /C calc'!A0", "+1", "-1", "@x", "'=y", "plain"]
    with path.open("w", newline="", encoding="utf-8") as file:
        write = table_writer(file, ["id", "class", "=head"], names=("class",))
        for number, name in enumerate(names):
            write((-number, name, -0.5))
    cells = list(csv.reader(path.open(newline="")))
    assert cells[0] == ["id", "class", "'=head"]
    assert [row[1] for row in cells[1:]] == [
        "'=cmd|' /C calc'!A0", "'+1", "'-1", "'@x", "''=y", "plain",
    ]  # fmt: skip
    assert {row[2] for row in cells[1:]} == {"-0.5"}  # numbers stay numbers
    table = read_table(path, "t", LabelError)
    assert table.columns == ("id", "class", "=head")
    assert [row["class"] for _, row in table.rows] == names


def test_classes_named_like_formulas_come_back(tmp_path):
    classes = Classes({1: "=HYPERLINK(1)", 2: "-x"}, {"=HYPERLINK(1)": (1, 2, 3)})
    write_classes(tmp_path / "c.csv", classes, np.array([1, 2], np.uint32))
    assert "\n1,'=HYPERLINK(1),#010203" in (tmp_path / "c.csv").read_text().replace("\r", "")
    assert read_classes(tmp_path / "c.csv").names == classes.names
