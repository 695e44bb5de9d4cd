"""How an edit becomes lasting: chunks, object table and journal, changed as one.

Order of an edit: the new chunks are staged beside the arrays, the journal's record is written
through to the disk, the chunks are renamed into place. A process killed at any of these points
leaves a store that opens as before or as after the edit; a full disk is met in the first two
steps, before anything has changed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from histoprompt.annotations import recovery
from histoprompt.annotations.aside import Aside
from histoprompt.annotations.checkpoint import Checkpoint
from histoprompt.annotations.chunks import ChunkFiles
from histoprompt.annotations.compaction import Compaction, compact, unreachable_bytes
from histoprompt.annotations.edits import ChunkEdit
from histoprompt.annotations.history import NOBODY, Change, History, Origin, Step, Walk
from histoprompt.annotations.journal import Journal, Record
from histoprompt.annotations.lock import writer_lock
from histoprompt.annotations.long_record import Body
from histoprompt.annotations.packed import Meta
from histoprompt.annotations.patch import Patch, read_row
from histoprompt.annotations.place import CHECKPOINT, JOURNAL, StoreManifest, user_name
from histoprompt.annotations.planes import PLANES, Key
from histoprompt.annotations.state import LabelState, is_change
from histoprompt.annotations.views import LevelView
from histoprompt.core.errors import ExportError, LabelStoreError
from histoprompt.core.files.locks import FolderLock
from histoprompt.core.geometry import Box, union_of

COMPACT_AT = 256 * 2**20
"""Bytes of a journal from which on it is compacted at closing, if that halves it at least."""

PlaneId = tuple[int, int]
"""An object by its plane's number and its id."""

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
    folder, shape, read_only
        As the `LabelStore` shows them.
    threads : RLock
        Held while anything is changed; hold it to read what must not change meanwhile.
    chunks : ChunkFiles
        The labels of both planes.
    state : LabelState
        Which objects they are, and the list of classes.
    levels : tuple of tuples of LevelView
        The arrays of each plane to display, finest first, to read only.
    journal : Journal
        Every edit made.
    history : History
        Which of them are in force.
    mark : StoreManifest
        What the store belongs to.
    aside : Aside
        Keeps what is replaced when the store mends itself.
    notes : list of str
        What was mended, for the person.
    """

    def __init__(self, folder: Path, mark: StoreManifest, lock: FolderLock | None) -> None:
        self.folder, self.shape, self.mark = folder, mark.shape, mark
        self.read_only = lock is None
        self.threads = threading.RLock()
        self.aside = Aside(folder)
        self.chunks = ChunkFiles(
            folder, mark.shape, mark.chunk, None if self.read_only else self.aside
        )
        self.state = LabelState()
        self.notes: list[str] = []
        self.debt = 0
        self._writer = lock
        self._steps: list[Step] | None = None
        self._failed = False
        self.journal = Journal(folder / JOURNAL, self.read_only)
        self.history = History(self.journal)
        self.levels = tuple(
            tuple(
                LevelView(self.chunks, level, plane, self.threads)
                for level in range(len(self.chunks.shapes))
            )
            for plane in range(len(PLANES))
        )

    # -- opening and closing ---------------------------------------------------------------------

    @classmethod
    def open(cls, folder: Path, wanted: StoreManifest, read_only: bool, rebuild: bool) -> Engine:
        """Open the store in a folder, or make an empty one there; see `LabelStore.open`."""
        with ExitStack() as opening:
            try:
                lock = None if read_only else opening.enter_context(writer_lock(folder))
                state = Checkpoint.load(folder / CHECKPOINT)
                kept = recovery.mark_of(folder, state, wanted)
                lost = kept is not None and StoreManifest.read(folder) != kept
                mark = wanted.claim(folder, kept, read_only)
                engine = cls(folder, mark, lock)
                if lost:
                    engine.notes.append("store.json was damaged or lost, and was written again.")
                opening.callback(engine.journal.close)
                recovery.open_engine(engine, state, rebuild)
            except (OSError, ExportError) as error:
                raise LabelStoreError(f"Cannot open the labels in {folder}: {error}.") from error
            opening.pop_all()  # it stays open, and locked
        return engine

    def close(self) -> None:
        """Save what makes the next opening fast, and let others write."""
        with self.threads:
            if self.journal.closed:
                return
            if not self.read_only and not self._compacted() and self.debt:
                self.checkpoint()
            self._let_go()

    def compact(self, keep: int | None) -> Compaction:
        """Write the journal anew, and close; see `compaction.compact`."""
        with self.threads:
            self._require_writable()
            if self._steps is not None:
                raise LabelStoreError("Labels are not compacted while they are being edited.")
            self.chunks.publish()
            try:
                return compact(self, keep)
            except (OSError, ExportError) as error:
                raise LabelStoreError(f"Cannot compact {self.folder}: {error}.") from error
            finally:
                if self.journal.closed:
                    self._let_go()

    def _compacted(self) -> bool:
        """Whether a journal that has grown large, mostly with what was replaced, was made small."""
        if self.journal.end < COMPACT_AT or 2 * unreachable_bytes(self) < self.journal.end:
            return False
        try:
            self.compact(None)
        except LabelStoreError:
            return self.journal.closed  # it stays as large as it is
        return True

    def _let_go(self) -> None:
        self.journal.close()
        # a store is part of cycles, and the collector may come by much later
        self.chunks.forget()
        if self._writer is not None:
            self._writer.close()

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
            made.change = self._finish(record, self.history.target("undo"))

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
        self,
        op: str,
        info: Mapping[str, Any],
        keys: Iterable[Key],
        change: ChunkEdit,
        made: Iterable[PlaneId] = (),
    ) -> Change | None:
        """Change some chunks, as a group of one step or as a step of the group there is.

        Of objects in `made` the step becomes the provenance, though they were there before.
        """
        with self.group(op) as group:
            for key in keys:
                self._edit_chunk(key, change)
            self.step(op, info, made)
        return group.change

    def _edit_chunk(self, key: Key, change: ChunkEdit) -> None:
        box, before = self.chunks.box_of(key), self.chunks.read(0, key)
        on_slide = box.slices((box.r0, box.c0))
        inside = change(box, before[on_slide])
        if not np.array_equal(inside, before[on_slide]):
            after = before.copy()
            after[on_slide] = inside
            self.chunks.stage(0, key, after)
            self.measure([key])

    def step(self, op: str, info: Mapping[str, Any], made: Iterable[PlaneId] = ()) -> None:
        """End a step of a group: what is new, and what it made anew, is of this provenance."""
        assert self._steps is not None
        place = self.journal.end, len(self._steps)
        self.state.settle(*place)
        for plane, object_id in made:
            self.state.tables[plane].credit([object_id], *place)
        self._steps.append((op, dict(info)))

    def origin_of(self, plane: int, object_id: int) -> Origin:
        """What made an object, also one made by the group in hand."""
        meta = self.state.tables[plane].meta.get(object_id) or _NOBODY
        if self._steps is not None and meta.record == self.journal.end:
            return Origin(*self._steps[meta.step])
        try:
            return self.history.origin(meta.record, meta.step)
        except LabelStoreError:
            return NOBODY  # the object is there, only who made it is lost with a damaged record

    def _record_of(self, op: str) -> Record | None:
        """What the edits of the group amount to; None if everything is as before."""
        rows, sums, beside = [], [], self.state.changes()
        body = Body(self.chunks.staging)
        for key in self.chunks.staged_keys:
            patch = Patch.between(key, self.chunks.published(key), self.chunks.read(0, key))
            if patch is not None:
                body.add(patch.data)
                rows.append(patch.to_row())
                sums.append(self.chunks.staged_sum(key))
        if not rows and not is_change(beside):
            return None
        self.chunks.stage_pyramid()
        header = {
            "kind": "edit",
            "op": op,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "who": user_name(),
            "steps": self._steps,
            **beside,
            "patches": rows,
            "sums": sums,
        }
        return Record(header, long=body)

    # -- undo ------------------------------------------------------------------------------------

    def walk(self, kind: Walk) -> Change | None:
        """Take the last edit back, or do the one taken back last again; None if there is none."""
        with self.threads:
            self._require_writable()
            if self._steps is not None:
                raise LabelStoreError(f"There is no {kind} inside a group of edits.")
            target = self.history.target(kind)
            if target is None:
                return None
            record = self.journal.checked(target)
            with self._transaction():
                keys = self._apply(record, after=kind == "redo")
                self.measure(keys, known=True)
                self.chunks.stage_pyramid()
                self.history.add_walk(kind, [self.chunks.staged_sum(key) for key in keys])
            return self._finish(record, target)

    def _apply(self, record: Record, after: bool) -> list[Key]:
        """Bring the chunks to the state after, or before, a recorded edit; returns which."""
        keys = []
        for patch in self._patches(record):
            chunk = self.chunks.read(0, patch.key)
            self.chunks.stage(0, patch.key, patch.set_on(chunk, after))
            keys.append(patch.key)
        self.state.apply(record.header, after)
        return keys

    def _patches(self, record: Record) -> Iterator[Patch]:
        """The patches of a record, each read from the journal when it is its turn."""
        at = record.body_at
        for row in record.header["patches"]:
            key, box, size = read_row(row)
            yield Patch(key, Box(*box), self.journal.read_bytes(at, size))
            at += size

    def measure(self, keys: Iterable[Key], *, known: bool = False) -> None:
        """Bring the tables up to date with some chunks; `known` as for `LabelState.measure`."""
        for key in keys:
            self.state.measure(key, self.chunks.read(0, key), known=known)

    # -- transactions ----------------------------------------------------------------------------

    def _require_writable(self) -> None:
        if self.read_only:
            raise LabelStoreError(
                f"The labels in {self.folder} were opened to read only, so nothing was changed. "
                "Close them where they are being edited, and open them again."
            )
        if self.journal.closed:
            raise LabelStoreError(f"The labels in {self.folder} are closed.")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Take everything staged back if what is inside does not come to its end."""
        self.chunks.publish()
        self.state.begin()
        done = False
        try:
            yield
            done = True
        finally:
            self._steps = None
            if not done:
                self.chunks.discard()
                self.state.rollback()

    def _finish(self, record: Record | None, edit: int | None) -> Change | None:
        """After the record is on the disk: show its labels, and note where opening may start.

        Returns what changed, if anything did.
        """
        if record is None:
            self.chunks.discard()
            self.state.rollback()
            return None
        change = self._change_of(record, -1 if edit is None else edit)
        self.debt += max(1, len(record.header["patches"]))
        self.chunks.publish()
        if self.debt >= CHECKPOINT_EVERY:
            self.checkpoint()
        return change

    def _change_of(self, record: Record, edit: int) -> Change:
        boxes = []
        for key, box, _ in map(read_row, record.header["patches"]):
            chunk = self.chunks.box_of(key)
            boxes.append(Box(*box).shift(chunk.r0, chunk.c0))
        boxes = boxes or self.state.boxes(record.header) or [Box(0, 0, 1, 1)]
        return Change(union_of(boxes), record.header["op"], edit)

    def checkpoint(self) -> None:
        """Save the state; without room for it the next opening replays more.

        Chunks are seen through to the disk first, all at once: after every stroke would be slow.
        """
        if self.chunks.pending:
            return
        state = Checkpoint.of(self.mark, self.state, self.chunks.expected, self.history)
        try:
            self.chunks.sync()
            state.save(self.folder / CHECKPOINT)
        except (OSError, ExportError):
            return
        self.debt = 0


_NOBODY = Meta("", -1, 0)
