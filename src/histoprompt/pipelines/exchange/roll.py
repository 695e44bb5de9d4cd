"""Which objects a file has: id, class and place of each, in a few bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.labels.growing import GrowingRows
from histoprompt.core.labels.names_of import NamesOf

_RECENT = 1 << 14


class Roll:
    """The objects of a file, in order.

    Of a million objects the ids, classes and places take some 40 MB, where as many Python objects
    take ten times that.
    """

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._rows = GrowingRows([("id", "<u4"), ("code", "<u4"), ("where", "<i8"), ("own", "?")])
        self._places = bytearray()
        # the rows of ids: the last of them in a table, all others sorted
        self._recent: dict[int, int] = {}
        self._sorted = np.zeros(0, np.uint32), np.zeros(0, np.uint32)
        self._hidden: set[int] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, label: int) -> bool:
        return self._row(label) is not None

    def add(self, label: int, name: str, where: str, *, own: bool) -> None:
        """Note an object: its class, its place in the file, and whether the file states its id."""
        if len(self._recent) >= _RECENT:
            self._sort()
        self._recent[label] = len(self._rows)
        code = self._codes.setdefault(name, len(self._codes))
        row = np.array([(label, code, len(self._places), own)], self._rows.rows.dtype)
        self._rows.add(row)
        self._places += where.encode() + b"\n"

    def where(self, label: int) -> str:
        """The place of an object in the file."""
        row = self._row(label)
        assert row is not None
        start = int(self._rows.rows["where"][row])
        return self._places[start : self._places.index(b"\n", start)].decode()

    def hide(self, label: int) -> None:
        """Forget the class of an object that no pixel shows."""
        self._hidden.add(label)

    def names(self) -> NamesOf:
        """The class of each object that was not hidden; empty if the file gives none."""
        rows: NDArray[np.void] = self._rows.rows
        if self._hidden:
            rows = rows[~np.isin(rows["id"], np.array(sorted(self._hidden), np.uint32))]
        return NamesOf(rows["id"], rows["code"], tuple(self._codes))

    def given(self) -> NDArray[np.uint32]:
        """The ids that the file does not state, ascending."""
        rows = self._rows.rows
        return np.sort(rows["id"][~rows["own"]])

    def _row(self, label: int) -> int | None:
        if label in self._recent:
            return self._recent[label]
        ids, rows = self._sorted
        at = int(np.searchsorted(ids, np.uint32(label)))
        return int(rows[at]) if at < len(ids) and ids[at] == label else None

    def _sort(self) -> None:
        ids = np.append(self._sorted[0], np.array(list(self._recent), np.uint32))
        rows = np.append(self._sorted[1], np.array(list(self._recent.values()), np.uint32))
        order = np.argsort(ids, kind="stable")
        self._sorted = ids[order], rows[order]
        self._recent.clear()
