"""How an edit becomes lasting: chunks, object table and journal, changed as one.

Order of an edit: the new chunks are staged beside the arrays, the journal's record is written
through to the disk, the chunks are renamed into place. A process killed at any of these points
leaves a store that opens as before or as after the edit; a full disk is met in the first two
steps, before anything has changed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from histoprompt.annotations.checkpoint import Checkpoint
from histoprompt.annotations.chunks import ChunkFiles, Key
from histoprompt.annotations.edits import ChunkEdit
from histoprompt.annotations.history import Change, History, Step, Walk
from histoprompt.annotations.journal import Journal, Record
from histoprompt.annotations.lock import WriterLock
from histoprompt.annotations.objects import ObjectTable, measure
from histoprompt.annotations.patch import Patch, split_body
from histoprompt.annotations.place import StoreMark
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import union_of

CHECKPOINT_EVERY = 256
"""Chunks changed (at least one an edit) between two checkpoints: what opening may replay."""


@dataclass
class Group:
    """Edits made as one.

    Attributes
    ----------
    change : Change or None
        What they changed, once the group has ended; None if everything is as before, and in a group
        inside another, which tells of both.
    """

    change: Change | None = None


class Engine:
    """The parts of an open store, kept in step. Made by `open`.

    Others read the parts; what changes them goes through `edit`, or happens inside a `group`.

    Attributes
    ----------
    folder, shape, read_only, last_change
        As the `LabelStore` shows them.
    threads : RLock
        Held while anything is changed; hold it to read what must not change meanwhile.
    chunks : ChunkFiles
        The labels.
    objects : ObjectTable
        Which objects they are.
    levels : tuple of zarr.Array
        The arrays to display, finest first, to read only.
    journal : Journal
        Every edit made.
    history : History
        Which of them are in force.
    """

    def __init__(self, folder: Path, mark: StoreMark, lock: WriterLock | None) -> None:
        self.folder, self.shape = folder, mark.shape
        self.read_only = lock is None
        self.threads = threading.RLock()
        self.chunks = ChunkFiles(folder, mark.shape, mark.chunk)
        self.objects = ObjectTable()
        self.last_change: Change | None = None
        self._writer = lock
        self._steps: list[Step] | None = None
        self._failed = False
        self._debt = 0
        fresh = not self.read_only and self.chunks.create()
        self.journal = Journal(folder / "journal.bin", self.read_only)
        self.history = History(self.journal)
        try:
            self._recover(None if fresh else Checkpoint.load(folder / "checkpoint.npz"))
            self.levels = self.chunks.open_levels()
        except (LabelStoreError, OSError):
            self.journal.close()
            raise

    # -- opening and closing ---------------------------------------------------------------------

    @classmethod
    def open(cls, folder: Path, wanted: StoreMark, read_only: bool, rebuild: bool) -> Engine:
        """Open the store in a folder, or make an empty one there; see `LabelStore.open`."""
        lock = None
        try:
            if not read_only:
                folder.mkdir(parents=True, exist_ok=True)
                lock = WriterLock(folder)
            mark = wanted.claim(folder, read_only)
            if rebuild and not read_only:
                (folder / "checkpoint.npz").unlink(missing_ok=True)
                ChunkFiles(folder, mark.shape, mark.chunk).remove()
            return cls(folder, mark, lock)
        except OSError as error:
            _release(lock)
            raise LabelStoreError(f"Cannot open the labels in {folder}: {error}.") from error
        except LabelStoreError:
            _release(lock)
            raise

    def close(self) -> None:
        """Save what makes the next opening fast, and let others write."""
        with self.threads:
            if self.journal.closed:
                return
            if self._debt and not self.read_only:
                self._checkpoint()
            self.journal.close()
            _release(self._writer)

    # -- edits -----------------------------------------------------------------------------------

    @contextmanager
    def group(self, op: str) -> Iterator[Group]:
        """Make all edits inside one record; if anything raises, none of them was made.

        Parameters
        ----------
        op : str
            The record's name. A group inside a group belongs to the outer one.
        """
        made = Group()
        with self.threads:
            if self._steps is not None:
                with self._part_of_group():
                    yield made
                return
            self._require_writable()
            with self._transaction():
                self._steps, self._failed = [], False
                yield made
                if self._failed:
                    raise LabelStoreError(f"An edit of {op!r} failed, so none of it was made.")
                record = self._record_of(op)
                if record is not None:
                    self.history.add_edit(record)
            self._finish(record, self.history.target("undo"))
            made.change = self.last_change

    @contextmanager
    def _part_of_group(self) -> Iterator[None]:
        """Note a failure: what it left half staged must not become part of the record."""
        done = False
        try:
            yield
            done = True
        finally:
            self._failed |= not done

    def edit(
        self, op: str, info: Mapping[str, Any], keys: Iterable[Key], change: ChunkEdit
    ) -> Change | None:
        """Change some chunks, as a group of one step or as a step of the group there is."""
        with self.threads:  # until the change is told, so that it is of this edit
            with self.group(op):
                for key in keys:
                    self._edit_chunk(key, change)
                self.step(op, info)
            return self.last_change

    def _edit_chunk(self, key: Key, change: ChunkEdit) -> None:
        box, before = self.chunks.box_of(key), self.chunks.read(0, key)
        on_slide = box.slices((box.r0, box.c0))
        inside = change(box, before[on_slide])
        if not np.array_equal(inside, before[on_slide]):
            after = before.copy()
            after[on_slide] = inside
            self.chunks.stage(0, key, after)
            self._measure([key])

    def step(self, op: str, info: Mapping[str, Any]) -> None:
        """End a step of a group: what it changed is of this provenance."""
        assert self._steps is not None
        self.objects.settle(self.journal.end, len(self._steps))
        self._steps.append((op, dict(info)))

    def info_of(self, object_id: int) -> Mapping[str, Any]:
        """The provenance of an object, also of one made by the group in hand."""
        meta = self.objects.meta[object_id]
        if self._steps is not None and meta.record == self.journal.end:
            return self._steps[meta.step][1]
        return self.history.step(meta.record, meta.step)[1]

    def _record_of(self, op: str) -> Record | None:
        """What the edits of the group amount to; None if everything is as before."""
        patches = [
            patch
            for key in self.chunks.staged_keys
            if (patch := Patch.between(key, self.chunks.published(key), self.chunks.read(0, key)))
        ]
        objects = self.objects.meta_changes()
        if not patches and not objects["ids"]:
            return None
        self.chunks.stage_pyramid()
        header = {
            "kind": "edit",
            "op": op,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "steps": self._steps,
            "objects": objects,
            "patches": [patch.to_row() for patch in patches],
        }
        return Record(header, b"".join(patch.data for patch in patches))

    # -- undo ------------------------------------------------------------------------------------

    def walk(self, kind: Walk) -> Change | None:
        """Take the last edit back, or do the one taken back last again; None if there is none."""
        with self.threads:
            self._require_writable()
            if self._steps is not None:
                raise LabelStoreError(f"There is no {kind} inside a group of edits.")
            target = self.history.target(kind)
            if target is None:
                self.last_change = None
                return None
            record = self.journal.read(target)
            with self._transaction():
                self._measure(self._apply(record, after=kind == "redo"))
                self.chunks.stage_pyramid()
                self.history.add_walk(kind)
            self._finish(record, target)
            return self.last_change

    def _apply(self, record: Record, after: bool) -> set[Key]:
        """Bring the chunks to the state after, or before, a recorded edit; returns which."""
        patches = split_body(record.header["patches"], record.body)
        if not self.read_only:  # for a reader the writer has done it
            for patch in patches:
                chunk = self.chunks.read(0, patch.key)
                self.chunks.stage(0, patch.key, patch.set_on(chunk, after))
        self.objects.apply_meta(record.header["objects"], after)
        return {patch.key for patch in patches}

    def _measure(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.objects.set_cells(key, measure(key, self.chunks.read(0, key)))

    # -- transactions ----------------------------------------------------------------------------

    def _require_writable(self) -> None:
        if self.read_only:
            raise LabelStoreError(f"The labels in {self.folder} were opened to read only.")
        if self.journal.closed:
            raise LabelStoreError(f"The labels in {self.folder} are closed.")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Take everything staged back if what is inside does not come to its end."""
        self.chunks.publish()
        self.objects.begin()
        done = False
        try:
            yield
            done = True
        finally:
            self._steps = None
            if not done:
                self.chunks.discard()
                self.objects.rollback()

    def _finish(self, record: Record | None, edit: int | None) -> None:
        """After the record is on the disk: show its labels, and note where opening may start."""
        if record is None:
            self.last_change = None
            self.chunks.discard()
            self.objects.rollback()
            return
        self.last_change = self._change_of(record, -1 if edit is None else edit)
        self._debt += max(1, len(record.header["patches"]))
        self.chunks.publish()
        if self._debt >= CHECKPOINT_EVERY:
            self._checkpoint()

    def _change_of(self, record: Record, edit: int) -> Change:
        boxes = []
        for patch in split_body(record.header["patches"], b""):
            chunk = self.chunks.box_of(patch.key)
            boxes.append(patch.box.shift(chunk.r0, chunk.c0))
        if not boxes:
            found = map(self.objects.box_of, record.header["objects"]["ids"])
            boxes = [box for box in found if box is not None]
        return Change(union_of(boxes), record.header["op"], edit)

    # -- recovery --------------------------------------------------------------------------------

    def _checkpoint(self) -> None:
        """Save the state of the table; without room for it the next opening replays more."""
        if self.chunks.pending:
            return
        undo, redo = self.history.undo, self.history.redo
        state = Checkpoint.of(self.objects, self.journal.end, undo, redo)
        try:
            state.save(self.folder / "checkpoint.npz")
        except OSError:
            return
        self._debt = 0

    def _recover(self, state: Checkpoint | None) -> None:
        """Take a checkpoint and replay what the journal has beyond it, or all of it."""
        start = 0
        if state is not None:
            if state.applied > self.journal.end:
                raise LabelStoreError(
                    f"The journal in {self.folder} has {self.journal.end} bytes; it had "
                    f"{state.applied}. Put the whole file back, or open the store with "
                    "rebuild=True to go on from what is left."
                )
            self.objects.load(state.cells, state.meta, state.next_id)
            self.history.undo, self.history.redo, start = state.undo, state.redo, state.applied
        touched: set[Key] = set()
        for offset, record in self.journal.records(start):
            touched |= self._replay(offset, record)
        self._measure(touched)
        self.objects.begin()
        self.chunks.stage_pyramid(whole=True)
        self.chunks.publish()
        tail = self.journal.torn_tail()
        if tail and not self.read_only:
            (self.folder / "journal.cut").write_bytes(tail)
            self.journal.cut(self.journal.end)

    def _replay(self, offset: int, record: Record) -> set[Key]:
        edit, in_force = self.history.replay(offset, record)
        self._debt += max(1, len(edit.header["patches"]))
        return self._apply(edit, in_force)


def _release(lock: WriterLock | None) -> None:
    if lock is not None:
        lock.release()
