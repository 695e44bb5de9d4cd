"""Which recorded edits of a slide are in force, and which were taken back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from histoprompt.annotations.journal import Journal, Record
from histoprompt.annotations.sums import Sum
from histoprompt.core.geometry import Box

Walk = Literal["undo", "redo"]

Step = tuple[str, Mapping[str, Any]]
"""An edit's name and the provenance given with it."""


@dataclass(frozen=True)
class Change:
    """What an edit, an undo or a redo did.

    Attributes
    ----------
    box : Box
        The level-0 pixels that may look different now.
    op : str
        The edit's name: "paint", "commit", "merge" ...
    edit : int
        Which edit it is: its place in the journal, the same for its undo and redo.
    """

    box: Box
    op: str
    edit: int = field(default=-1, compare=False)


@dataclass(frozen=True)
class HistoryEntry:
    """An edit that is in force.

    Attributes
    ----------
    op : str
        The edit's name.
    time : str
        When it was made, ISO 8601 in UTC.
    steps : tuple of (op, info)
        What it consists of, with the provenance given.
    who : str
        The user of the computer; "" if nothing tells.
    """

    op: str
    time: str
    steps: tuple[Step, ...]
    who: str = ""


@dataclass(frozen=True)
class Origin:
    """What made an object.

    Attributes
    ----------
    op : str
        The edit's name.
    info : mapping
        The provenance given with it.
    time : str
        When, ISO 8601 in UTC; "" if nothing tells.
    who : str
        The user of the computer; "" if nothing tells.
    """

    op: str
    info: Mapping[str, Any]
    time: str = ""
    who: str = ""


NOBODY = Origin("", {})


class History:
    """The edits of a journal as two stacks of offsets, the next to be walked last.

    Attributes
    ----------
    undo : list of int
        The edits in force.
    redo : list of int
        The edits taken back.
    """

    def __init__(self, journal: Journal) -> None:
        self.undo: list[int] = []
        self.redo: list[int] = []
        self._journal = journal
        self._cached_origins = lru_cache(maxsize=65536)(self._read_origins)

    @property
    def end(self) -> int:
        """The bytes of the journal that the stacks tell of."""
        return self._journal.end

    def add_edit(self, record: Record) -> None:
        """Write an edit to the journal; what was taken back cannot be done again after it."""
        self._enter(self._journal.append(record))

    def target(self, kind: Walk) -> int | None:
        """The edit an undo or a redo is about, None if there is none."""
        source, _ = self._stacks(kind)
        return source[-1] if source else None

    def add_walk(self, kind: Walk, sums: list[Sum | None]) -> None:
        """Write an undo or a redo of its target to the journal, with what its chunks are then."""
        self._journal.append(Record({"kind": kind, "target": self.target(kind), "sums": sums}))
        self._move(kind)

    def replay(self, offset: int, record: Record) -> tuple[Record, bool]:
        """Take a record that is in the journal already.

        Returns
        -------
        edit : Record
            The edit the record is about.
        in_force : bool
            Whether that edit is in force now, or was taken back.
        """
        match record.header["kind"]:
            case "undo":
                return self._journal.checked(self._move("undo")), False
            case "redo":
                return self._journal.checked(self._move("redo")), True
            case "base":
                return record, True  # what a compaction kept of edits that are no steps any more
        self._enter(offset)
        return record, True

    def entries(self) -> list[HistoryEntry]:
        """The edits in force, oldest first."""
        headers = [self._journal.read_header(offset) for offset in self.undo]
        return [HistoryEntry(h["op"], h["time"], _steps(h), h.get("who", "")) for h in headers]

    def origin(self, offset: int, number: int) -> Origin:
        """One step of the record at an offset; raises as `Journal.read` does."""
        return self._cached_origins(offset)[number]

    def _read_origins(self, offset: int) -> tuple[Origin, ...]:
        header = self._journal.read_header(offset)
        edit = header["time"], header.get("who", "")
        return tuple(Origin(op, info, *(own or edit)) for op, info, *own in header["steps"])

    def _enter(self, offset: int) -> None:
        self.redo.clear()
        self.undo.append(offset)

    def _move(self, kind: Walk) -> int:
        source, target = self._stacks(kind)
        target.append(source.pop())
        return target[-1]

    def _stacks(self, kind: Walk) -> tuple[list[int], list[int]]:
        return (self.undo, self.redo) if kind == "undo" else (self.redo, self.undo)


def _steps(header: Mapping[str, Any]) -> tuple[Step, ...]:
    return tuple((op, info) for op, info in header["steps"])
