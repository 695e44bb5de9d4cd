"""What a person pointed at in the fields of an audit, and how many cells there are by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from histoprompt.core.cell_table import CellTable
from histoprompt.core.geometry import Box

NOT_A_CELL = "not a cell"


@dataclass(frozen=True)
class AuditMark:
    """A place and what is there.

    On a cell that was found it says what that is in truth; elsewhere it is a cell that was missed.

    Attributes
    ----------
    row, col : float
        Level-0 pixels.
    name : str
        A class, `UNSURE` for a cell whose class cannot be told, or `NOT_A_CELL`.
    """

    row: float
    col: float
    name: str


def truth_by_marks(
    box: Box,
    classes: Sequence[str],
    cells: CellTable,
    marks: Sequence[AuditMark],
    cell_at: Callable[[float, float], int],
) -> tuple[int, ...]:
    """Count the cells of a field as a person sees them.

    A cell belongs to the field that holds its centre: a marked cell by its centroid, a missed one
    by the mark. Where a cell is marked twice the later mark holds.

    Parameters
    ----------
    box : Box
        The field, level-0 pixels.
    classes : sequence of str
        What is counted, in the order of the result; `UNSURE` counts cells of unknown class.
    cells : CellTable
        Those found. One that is not marked is what it was found to be.
    marks : sequence of AuditMark
        In the order they were made; those outside of the field say nothing about it.
    cell_at : callable
        The id of the cell at a level-0 (row, col), 0 for none.

    Returns
    -------
    tuple of int
        One a class.
    """
    inside = _inside(box, cells)
    now = {int(cells.id[i]): cells.classes[cells.code[i]] for i in inside}
    missed: list[str] = []
    for mark in marks:
        cell = cell_at(mark.row, mark.col)
        if cell in now:
            now[cell] = mark.name
        elif cell == 0 and box.contains(mark.row, mark.col):
            missed.append(mark.name)
    names = [*now.values(), *missed]
    return tuple(names.count(name) for name in classes)


def _inside(box: Box, cells: CellTable) -> list[int]:
    """Rows of the table whose cells have their centre in a field, as `Box.contains` has it."""
    rows = (cells.row >= box.r0 - 0.5) & (cells.row < box.r1 - 0.5)
    cols = (cells.col >= box.c0 - 0.5) & (cells.col < box.c1 - 0.5)
    found: list[int] = (rows & cols).nonzero()[0].tolist()
    return found
