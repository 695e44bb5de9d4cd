"""Which objects labels hold, and where: found in one pass over the blocks that hold something."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import LabelError
from histoprompt.core.geometry import Box
from histoprompt.core.labels.growing import GrowingRows
from histoprompt.core.labels.sources import LabelSource, pieces
from histoprompt.core.task import Task

_SCAN = 2048
# Ids that lie no further apart are counted by a table.
_DENSE = 1 << 22
# An object, or the part of it in a block.
_SIDES = (("r0", np.minimum), ("c0", np.minimum), ("r1", np.maximum), ("c1", np.maximum))
_PART = np.dtype([("id", "<u4"), *((name, "<i4") for name, _ in _SIDES), ("area", "<i8")])


@dataclass(frozen=True, eq=False)
class LabelTable:
    """The objects of a label source, ids ascending.

    Attributes
    ----------
    ids : (n,) uint32
    boxes : (n, 4) int32
        Half-open level-0 bounding boxes r0, c0, r1, c1.
    areas : (n,) int64
        Pixels of each object.
    """

    ids: NDArray[np.uint32]
    boxes: NDArray[np.int32]
    areas: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def widest(self) -> NDArray[np.int32]:
        """(n,) the longer side of each object's box."""
        return np.asarray((self.boxes[:, 2:] - self.boxes[:, :2]).max(axis=1), np.int32)

    def only(self, rows: NDArray[np.intp]) -> LabelTable:
        """Some of the objects, by their place in the table."""
        return LabelTable(self.ids[rows], self.boxes[rows], self.areas[rows])

    def areas_of(self, ids: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Pixels of each of some objects, (n,) int64.

        Raises
        ------
        LabelError
            If one is not in the table: the labels were edited after the scan.
        """
        rows = np.searchsorted(self.ids, ids).clip(max=len(self) - 1)
        if not np.array_equal(self.ids[rows], ids):
            raise LabelError("The labels changed while they were exported. Export them again.")
        return np.asarray(self.areas[rows], np.int64)

    def in_reading_order(self) -> Iterator[tuple[int, Box, int]]:
        """Each object's id, box and area; neighbours follow each other, so blocks are read once."""
        r0, c0 = self.boxes[:, 0], self.boxes[:, 1]
        for i in np.lexsort((c0, r0 // _SCAN)):
            yield int(self.ids[i]), Box(*self.boxes[i].tolist()), int(self.areas[i])


def scan(labels: LabelSource, task: Task) -> LabelTable:
    """Find every object of a label source.

    Parameters
    ----------
    labels : LabelSource
        Read by blocks of at most 2048 pixels a side; empty ones are not read.
    task : Task
        For progress and cancel.

    Returns
    -------
    LabelTable
        An object that crosses blocks is one row.
    """
    filled = [part for box in labels.filled_boxes() for part in pieces(box, _SCAN)]
    parts = GrowingRows(_PART)
    for done, box in enumerate(filled):
        task.step(done, len(filled), "Looking for objects")
        parts.add(_parts_in(labels.read(box), box))
    return _merge(parts.rows)


def _parts_in(ids: NDArray[np.uint32], box: Box) -> NDArray[np.void]:
    """The objects in one block."""
    rows = objects_in(ids)
    rows[:, [1, 3]] += round(box.r0)
    rows[:, [2, 4]] += round(box.c0)
    parts = np.zeros(len(rows), _PART)
    for name, column in zip(_PART.names or (), rows.T, strict=True):
        parts[name] = column
    return parts


def objects_in(labels: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The objects of a label image, from runs of equal pixels: a tenth of the time of all pixels.

    Parameters
    ----------
    labels : (h, w) uint32
        0 background; any other numbers.

    Returns
    -------
    (n, 6) int64
        Id, half-open box r0, c0, r1, c1, pixels; ids ascending.
    """
    start, stop, owner = _runs(labels)
    order = np.argsort(owner, kind="stable")
    start, stop, owner = start[order], stop[order], owner[order]
    first = np.flatnonzero(np.diff(owner, prepend=np.uint32(0)))
    out = np.empty((len(first), 6), np.int64)
    if not len(first):
        return out
    row, left = np.divmod(start, labels.shape[1])
    length = stop - start
    out[:, 0], out[:, 1] = owner[first], row[first]
    out[:, 2] = np.minimum.reduceat(left, first)
    out[:, 3] = row[np.append(first[1:], len(row)) - 1] + 1
    out[:, 4] = np.maximum.reduceat(left + length, first)
    out[:, 5] = np.add.reduceat(length, first)
    return out


def _runs(
    labels: NDArray[np.uint32],
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.uint32]]:
    """Runs of equal pixels within rows, background aside: half-open flat places, and labels."""
    flat = np.ascontiguousarray(labels).reshape(-1)
    turn = np.ones(flat.shape, bool)
    np.not_equal(flat[1:], flat[:-1], out=turn[1:])
    turn[:: labels.shape[1]] = True
    start = np.flatnonzero(turn)
    owner, stop = flat[start], np.append(start[1:], flat.size)
    kept = owner > 0
    return start[kept], stop[kept], owner[kept]


def compacted(
    ids: NDArray[np.uint32],
) -> tuple[NDArray[np.uint32], NDArray[np.int32], NDArray[np.int64]]:
    """Renumber labels 1 ... n without a table as long as the largest id.

    Returns
    -------
    present : (n,) uint32
        The ids there are, ascending; `present[k - 1]` is the id of number k.
    compact : array like `ids`, int32
    areas : (n,) int64
        Pixels of each.
    """
    filled = ids != 0
    if not filled.any():
        return np.zeros(0, np.uint32), np.zeros(ids.shape, np.int32), np.zeros(0, np.int64)
    # 0 wraps round to the largest number, so this finds the smallest of the rest
    low, high = int((ids.astype(np.uint32) - np.uint32(1)).min()) + 1, int(ids.max())
    if high - low > _DENSE:
        compact = np.zeros(ids.shape, np.int32)
        present, inverse, areas = np.unique(ids[filled], return_inverse=True, return_counts=True)
        compact[filled] = inverse + 1
        return present, compact, areas.astype(np.int64)
    # without sorting: ids that lie near each other index a table
    small = np.where(filled, ids - np.uint32(low - 1), 0).astype(np.int32)
    counts = np.bincount(small.ravel(), minlength=high - low + 2)
    counts[0] = 0
    places = np.flatnonzero(counts)
    table = np.zeros(len(counts), np.int32)
    table[places] = np.arange(1, len(places) + 1)
    present = (places + (low - 1)).astype(np.uint32)
    return present, table[small], counts[places].astype(np.int64)


def _merge(parts: NDArray[np.void]) -> LabelTable:
    """Objects of their parts, a column after the other: of millions of parts no copy is made."""
    order = np.argsort(parts["id"], kind="stable")
    ids = parts["id"][order]
    starts = np.flatnonzero(np.diff(ids, prepend=np.uint32(0)))
    boxes, areas = np.empty((len(starts), 4), np.int32), np.empty(0, np.int64)
    if len(starts):
        for side, (name, outermost) in enumerate(_SIDES):
            boxes[:, side] = outermost.reduceat(parts[name][order], starts)
        areas = np.add.reduceat(parts["area"][order], starts)
    return LabelTable(ids[starts], boxes, areas)
