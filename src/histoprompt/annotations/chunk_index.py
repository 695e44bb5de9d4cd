"""Which chunks each of very many objects lies in, in twelve bytes for each of its parts."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.packed import FOLD_AT, merged
from histoprompt.annotations.planes import Key

_ROW = np.dtype([("id", "<u4"), ("row", "<i4"), ("col", "<i4")])


class ChunkIndex:
    """The chunks of objects on one plane.

    Parameters
    ----------
    plane : int
        Its number.
    """

    def __init__(self, plane: int) -> None:
        self._plane = plane
        self._rows = np.zeros(0, _ROW)
        self._recent: dict[int, set[Key]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, object_id: int) -> bool:
        if object_id in self._recent:
            return bool(self._recent[object_id])
        low, high = self._span(object_id)
        return high > low

    def of(self, object_id: int) -> set[Key]:
        """The chunks that an object lies in; not to be changed."""
        if object_id in self._recent:
            return self._recent[object_id]
        low, high = self._span(object_id)
        return {(self._plane, row, col) for _, row, col in self._rows[low:high].tolist()}

    def add(self, object_ids: Iterable[int], key: Key) -> None:
        """Note that objects lie in a chunk."""
        for i in object_ids:
            keys = self._changing(i)
            self._count += not keys
            keys.add(key)
        self._turn()

    def discard(self, object_ids: Iterable[int], key: Key) -> None:
        """Note that objects do not lie in a chunk any more."""
        for i in object_ids:
            keys = self._changing(i)
            keys.discard(key)
            self._count -= not keys
        self._turn()

    def ids(self) -> NDArray[np.uint32]:
        """All objects, ascending."""
        self._fold()
        return np.unique(self._rows["id"])

    def load(self, ids: NDArray[np.uint32], row: NDArray[np.int32], col: NDArray[np.int32]) -> None:
        """Take the parts of objects into an empty index."""
        order = np.argsort(ids, kind="stable")
        self._rows = np.zeros(len(ids), _ROW)
        self._rows["id"], self._rows["row"], self._rows["col"] = ids[order], row[order], col[order]
        self._count = len(np.unique(ids))

    def _changing(self, object_id: int) -> set[Key]:
        if object_id not in self._recent:
            self._recent[object_id] = self.of(object_id)
        return self._recent[object_id]

    def _span(self, object_id: int) -> tuple[int, int]:
        wanted = np.uint32(object_id)
        ids = self._rows["id"]
        return int(np.searchsorted(ids, wanted)), int(np.searchsorted(ids, wanted, "right"))

    def _turn(self) -> None:
        if len(self._recent) > FOLD_AT:
            self._fold()

    def _fold(self) -> None:
        """Take what changed last over into the arrays."""
        if not self._recent:
            return
        rows = [(i, row, col) for i, keys in self._recent.items() for _, row, col in keys]
        old = np.fromiter(self._recent, np.uint32)
        self._rows = merged(self._rows, old, np.array(rows, _ROW))
        self._recent = {}
