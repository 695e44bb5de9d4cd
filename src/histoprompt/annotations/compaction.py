"""A journal written anew without what nobody can reach any more.

Edits that were taken back and then replaced by others go, and so do the marks of undo and redo. If
it is asked for, all but the last few edits become one lasting base, which cannot be undone; who or
what made each object stays known.

The new journal is written beside the old one and read back. Then the checkpoint, which is of the
old one, is removed, the new journal takes the old one's name, and a new checkpoint is written. A
computer that stops between any two of these has one whole journal, from which all is made.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from histoprompt.annotations import codec
from histoprompt.annotations.checkpoint import Checkpoint, Objects
from histoprompt.annotations.chunks import Labels
from histoprompt.annotations.history import Origin
from histoprompt.annotations.journal import Journal, Record
from histoprompt.annotations.object_changes import ObjectChanges
from histoprompt.annotations.packed import Meta
from histoprompt.annotations.patch import Patch
from histoprompt.annotations.place import CHECKPOINT, JOURNAL
from histoprompt.annotations.planes import PLANES, Key
from histoprompt.annotations.replay import Moves, add_moves, play
from histoprompt.annotations.state import LabelState
from histoprompt.annotations.sums import Sum, sum_of
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.files.durable import sync_folder

if TYPE_CHECKING:
    from histoprompt.annotations.engine import Engine

NEW_JOURNAL = "journal.new"
# What one record of the base holds at most, so that no record is too large for memory.
_CHUNKS_AT_ONCE, _OBJECTS_AT_ONCE = 64, 20_000
_Item = TypeVar("_Item")
_Place = tuple[int, int]
"""Record and step of what made an object."""


@dataclass(frozen=True)
class Compaction:
    """What a compaction did.

    Attributes
    ----------
    before, after : int
        Bytes of the journal.
    kept : int
        Edits that can still be undone or done again.
    given_up : int
        Edits in force that cannot be undone any more.
    dropped : int
        Edits that were taken back and replaced before, which nobody could do again.
    """

    before: int
    after: int
    kept: int
    given_up: int
    dropped: int


def compact(engine: Engine, keep: int | None) -> Compaction:
    """Write the journal of a store anew, and close the store.

    Parameters
    ----------
    engine : Engine
        Open for writing, with nothing in hand.
    keep : int or None
        How many of the last edits can be undone afterwards; None keeps all of them.

    Raises
    ------
    LabelStoreError
        If an edit to keep cannot be read, or the disk does not take the new journal; everything is
        then as it was.
    OSError, ExportError
        If the disk fails while files change their names; the next opening goes on from there.
    """
    path = engine.folder / NEW_JOURNAL
    path.unlink(missing_ok=True)
    with ExitStack() as failed:
        failed.callback(path.unlink, missing_ok=True)
        with closing(Journal(path)) as new:
            writing = _Writing(engine, new, keep)
            writing.run()
            new.sync()
            whole = [r is not None for r in new.salvage(0, new.end)]
        if not all(whole):
            raise LabelStoreError(f"The disk did not keep {path} as it was written.")
        failed.pop_all()
    before = engine.journal.end
    checkpoint = writing.checkpoint()
    engine.journal.close()
    _swap(engine.folder, path)
    engine.chunks.sync()
    checkpoint.save(engine.folder / CHECKPOINT)
    return writing.result(before)


def unreachable_bytes(engine: Engine) -> int:
    """How much of a journal nobody can undo to or do again."""
    journal, history = engine.journal, engine.history
    return journal.end - sum(journal.size_at(at) for at in (*history.undo, *history.redo))


def _swap(folder: Path, path: Path) -> None:
    """Put the new journal in the old one's place, never beside a checkpoint of the old one."""
    (folder / CHECKPOINT).unlink(missing_ok=True)
    sync_folder(folder)
    os.replace(path, folder / JOURNAL)
    sync_folder(folder)


