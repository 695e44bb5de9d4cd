"""Tables of cells as files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cells_of_classes import clusters
from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import LabelError
from histoprompt.pipelines.formats.cell_files import read_cell_labels, read_cells, write_cells


@given(
    st.lists(st.floats(-1e6, 1e6, width=32) | st.just(float("nan")), min_size=1, max_size=8),
    st.sampled_from(["", "tumour", 'a "b", c', "Ödem"]),
)
@settings(max_examples=30, deadline=None)
def test_a_table_is_read_as_it_was_written(tmp_path_factory, values, name):
    n = len(values)
    cells = CellTable(
        np.arange(n) + 5, np.arange(n) * 1.25, np.arange(n) * 2.5, np.arange(n) + 0.125,
        classes=(name, "x"), code=np.arange(n, dtype=np.int16) % 2,
        score=np.array(values, np.float32).clip(0, 1),
        features=np.array([values, values[::-1]], np.float32).T, feature_names=("one", "two"),
    )  # fmt: skip
    path = tmp_path_factory.mktemp("cells") / "cells.csv"
    write_cells(path, cells)
    again = read_cells(path)
    assert again.class_names == cells.class_names
    for column in ("id", "row", "col", "area_um2"):
        assert getattr(again, column).tolist() == getattr(cells, column).tolist()
    assert again.score == pytest.approx(cells.score, abs=1e-4, nan_ok=True)
    assert again.features == pytest.approx(cells.features, rel=1e-5, nan_ok=True)
    assert again.feature_names == ("one", "two")


def test_classes_and_features_may_be_missing(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_text("id,row,col,area_um2\n3,1,2,4.5\n9,5,6,7\n")
    cells = read_cells(path)
    assert cells.id.tolist() == [3, 9]
    assert cells.class_names == ["", ""]
    assert cells.features.shape == (2, 0)
    path.write_text("id,row,col,area_um2,class,size\n")
    empty = read_cells(path)
    assert len(empty) == 0
    assert empty.feature_names == ("size",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,row,col\n1,2,3\n", "area_um2"),
        ("", "no column id"),
        ("id,row,col,area_um2,a,a\n1,2,3,4,5,6\n", "twice"),
        ("id,row,col,area_um2,a\n1,2,3,4,5\n2,2,3,4,grey\n", "grey"),
        ("id,row,col,area_um2,a\n1,2,3,4,5\n2,2,3\n", "numbers"),
        ("id,row,col,area_um2\n1,2,3,4\n1,2,3,4\n", "comes twice"),
        ("id,row,col,area_um2\n0,2,3,4\n", "no id"),
        ("id,row,col,area_um2\n1.5,2,3,4\n", "no id"),
        ("id,row,col,area_um2\nnan,2,3,4\n", "no id"),
    ],
)
def test_a_malformed_table_is_refused_in_a_line(tmp_path, text, says):
    path = tmp_path / "cells.csv"
    path.write_text(text)
    with pytest.raises(LabelError, match=says):
        read_cells(path)


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(LabelError, match="cannot be read"):
        read_cells(tmp_path / "nowhere.csv")


def test_labels_must_be_of_cells_that_are_there(tmp_path):
    cells, _ = clusters({"a": 5})
    path = tmp_path / "labels.csv"
    path.write_text("id,class\n101,tumour\n105,stroma\n")
    assert read_cell_labels(path, cells) == {101: "tumour", 105: "stroma"}
    path.write_text("id,class\n101,tumour\n7,stroma\n")
    with pytest.raises(LabelError, match=r"1 of 2 ids .* 7"):
        read_cell_labels(path, cells)
    path.write_text("id,class\n")
    with pytest.raises(LabelError, match="labels no cell"):
        read_cell_labels(path, cells)


def test_a_table_written_again_by_other_programs_is_read(tmp_path):
    path = tmp_path / "cells.csv"
    texts = (
        "id,row,col,area_um2,class,score,f\n3,1.5,2,4.5,a,NA,\n\n9,5,6,7,,0.5,NA\n,,,,,,\n",
        "\ufeffid;row;col;area_um2;class;score;f\n3;1,5;2;4,5;a;;\n9;5;6;7;;0,5;nan\n",
        "id,row,col,area_um2,class,score,f\n3,1.5,2,4.5,a,<NA>,#N/A\n9,5,6,7,,0.5,NULL\n",
    )
    for text in texts:
        path.write_text(text)
        cells = read_cells(path)
        assert cells.id.tolist() == [3, 9]
        assert cells.row.tolist() == [1.5, 5]
        assert cells.class_names == ["a", ""]
        assert np.isnan(cells.score).tolist() == [True, False]
        assert np.isnan(cells.features).all()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("3,1,2,x,a\n", r"line 2: 'x' in column area_um2 is no number"),
        ("3,1,2,4,a\n\n4,1,y,4,a\n", r"line 4: 'y' in column col is no number"),
        ("3,nan,2,4,a\n", r"nan in column row lies on no slide"),
        ("3,1,1e99,4,a\n", r"in column col lies on no slide"),
        ('3,1,2,4,"a\n4,1,2,4,b"\n', "line break"),
    ],
)
def test_a_bad_value_is_named_by_its_line_and_column(tmp_path, text, says):
    path = tmp_path / "cells.csv"
    path.write_text("id,row,col,area_um2,class\n" + text)
    with pytest.raises(LabelError, match=says):
        read_cells(path)


def test_no_class_is_taken_for_another_however_many_there_are(tmp_path):
    path = tmp_path / "cells.csv"
    head = "id,row,col,area_um2,class\n"
    path.write_text(head + "".join(f"{i},1,2,3,c{i}\n" for i in range(1, 32_768)))
    cells = read_cells(path)
    assert cells.class_names == [f"c{i}" for i in range(1, 32_768)]
    path.write_text(head + "".join(f"{i},1,2,3,c{i}\n" for i in range(1, 32_769)))
    with pytest.raises(LabelError, match="32768 classes, and 32767 are the most"):
        read_cells(path)


def test_classes_named_like_formulas_come_back(tmp_path):
    cells = CellTable(
        np.array([1, 2]), np.zeros(2) - 0.5, np.zeros(2), np.ones(2),
        classes=("=cmd|' /C calc'!A0", "-x"), code=np.array([0, 1], np.int16),
    )  # fmt: skip
    write_cells(tmp_path / "cells.csv", cells)
    text = (tmp_path / "cells.csv").read_text()
    assert "\n1,-0.5,0,1,\"'=cmd|' /C calc'!A0\",nan\n" in text
    assert read_cells(tmp_path / "cells.csv").class_names == cells.class_names
