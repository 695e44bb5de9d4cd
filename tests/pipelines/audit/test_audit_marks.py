"""What is pointed at in a field becomes how many cells there are."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from histoprompt.core.cell_table import UNSURE, CellTable
from histoprompt.core.geometry import Box
from histoprompt.pipelines.audit.marks import NOT_A_CELL, AuditMark, truth_by_marks

# A cell at every tenth pixel of a row: 1 a, 2 b, 3 unsure, 4 a beyond the field's edge at 35.
CELLS = CellTable(
    np.arange(1, 5), np.full(4, 10.0), np.array([5.0, 15.0, 25.0, 38.0]), np.ones(4),
    ("a", "b", UNSURE), np.array([0, 1, 2, 0], np.int16), np.ones(4, np.float32),
)  # fmt: skip
FIELD = Box(0, 0, 20, 35)


def cell_at(row: float, col: float) -> int:
    """Cells are four pixels to each side of their centre."""
    near = (abs(CELLS.row - row) <= 4) & (abs(CELLS.col - col) <= 4)
    return int(CELLS.id[near][0]) if near.any() else 0


def truth(*marks: tuple[float, float, str], columns=("a", "b")) -> tuple[int, ...]:
    return truth_by_marks(FIELD, columns, CELLS, [AuditMark(*m) for m in marks], cell_at)


def test_without_marks_it_is_what_was_found():
    assert truth() == (1, 1)
    assert truth(columns=("a", "b", UNSURE)) == (1, 1, 1)


def test_an_unsure_cell_is_a_cell_until_it_is_said_to_be_none():
    columns = ("a", "b", UNSURE)
    assert truth((10, 25, "a"), columns=columns) == (2, 1, 0)
    assert truth((10, 25, NOT_A_CELL), columns=columns) == (1, 1, 0)
    assert truth((10, 25, "a"), (10, 25, UNSURE), columns=columns) == (1, 1, 1)
    assert truth((2, 30, UNSURE), (10, 5, UNSURE), columns=columns) == (0, 1, 3)


def test_a_missed_cell_is_one_more():
    assert truth((2, 30, "b"), (18, 2, "a")) == (2, 2)


def test_a_false_cell_is_one_less():
    assert truth((10, 5, NOT_A_CELL)) == (0, 1)
    assert truth((2, 30, NOT_A_CELL)) == (1, 1)


def test_a_cell_of_another_class_moves_and_an_unsure_one_counts():
    assert truth((10, 6, "b")) == (0, 2)
    assert truth((10, 25, "a")) == (2, 1)


def test_the_last_mark_on_a_cell_holds():
    assert truth((10, 5, NOT_A_CELL), (11, 6, "b"), (9, 5, "a")) == (1, 1)


def test_cells_and_places_beyond_the_edge_say_nothing():
    assert truth((10, 35, NOT_A_CELL), (10, 38, "b"), (25, 5, "a")) == (1, 1)
    edge = truth_by_marks(Box(0, 0, 20, 35), ("a",), CELLS, [AuditMark(19.4, 30, "a")], cell_at)
    past = truth_by_marks(Box(0, 0, 20, 35), ("a",), CELLS, [AuditMark(19.6, 30, "a")], cell_at)
    assert (edge, past) == ((2,), (1,))


MARKS = st.lists(
    st.tuples(st.integers(-5, 25), st.integers(-5, 45), st.sampled_from(["a", "b", NOT_A_CELL])),
    max_size=8,
)


@given(marks=MARKS)
def test_each_place_counts_in_one_of_two_neighbouring_fields(marks):
    found = [AuditMark(*m) for m in marks]
    fields = Box(-10, -10, 30, 20), Box(-10, 20, 30, 60)
    parts = [truth_by_marks(f, ("a", "b"), CELLS, found, cell_at) for f in fields]
    whole = truth_by_marks(Box(-10, -10, 30, 60), ("a", "b"), CELLS, found, cell_at)
    assert tuple(map(sum, zip(*parts, strict=True))) == whole