class _Writing:
    """One new journal in the making."""

    def __init__(self, engine: Engine, new: Journal, keep: int | None) -> None:
        self.engine, self.old, self.new = engine, engine.journal, new
        undo, self.redo = engine.history.undo, engine.history.redo
        cut = 0 if keep is None else max(0, len(undo) - keep)
        self.base, self.kept = undo[:cut], undo[cut:]
        self.edits = 0
        self.at: dict[int, int] = {}
        self.made: dict[_Place, _Place] = {}

    def run(self) -> None:
        """Write base, edits, and what was taken back of them."""
        sums = self._look_through()
        if self.base:
            self._write_base()
        else:
            for offset in self._old_base():
                self._copy(offset)
        for offset in (*self.kept, *reversed(self.redo)):
            self._copy(offset)
        for offset in self.redo:
            header = {"kind": "undo", "target": self.at[offset], "sums": sums.get(offset)}
            self.new.append(Record(header), through=False)

    def checkpoint(self) -> Checkpoint:
        """The state of the store as it is, with its records where they lie now."""
        engine = self.engine
        planes = tuple(
            Objects(table.next_id, table.cells(), table.meta.moved(self._moved))
            for table in engine.state.tables
        )
        return Checkpoint(
            applied=self.new.end,
            undo=[self.at[offset] for offset in self.kept],
            redo=[self.at[offset] for offset in self.redo],
            planes=planes,
            classes=engine.state.classes,
            sums=engine.chunks.expected,
            mark=engine.mark,
        )

    def result(self, before: int) -> Compaction:
        """What was done, for people."""
        kept = len(self.kept) + len(self.redo)
        dropped = self.edits - kept - len(self.base)
        return Compaction(before, self.new.end, kept, len(self.base), dropped)

    # -- edits -----------------------------------------------------------------------------------

    def _copy(self, offset: int) -> None:
        """Write an edit again; the records it names are where they lie now."""
        record = self.old.checked(offset)
        self.at[offset] = self.new.end
        header = dict(record.header)
        for plane in PLANES:
            if plane in header:
                header[plane] = ObjectChanges.of(header[plane]).moved(self._moved).to_json()
        self.new.append(Record(header, long=record.long), through=False)

    def _moved(self, meta: Meta) -> Meta:
        """What is known of an object, with the place its maker has in the new journal."""
        if meta.record in self.at:
            return meta._replace(record=self.at[meta.record])
        record, step = self.made.get((meta.record, meta.step), (-1, 0))
        return meta._replace(record=record, step=step)

    def _look_through(self) -> Mapping[int, list[Sum | None] | None]:
        """Count edits; returns what the chunks of each were when it was taken back last."""
        sums = {}
        for record in self.old.salvage(0, self.old.end):
            kind = "" if record is None else record.header["kind"]
            self.edits += kind == "edit"
            if record is not None and kind == "undo":
                sums[record.header["target"]] = record.header.get("sums")
        return sums

    def _old_base(self) -> Iterator[int]:
        """What an earlier compaction wrote; it stands first."""
        offset = 0
        while offset < self.old.end and self.old.read_header(offset)["kind"] == "base":
            yield offset
            offset += self.old.size_at(offset)

    # -- the base --------------------------------------------------------------------------------

    def _write_base(self) -> None:
        """All that the edits before the kept ones amount to."""
        moves: Moves = {}
        state = self._copy_of_state()
        for offset in reversed(self.kept):
            record = self.old.checked(offset)
            add_moves(moves, record, record, after=False)
            state.apply(record.header, after=False)
        keys = sorted({*self.engine.state.filled(), *moves})
        chunks = _in_parts(keys, _CHUNKS_AT_ONCE)
        metas = _in_parts(
            [(p, i) for p, table in enumerate(state.tables) for i in table.meta], _OBJECTS_AT_ONCE
        )
        for n in range(max(len(chunks), len(metas), 1)):
            some = chunks[n] if n < len(chunks) else []
            self._write_part(state, moves, some, metas[n] if n < len(metas) else [])

    def _write_part(
        self, state: LabelState, moves: Moves, keys: list[Key], metas: list[tuple[int, int]]
    ) -> None:
        patches, sums = [], []
        for key in keys:
            before, now = self._chunk_before(moves, key)
            patch = Patch.between(key, np.zeros_like(before), before)
            if patch is not None:
                patches.append(patch)
                sums.append(now)
        origins = list(dict.fromkeys(_place(state.tables[p].known(i)) for p, i in metas))
        number = {place: n for n, place in enumerate(origins) if place[0] >= 0}
        for place, n in number.items():
            self.made.setdefault(place, (self.new.end, n))
        header = {
            "kind": "base",
            "op": "base",
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "edits": len(self.base),
            "steps": [self._origin(place) for place in origins],
            **self._told(state, metas, number),
            "patches": [patch.to_row() for patch in patches],
            "sums": sums,
        }
        body = b"".join(patch.data for patch in patches)
        self.new.append(Record(header, body), through=False)

    def _told(
        self, state: LabelState, metas: list[tuple[int, int]], number: Mapping[_Place, int]
    ) -> dict[str, Any]:
        """Objects and classes of a part of the base, as the header of a record tells them."""
        told: dict[str, Any] = {}
        for at, plane in enumerate(PLANES):
            table = state.tables[at]
            ids = [i for p, i in metas if p == at]
            after = [
                (meta.class_name, self.new.end if place in number else -1, number.get(place, 0))
                for meta in map(table.known, ids)
                for place in [_place(meta)]
            ]
            next_ids = [table.next_id, table.next_id]
            told[plane] = {"ids": ids, "before": [None] * len(ids), "after": after}
            told[plane]["next_id"] = next_ids
        rows = [item.to_row() for item in state.classes]
        return {**told, "classes": [rows, rows]}

    def _chunk_before(self, moves: Moves, key: Key) -> tuple[Labels, Sum | None]:
        """A chunk and its file's sum before the kept edits."""
        labels = self.engine.chunks.read(0, key)
        if key not in moves:
            return labels, self.engine.chunks.expected.get((0, *key))
        before = play(self.old, moves[key], labels)
        return before, sum_of(codec.encode(before)) if before.any() else None

    def _copy_of_state(self) -> LabelState:
        state = LabelState()
        for mine, table in zip(state.tables, self.engine.state.tables, strict=True):
            mine.meta, mine.next_id = table.meta.copy(), table.next_id
        state.classes = self.engine.state.classes
        return state

    def _origin(self, place: _Place) -> tuple[str, Mapping[str, Any], str, str]:
        try:
            made = self.engine.history.origin(*place)
        except LabelStoreError:
            made = Origin("", {})
        return made.op, made.info, made.time, made.who


def _place(meta: Meta) -> _Place:
    return meta.record, meta.step


def _in_parts(items: list[_Item], size: int) -> list[list[_Item]]:
    return [items[n : n + size] for n in range(0, len(items), size)]
