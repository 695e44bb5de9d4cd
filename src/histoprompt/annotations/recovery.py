"""Opening a store: what its files disagree on is decided by the journal, and told.

A checkpoint says what every chunk file should be; the records behind it say what became of those
they changed. A file that is in none of these states is damaged, or later than the journal: it is
kept aside, and the chunk is made again from the journal.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from histoprompt.annotations.arrays import described
from histoprompt.annotations.aside import free_name
from histoprompt.annotations.checkpoint import Checkpoint
from histoprompt.annotations.chunks import ChunkFiles, Labels, set_sum
from histoprompt.annotations.compaction import NEW_JOURNAL
from histoprompt.annotations.place import CHECKPOINT, JOURNAL, StoreManifest
from histoprompt.annotations.planes import ARRAYS, Key, Name, above
from histoprompt.annotations.replay import Memory, Moves, add_moves, play
from histoprompt.annotations.sums import UNKNOWN, Sum
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.geometry import Box
from histoprompt.core.strings.wording import many

if TYPE_CHECKING:
    from histoprompt.annotations.engine import Engine

# Up to so many bytes and files all are read when a store is opened; of larger stores only sizes
# are compared, and the content of a chunk when it is first read.
READ_AT_ONCE, FILES_AT_ONCE = 32 * 2**20, 1024


def mark_of(folder: Path, state: Checkpoint | None, wanted: StoreManifest) -> StoreManifest | None:
    """What a store is of, from other files than its mark; None if nothing tells."""
    if state is not None:
        return state.mark
    if StoreManifest.read(folder) is not None:
        return None
    found = described(folder)
    if found is not None:
        return StoreManifest(wanted.slide_key, *found)
    journal = folder / JOURNAL
    return wanted if journal.exists() and journal.stat().st_size else None


def open_engine(engine: Engine, state: Checkpoint | None, rebuild: bool) -> None:
    """Bring all parts of a store to the state the journal tells of.

    Parameters
    ----------
    engine : Engine
        Its files are open, its table is empty.
    state : Checkpoint or None
    rebuild : bool
        Believe nothing but the journal.

    Raises
    ------
    LabelStoreError, OSError, ExportError
        If the files cannot be read or written.
    """
    if not engine.read_only:
        (engine.folder / NEW_JOURNAL).unlink(missing_ok=True)  # of a compaction that was killed
    size = engine.journal.end
    lost = state if state is not None and state.applied > size else None
    if lost is not None and engine.read_only:
        raise LabelStoreError(
            f"The journal in {engine.folder} has {engine.journal.end} bytes; it had "
            f"{lost.applied}. Open the labels for editing once: they mend themselves."
        )
    if (rebuild or lost is not None) and not engine.read_only:
        for name in (CHECKPOINT, *ARRAYS):
            engine.aside.keep(engine.folder / name)
        state = None
        engine.debt = 1
    _Opening(engine, state).run()
    if lost is not None:
        _tell_lost(engine, lost, size)
    elif rebuild:
        _tell_rebuilt(engine)


def take_back(engine: Engine, place: Path, state: Checkpoint) -> int:
    """Bring labels that were kept aside back, as one edit; returns how many objects there are.

    Parameters
    ----------
    engine : Engine
    place : Path
        A folder ``replaced-1``, ``-2`` ... with arrays.
    state : Checkpoint
        Of those labels.

    Raises
    ------
    LabelStoreError
        If the disk does not take the labels.
    """
    side = engine.mark.chunk
    old = ChunkFiles(place, engine.shape, side, None)
    old.expected = dict(state.sums)

    def change(plane: int, box: Box, before: Labels) -> Labels:
        try:
            labels = old.read(0, (plane, int(box.r0) // side, int(box.c0) // side))
        except LabelStoreError:
            return before  # damaged as well
        return labels[: before.shape[0], : before.shape[1]]

    keys = {name[1:] for name in state.sums if name[0] == 0} | set(engine.state.filled())
    with engine.threads, engine.group("recovered"):
        for plane, table in enumerate(engine.state.tables):
            mine = sorted(key for key in keys if key[0] == plane)
            engine.edit("recovered", {"from": place.name}, mine, partial(change, plane))
            known = state.planes[plane].meta
            for name in known.names:
                ids = known.of_classes([name] if name else []).tolist()
                table.set_class([i for i in ids if i in table], name)
        engine.state.classes = state.classes or engine.state.classes
    return sum(map(len, engine.state.tables))


def _tell_lost(engine: Engine, lost: Checkpoint, size: int) -> None:
    """Say that the journal is shorter than it was; where there is none, use the arrays."""
    place = engine.aside.place
    assert place is not None, "the checkpoint is kept there at least"
    told = f"The journal of these labels has {size} bytes, and had {lost.applied}"
    if size == 0:
        count = take_back(engine, place, lost)
        engine.notes.append(
            f"{told}. The {count:,} objects were taken from the arrays as one edit; what was done "
            "before cannot be undone singly."
        )
        return
    engine.notes.append(
        f"{told}: the edits behind that are gone, and the labels were made again from the rest. "
        f"As they were before they are kept in {place} and can be restored."
    )


def _tell_rebuilt(engine: Engine) -> None:
    """Say what became of a wanted rebuild; equal copies are not kept."""
    place, chunks = engine.aside.place, engine.chunks
    same = True
    if place is not None:
        old = dict(ChunkFiles(place, engine.shape, chunks.chunk, None).on_disk(sums=True))
        finest = {name: there for name, there in chunks.expected.items() if name[0] == 0}
        same = {name: there for name, there in old.items() if name[0] == 0} == finest
    if same and place is not None:
        shutil.rmtree(place, ignore_errors=True)
    engine.notes.append(
        "The labels were made again from the journal; "
        + ("nothing was different." if same else f"what was there is kept in {place}.")
    )


class _Opening:
    """One opening of a store."""

    def __init__(self, engine: Engine, state: Checkpoint | None) -> None:
        self.engine, self.state = engine, state
        self.memory = Memory(engine.journal)
        self.mended: list[Key] = []
        self.short: set[Key] = set()
        self.moves: Moves = {}

    def run(self) -> None:
        engine, chunks = self.engine, self.engine.chunks
        chunks.mend = self.mend
        if not engine.read_only and chunks.create():
            engine.notes.append("The description of the arrays was damaged and was written again.")
        start = self._take_checkpoint()
        self._take_records(start)
        if engine.read_only:
            self._expect_moved()
        else:
            self._carry_out()
            self._compare()
        self._measure()
        if not engine.read_only:
            self._cut_tail()
            chunks.mend = self.mend_later
        self._tell()

    def _take_checkpoint(self) -> int:
        """Start from the saved state; returns where in the journal to go on."""
        if self.state is None:
            return 0
        state, engine = self.state, self.engine
        for table, known in zip(engine.state.tables, state.planes, strict=True):
            table.load(known.cells, known.meta, known.next_id)
        engine.state.classes = state.classes
        engine.history.undo, engine.history.redo = state.undo, state.redo
        engine.chunks.expected = dict(state.sums)
        return state.applied

    def _take_records(self, start: int) -> None:
        """Take the records behind the checkpoint: stacks, classes, and what became of chunks."""
        engine = self.engine
        for offset, record in engine.journal.records(start, bodies=False):
            edit, in_force = engine.history.replay(offset, record)
            add_moves(self.moves, record, edit, in_force)
            engine.state.apply(edit.header, in_force)
            engine.debt += max(1, len(edit.header["patches"]))

    def _expect_moved(self) -> None:
        """For a reader: what the writer's files may be at this moment, or not be yet."""
        chunks, keys = self.engine.chunks, set(self.moves)
        for key, moves in self.moves.items():
            set_sum(chunks.expected, (0, *key), moves[-1].sum)
        for level in range(1, len(chunks.shapes)):
            keys = set(map(above, keys))
            chunks.expected.update({(level, *key): UNKNOWN for key in keys})

    def _carry_out(self) -> None:
        """Bring every chunk those records changed to where the last of them left it."""
        chunks = self.engine.chunks
        for key, moves in self.moves.items():
            name: Name = (0, *key)
            sums = [chunks.expected.get(name), *(move.sum for move in moves)]
            there, array = chunks.found(key)
            known = [n for n, wanted in enumerate(sums) if wanted == there]
            if array is None or not known:
                self._make_again(key, sums[-1])
                continue
            set_sum(chunks.expected, name, there)
            if known[-1] < len(moves):
                chunks.stage(0, key, play(self.engine.journal, moves[known[-1] :], array))
                chunks.publish()
        self._redo_display(set(self.moves))

    def _redo_display(self, keys: set[Key]) -> None:
        """Make the display chunks over some chunks again: a kill may have come before them."""
        chunks = self.engine.chunks
        for level in range(1, len(chunks.shapes)):
            keys = set(map(above, keys))
            for key in keys:
                chunks.stage(level, key, chunks.parent(level, key))
            chunks.publish()

    def _compare(self) -> None:
        """Compare all other files with what they should be."""
        chunks = self.engine.chunks
        sizes = [size for size, _ in chunks.expected.values()]
        small = sum(sizes) <= READ_AT_ONCE and len(sizes) <= FILES_AT_ONCE
        there = dict(chunks.on_disk(sums=small))
        wrong = {
            name
            for name in chunks.expected.keys() | there.keys()
            if _differ(chunks.expected.get(name), there.get(name), small)
        }
        for name in sorted(wrong):  # the finest level first: the others are made from it
            level, key = name[0], name[1:]
            if level == 0:
                self._make_again(key, chunks.expected.get(name))
            else:
                chunks.put(name, chunks.parent(level, key))
        self.engine.debt += len(wrong)
        if self.short:
            self._redo_display(self.short)

    def _make_again(self, key: Key, wanted: Sum | None) -> None:
        """Put a chunk of level 0 right from the journal, unless it is right already."""
        chunks, name = self.engine.chunks, (0, *key)
        there, array = chunks.found(key)
        made = self.mend(key)
        if array is not None and np.array_equal(array, made):
            set_sum(chunks.expected, name, there)
            self.mended.pop()
        else:
            chunks.put(name, made)
        if not self.memory.whole and chunks.expected.get(name) != wanted:
            self.short.add(key)

    def mend(self, key: Key) -> Labels:
        """A chunk made again from the journal alone."""
        chunks, moves = self.engine.chunks, self.memory.of(key)
        empty = np.zeros((chunks.chunk, chunks.chunk), np.uint32)
        self.mended.append(key)
        return play(self.engine.journal, moves, empty)

    def mend_later(self, key: Key) -> Labels:
        """The same after opening."""
        array = self.mend(key)
        self.engine.debt += 1
        self._tell()
        return array

    def _measure(self) -> None:
        """Bring the table up to date, also with what could not be made again whole."""
        engine = self.engine
        engine.measure(self.moves)
        engine.measure(self.short)
        if self.short:
            engine.state.settle(-1, 0)
        engine.state.know_all()
        engine.state.begin()

    def _cut_tail(self) -> None:
        """Take what is no whole record off the journal's end."""
        engine = self.engine
        tail = engine.journal.torn_tail()
        if not tail:
            return
        kept = free_name(engine.folder, "journal.cut")
        replace_file(kept, tail)
        end = engine.journal.end
        whole = sum(r is not None for r in engine.journal.salvage(end, end + len(tail)))
        engine.journal.cut(end)
        behind = f" with {many(whole, 'whole edit')} behind the damage" if whole else ""
        engine.notes.append(
            f"The journal was damaged or not finished from byte {end} on: what "
            f"was done before is there. The rest{behind} was cut off and is kept in {kept}."
        )

    def _tell(self) -> None:
        if not self.mended or self.engine.read_only:
            self.mended.clear()
            return
        where = self.engine.aside.place
        kept = f" What was there is kept in {where}." if where is not None else ""
        side = self.engine.chunks.chunk
        self.engine.notes.append(
            f"Made again from the journal: {many(len(self.mended), 'part')} of the labels, of "
            f"{side} x {side} pixels, that did not fit it or could not be read.{kept}"
        )
        if self.short:
            self.engine.notes.append(
                f"The journal is damaged as well: edits are missing in {len(self.short)} of "
                f"{many(len(self.mended), 'part')}."
            )
        self.mended.clear()
        self.short.clear()


def _differ(wanted: Sum | None, there: Sum | None, sums: bool) -> bool:
    if sums or wanted is None or there is None:
        return wanted != there
    return wanted[0] != there[0]
