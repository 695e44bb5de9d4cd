"""What the journal says of single chunks: any chunk can be made again from it alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from histoprompt.annotations.chunks import Labels
from histoprompt.annotations.journal import Journal, Record
from histoprompt.annotations.patch import Patch, read_row
from histoprompt.annotations.planes import Key
from histoprompt.annotations.sums import UNKNOWN, Sum
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Box


@dataclass(frozen=True, slots=True)
class Move:
    """What one record did to one chunk.

    Attributes
    ----------
    at, size : int
        Where the patch lies in the journal.
    box : (r0, c0, r1, c1)
        What it covers, in pixels of the chunk.
    after : bool
        Whether the chunk has the patch's later labels since, or its earlier ones.
    sum : Sum or None
        Of the chunk's file since.
    """

    at: int
    size: int
    box: tuple[int, int, int, int]
    after: bool
    sum: Sum | None


Moves = dict[Key, list[Move]]


def add_moves(moves: Moves, record: Record, edit: Record, after: bool) -> None:
    """Note what a record did: it made `edit`, or did it again, or took it back."""
    at, sums = edit.body_at, record.header.get("sums")
    for n, row in enumerate(edit.header["patches"]):
        key, box, size = read_row(row)
        now = UNKNOWN if sums is None else None if sums[n] is None else (sums[n][0], sums[n][1])
        moves.setdefault(key, []).append(Move(at, size, box, after, now))
        at += size


def play(journal: Journal, moves: Sequence[Move], chunk: Labels) -> Labels:
    """A copy of a chunk after some moves, one after the other."""
    out = chunk.copy()
    for move in moves:
        patch = Patch((0, 0, 0), Box(*move.box), journal.read_bytes(move.at, move.size))
        patch.put_on(out, move.after)
    return out


class Memory:
    """The moves of all chunks from the journal's beginning, read as far as they are needed.

    Attributes
    ----------
    whole : bool
        Whether every record so far could be read.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._moves: Moves = {}
        self._end = 0
        self.whole = True

    def of(self, key: Key) -> list[Move]:
        """The moves of a chunk up to now."""
        if self._end < self._journal.end:
            self._read_on()
        return self._moves.get(key, [])

    def _read_on(self) -> None:
        for record in self._journal.salvage(self._end, self._journal.end):
            try:
                self._add(record)
            except LabelStoreError:
                self.whole = False
        self._end = self._journal.end

    def _add(self, record: Record | None) -> None:
        if record is None:
            self.whole = False
        elif record.header["kind"] in ("edit", "base"):
            add_moves(self._moves, record, record, True)
        else:
            target = self._journal.checked(record.header["target"])
            add_moves(self._moves, record, target, record.header["kind"] == "redo")
