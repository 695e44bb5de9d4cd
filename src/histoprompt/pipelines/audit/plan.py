"""Which fields of a count a person is to look at: chance puts all of them into one order.

Any number of the first are a sample, with a chance that grows with the cells found in them, because
errors do (sequential Poisson sampling, E. Ohlsson, J Off Stat 14 (1998) 149). So an audit can go on
with more fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import UNSURE, CellTable
from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.strings.wording import many
from histoprompt.core.tiling import TileGrid


@dataclass(frozen=True, eq=False)
class AuditPlan:
    """Which fields a person is to look at.

    Attributes
    ----------
    boxes : tuple of Box
        All N fields, level-0 pixels.
    classes : tuple of str
        Without `UNSURE`.
    found : (N, c + 1) int64
        Cells counted in each field, by class; the last column holds those that are unsure.
    order : (N,) intp
        All fields, in the order to look at them.
    fields : int
        How many of them are to be audited for now.
    """

    boxes: tuple[Box, ...]
    classes: tuple[str, ...]
    found: NDArray[np.int64]
    order: NDArray[np.intp]
    fields: int

    @property
    def columns(self) -> tuple[str, ...]:
        """What a person says of each field: cells of each class, and unsure ones if there are any.

        An unsure cell is a cell; what is not known is its class.
        """
        return (*self.classes, UNSURE) if self.found[:, -1].any() else self.classes

    @property
    def all_drawn(self) -> str:
        """Why no more fields can be looked at, in words; empty while there are others."""
        count = len(self.order)
        return "" if self.left else (
            f"What was counted holds {many(count, 'field')} of this size: all "
            f"{'are' if count != 1 else 'is'} drawn."
        )  # fmt: skip

    @property
    def chosen(self) -> NDArray[np.intp]:
        """The fields to audit for now, in the order to look at them."""
        return self.order[: self.fields]

    @property
    def left(self) -> int:
        """How many fields are not to be audited for now."""
        return len(self.order) - self.fields

    def longer(self, fields: int) -> AuditPlan:
        """With so many more fields of the same draw, as far as there are any."""
        return replace(self, fields=self.fields + min(fields, self.left))


def field_boxes(region: Box, side: int) -> tuple[Box, ...]:
    """Square fields that cover a region, row by row; smaller at its far edges.

    Parameters
    ----------
    region : Box
        Integer level-0 box.
    side : int
        Level-0 pixels; 100 um is a field that a person counts in a minute.
    """
    return tuple(tile.inner for tile in TileGrid(region, side, 0, region))


def plan_audit(cells: CellTable, boxes: Sequence[Box], fields: int, seed: int = 0) -> AuditPlan:
    """Draw the fields to audit.

    Parameters
    ----------
    cells : CellTable
        The count. Cells outside all fields are not part of what is corrected.
    boxes : sequence of Box
        Fields that do not overlap, such as those of `field_boxes` that hold tissue.
    fields : int
        How many to audit; 5 at least for an interval, 10 to 20 are usual.
    seed : int
        Of the draw. Do not draw again until the result pleases: then the interval is void.

    Raises
    ------
    RegionError
        If there are no fields, or not a positive number of them is asked for.
    """
    if not boxes or fields < 1:
        raise RegionError(
            f"{fields:,} of {len(boxes):,} fields cannot be audited. Choose a region that holds "
            "tissue, and at least one field."
        )
    classes = tuple(name for name in cells.classes if name != UNSURE)
    found = _counts(cells, boxes, classes)
    order = field_order(sizes(found), np.random.default_rng(seed))
    return AuditPlan(tuple(boxes), classes, found, order, min(fields, len(boxes)))


def chances(size: NDArray[np.float64], fields: int) -> NDArray[np.float64]:
    """Chances proportional to size, at most 1, with a sum of `fields`.

    Parameters
    ----------
    size : (N,) float64
        Above 0.
    fields : int
    """
    if fields >= len(size):
        return np.ones(len(size))
    sure = np.zeros(len(size), bool)
    while True:
        chance = np.where(sure, 1.0, (fields - sure.sum()) * size / size[~sure].sum())
        over = (chance > 1) & ~sure
        if not over.any():
            return chance
        sure |= over


def sizes(found: NDArray[np.int64]) -> NDArray[np.float64]:
    """What the chances of fields with these (N, c) counts are proportional to, (N,) and above 0.

    A field where nothing was found may hold what was missed, so it counts as an average one more.
    """
    size = found.sum(axis=1).astype(np.float64)
    return np.asarray(size + max(0.5, float(size.mean())))


def field_order(size: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.intp]:
    """All fields in an order whose first m are a sample with `chances` of (N,) sizes, for any m."""
    return np.asarray(np.argsort(rng.random(len(size)) / size))


def _counts(cells: CellTable, boxes: Sequence[Box], classes: tuple[str, ...]) -> NDArray[np.int64]:
    """(N, c + 1) cells of each field and class, unsure ones last."""
    place = {name: i for i, name in enumerate(classes)}
    column = np.array([place.get(name, len(classes)) for name in cells.classes])[cells.code]
    order = np.argsort(cells.row, kind="stable")
    rows, cols, column = cells.row[order], cells.col[order], column[order]
    out = np.zeros((len(boxes), len(classes) + 1), np.int64)
    for i, box in enumerate(boxes):
        # Pixel centres are whole numbers, so a box reaches half a pixel before its first one.
        first, last = np.searchsorted(rows, [box.r0 - 0.5, box.r1 - 0.5])
        inside = (cols[first:last] >= box.c0 - 0.5) & (cols[first:last] < box.c1 - 0.5)
        out[i] = np.bincount(column[first:last][inside], minlength=len(classes) + 1)
    return out
