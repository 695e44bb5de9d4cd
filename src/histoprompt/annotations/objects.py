"""Which objects a store holds, where they lie and how large they are, kept up to date by chunk.

Boxes and areas are a function of the labels alone, so the table measures every chunk that changed
and adds up: exact after any edit, and never in need of pixels that did not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.chunk_index import ChunkIndex
from histoprompt.annotations.chunks import Labels
from histoprompt.annotations.object_changes import ObjectChanges
from histoprompt.annotations.packed import FOLD_AT, Meta, MetaMap
from histoprompt.annotations.planes import Key
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Box, union_of
from histoprompt.core.labels.table import objects_in

CELL = np.dtype(
    [(name, "<i4") for name in ("row", "col")]
    + [("id", "<u4"), ("area", "<i8")]
    + [(name, "<i4") for name in ("r0", "c0", "r1", "c1")]
)
"""The part of an object in one chunk: chunk, id, pixels, level-0 box."""

Cells = NDArray[np.void]

MAX_ID = 2**32 - 1


@dataclass(frozen=True)
class ObjectRecord:
    """An object of a store.

    Attributes
    ----------
    id : int
        Its label.
    box : Box
        The smallest level-0 box that holds it.
    area_px : int
        Its level-0 pixels.
    class_name : str
        "" if it has none.
    info : mapping
        Provenance given with the edit that made it.
    """

    id: int
    box: Box
    area_px: int
    class_name: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)


def measure(key: Key, chunk: Labels) -> Cells:
    """The objects in a chunk, ordered by id.

    Parameters
    ----------
    key : (plane, row, col)
        Of the chunk.
    chunk : (n, n) uint32
        Its labels.

    Returns
    -------
    (k,) CELL
    """
    if not chunk.any():
        return np.zeros(0, CELL)
    found = objects_in(chunk)
    cells = np.zeros(len(found), CELL)
    _, cells["row"], cells["col"] = key
    cells["id"], cells["area"] = found[:, 0], found[:, 5]
    top, left = key[1] * chunk.shape[0], key[2] * chunk.shape[1]
    for side, at, corner in (("r0", 1, top), ("c0", 2, left), ("r1", 3, top), ("c1", 4, left)):
        cells[side] = found[:, at] + corner
    return cells


class ObjectTable:
    """The objects of a plane, changed in transactions that can be taken back.

    Parameters
    ----------
    plane : int
        Its number.

    Attributes
    ----------
    next_id : int
        One more than the largest id the present line of edits has used.
    meta : MetaMap
        Of every object with at least one pixel.
    """

    def __init__(self, plane: int = 0) -> None:
        self._plane = plane
        self.next_id = 1
        self.meta = MetaMap()
        self._cells: dict[Key, Cells] = {}
        self._index = ChunkIndex(plane)
        self.begin()

    # -- asking ----------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, object_id: int) -> bool:
        return object_id in self._index

    def ids(self) -> NDArray[np.uint32]:
        """All ids, ascending."""
        return self._index.ids()

    def existing(self, ids: Iterable[int]) -> list[int]:
        """These ids, ascending and each once.

        Raises
        ------
        LabelStoreError
            If one of them does not exist, or none is named.
        """
        wanted = sorted({int(i) for i in ids})
        missing = [i for i in wanted if i not in self]
        if missing or not wanted:
            named = ", ".join(map(str, missing[:10])) or "none was named"
            raise LabelStoreError(f"There is no such object among the {len(self)}: {named}.")
        return wanted

    def filled(self) -> list[Key]:
        """The chunks that hold at least one object, in order."""
        return sorted(self._cells)

    def keys_of(self, ids: Iterable[int]) -> list[Key]:
        """The chunks that hold any of these objects, in order."""
        return sorted(set().union(*(self._index.of(i) for i in ids)))

    def box_of(self, object_id: int) -> Box | None:
        """The smallest level-0 box that holds an object, None if there is no such object."""
        parts = self._parts(object_id)
        boxes = (Box(*(int(part[side]) for side in ("r0", "c0", "r1", "c1"))) for part in parts)
        return union_of(boxes) if parts else None

    def area_of(self, object_id: int) -> int:
        """The pixels of an object, 0 if there is no such object."""
        return sum(int(part["area"]) for part in self._parts(object_id))

    def _parts(self, object_id: int) -> list[np.void]:
        found = []
        for key in self._index.of(object_id):
            cells = self._cells[key]
            found.append(cells[np.searchsorted(cells["id"], object_id)])
        return found

    def cells(self) -> Cells:
        """The parts of all objects, for the checkpoint."""
        return np.concatenate([np.zeros(0, CELL), *self._cells.values()])

    def measured(self) -> Cells:
        """One CELL an object, ordered by id: area and box added up, chunk of the first part."""
        cells = self.cells()
        if not len(cells):
            return cells
        order = np.argsort(cells["id"], kind="stable")
        starts = np.flatnonzero(np.diff(cells["id"][order], prepend=0))
        out = cells[order[starts]]
        out["area"] = np.add.reduceat(cells["area"][order], starts)
        for side in ("r0", "c0"):
            out[side] = np.minimum.reduceat(cells[side][order], starts)
        for side in ("r1", "c1"):
            out[side] = np.maximum.reduceat(cells[side][order], starts)
        return out

    # -- changing --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start a transaction."""
        self._old_cells: dict[Key, Cells] = {}
        self._old_meta = MetaMap()
        self._old_next = self.next_id
        self._unsettled: set[int] = set()

    def set_cells(self, key: Key, cells: Cells, *, known: bool = False) -> None:
        """Tell what a chunk holds now, and whether it is known what made the objects in it."""
        old = self._swap_cells(key, cells)
        self._old_cells.setdefault(key, old)
        if known:
            self._unsettled.clear()

    def _swap_cells(self, key: Key, cells: Cells) -> Cells:
        old = self._cells.pop(key, np.zeros(0, CELL))
        if len(cells):
            self._cells[key] = cells
        before, after = set(old["id"].tolist()), set(cells["id"].tolist())
        self._index.discard(before - after, key)
        self._index.add(after - before, key)
        self._unsettled |= before ^ after
        return old

    def known(self, object_id: int) -> Meta:
        """What is known of an object that is there."""
        meta = self.meta[object_id]
        assert meta is not None
        return meta

    def set_meta(self, object_id: int, meta: Meta | None) -> None:
        """Tell what is known of an object; None forgets it."""
        if object_id not in self._old_meta:
            self._old_meta[object_id] = self.meta.get(object_id)
        if meta is None:
            self.meta.pop(object_id, None)
        else:
            self.meta[object_id] = meta

    def set_class(self, ids: Iterable[int], class_name: str) -> None:
        """Tell what objects are."""
        for i in ids:
            self.set_meta(i, self.known(i)._replace(class_name=class_name))

    def credit(self, ids: Iterable[int], record: int, step: int) -> None:
        """Tell that another edit made objects what they are; those that are gone are passed by."""
        for i in ids:
            if i in self.meta:
                self.set_meta(i, self.known(i)._replace(record=record, step=step))

    def settle(self, record: int, step: int) -> None:
        """After a step: forget the objects that are gone, and say what made the new ones."""
        for i in sorted(self._unsettled):
            there = i in self._index
            if there and i not in self.meta:
                self.set_meta(i, Meta("", record, step))
                self.next_id = max(self.next_id, i + 1)
            elif not there and i in self.meta:
                self.set_meta(i, None)
        self._unsettled.clear()

    def rollback(self) -> None:
        """Take the transaction back."""
        for key, cells in self._old_cells.items():
            self._swap_cells(key, cells)
        for i, meta in self._old_meta.items():
            self.set_meta(i, meta)
        self.next_id = self._old_next
        self.begin()

    def meta_changes(self) -> ObjectChanges:
        """What the transaction changed beside pixels."""
        return ObjectChanges(*self._old_meta.changes(self.meta), (self._old_next, self.next_id))

    def apply_meta(self, changes: ObjectChanges, after: bool) -> None:
        """Set what `meta_changes` told, as it was after or before."""
        known = changes.after if after else changes.before
        for start in range(0, len(known), FOLD_AT):
            ids = changes.ids[start : start + FOLD_AT].tolist()
            for i, meta in zip(ids, known[start : start + FOLD_AT], strict=True):
                self.set_meta(i, meta)
        self.next_id = changes.next_id[int(after)]

    def load(self, cells: Cells, meta: MetaMap, next_id: int) -> None:
        """Take a saved state into an empty table."""
        order = np.lexsort((cells["id"], cells["col"], cells["row"]))
        cells = cells[order]
        change = np.diff(cells["row"]).astype(bool) | np.diff(cells["col"]).astype(bool)
        for part in np.split(cells, np.flatnonzero(change) + 1):
            if len(part):
                key = self._plane, int(part["row"][0]), int(part["col"][0])
                self._cells[key] = part
        self._index.load(cells["id"], cells["row"], cells["col"])
        self.meta, self.next_id = meta.copy(), next_id
        self.begin()

    def new_id(self) -> int:
        """The id of the next new object.

        Raises
        ------
        LabelStoreError
            If no number is left.
        """
        if self.next_id > MAX_ID:
            raise LabelStoreError(
                f"The label {MAX_ID} is in use, so there is no larger number for a new object: "
                "give that object a smaller number first."
            )
        return self.next_id
