"""Cells as columns."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.core.cell_table import CellTable


def table(n=4, **columns):
    rows = np.arange(n, dtype=float)
    return CellTable(np.arange(1, n + 1), rows, rows * 2, rows + 10, **columns)


def test_columns_that_are_not_given_are_those_of_unclassified_cells():
    cells = table()
    assert cells.class_names == [""] * 4
    assert cells.counts() == {"": 4}
    assert np.isnan(cells.score).all()
    assert cells.features.shape == (4, 0)


def test_classes_are_counted_in_their_order_with_those_nobody_has():
    code = np.array([2, 0, 2, 2], np.int16)
    cells = table().classified(("tumour", "stroma", "unsure"), code, np.ones(4, np.float32))
    assert cells.counts() == {"tumour": 1, "stroma": 0, "unsure": 3}
    assert cells.class_names == ["unsure", "tumour", "unsure", "unsure"]


def test_some_cells_keep_all_their_columns():
    cells = table(features=np.arange(8, dtype=np.float32).reshape(4, 2), feature_names=("a", "b"))
    some = cells[np.array([True, False, False, True])]
    assert some.id.tolist() == [1, 4]
    assert some.features.tolist() == [[0, 1], [6, 7]]
    assert len(some) == 2


def test_an_empty_table_is_a_table():
    assert table(0).counts() == {"": 0}
    named = table(features=np.zeros((4, 2), np.float32), feature_names=("a", "b"))
    assert named[:0].features.shape == (0, 2)


@pytest.mark.parametrize(
    "columns",
    [
        {"code": np.zeros(3, np.int16)},
        {"score": np.zeros(5, np.float32)},
        {"features": np.zeros((4, 2), np.float32), "feature_names": ("a",)},
    ],
)
def test_columns_that_do_not_fit_are_refused(columns):
    with pytest.raises(ValueError, match=r"4 cells|2 features"):
        table(**columns)
