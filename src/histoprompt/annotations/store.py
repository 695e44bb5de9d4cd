"""The label store of a slide: labels on disk, every edit kept, undo without end.

Order of an edit: the new chunks are staged beside the arrays, the journal's record is written
through to the disk, the chunks are renamed into place. A process killed at any of these points
leaves a store that opens as before or as after the edit; a full disk is met in the first two
steps, before anything has changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray

from histoprompt.annotations.checkpoint import Checkpoint
from histoprompt.annotations.chunks import ChunkFiles, Key, Labels
from histoprompt.annotations.edits import ChunkEdit, Rule, components, cover, paste, relabel
from histoprompt.annotations.journal import Journal, Record
from histoprompt.annotations.lock import WriterLock
from histoprompt.annotations.objects import MAX_ID, ObjectRecord, ObjectTable, measure
from histoprompt.annotations.patch import Patch, split_body
from histoprompt.annotations.place import StoreMark
from histoprompt.core.errors import LabelStoreError, RegionError
from histoprompt.core.geometry import Box, Frame, union_of
from histoprompt.core.results import Mask

CHUNK = 512
CHECKPOINT_EVERY = 256
"""Chunks changed (at least one an edit) between two checkpoints: what opening may replay."""

SPLIT_LIMIT_PX = 2**26
_NO_INFO: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Change:
    """What an edit, an undo or a redo did.

    Attributes
    ----------
    box : Box
        The level-0 pixels that may look different now.
    op : str
        The edit's name: "paint", "commit", "merge" ...
    """

    box: Box
    op: str


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
    """

    op: str
    time: str
    steps: tuple[tuple[str, Mapping[str, Any]], ...]


class LabelStore:
    """The labels of one slide. Made by `open`; use it as a context manager or `close` it.

    Pixels are (row, col) on level 0; a label is an object's id, 0 is no object. Every edit is one
    record that `undo` takes back. Methods may be called from any thread, one at a time gets in.

    Attributes
    ----------
    folder : Path
        Where the store lies.
    shape : (rows, cols)
        Of level 0.
    read_only : bool
        Whether edits are refused.
    last_change : Change or None
        Of the last edit, undo or redo; None if that edit changed nothing.
    origin : (0, 0)
        Level-0 position of the first pixel: a store covers the whole slide.
    """

    origin = (0, 0)

    def __init__(self, folder: Path, mark: StoreMark, lock: WriterLock | None) -> None:
        self.folder, self.shape = folder, mark.shape
        self.read_only = lock is None
        self.last_change: Change | None = None
        self._writer = lock
        self._threads = threading.RLock()
        self._chunks = ChunkFiles(folder, mark.shape, mark.chunk)
        self._objects = ObjectTable()
        self._steps: list[tuple[str, Mapping[str, Any]]] | None = None
        self._undo: list[int] = []
        self._redo: list[int] = []
        self._debt = 0
        self._failed = False
        fresh = not self.read_only and self._chunks.create()
        self._journal = Journal(folder / "journal.bin", self.read_only)
        self._step_info = lru_cache(maxsize=256)(self._read_steps)
        try:
            self._recover(None if fresh else Checkpoint.load(folder / "checkpoint.npz"))
        except (LabelStoreError, OSError):
            self._journal.close()
            raise
        self._levels = self._chunks.open_levels()

    # -- opening and closing ---------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        folder: Path,
        shape: tuple[int, int],
        slide_key: str,
        *,
        read_only: bool = False,
        rebuild: bool = False,
        chunk: int = CHUNK,
    ) -> Self:
        """Open the store in a folder, or make an empty one there.

        Parameters
        ----------
        folder : Path
            Made if missing.
        shape : (rows, cols)
            Of the slide's level 0.
        slide_key : str
            `Slide.key`.
        read_only : bool
            Look at a store, also while another process writes to it; it must exist.
        rebuild : bool
            Make the arrays again from the journal.
        chunk : int
            Side of a chunk of a new store, even.

        Raises
        ------
        LabelStoreError
            If the folder belongs to another slide, is open for writing elsewhere, or cannot be
            read or written.
        """
        folder, shape = Path(folder), (int(shape[0]), int(shape[1]))
        lock = None
        try:
            if not read_only:
                folder.mkdir(parents=True, exist_ok=True)
                lock = WriterLock(folder)
            mark = _claim(folder, StoreMark(slide_key, shape, chunk), read_only)
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
        with self._threads:
            if self._journal.closed:
                return
            if self._debt and not self.read_only:
                self._checkpoint()
            self._journal.close()
            _release(self._writer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- reading ---------------------------------------------------------------------------------

    @property
    def box(self) -> Box:
        """The whole slide."""
        return Box.of_shape(self.shape)

    @property
    def levels(self) -> tuple[zarr.Array[Any], ...]:
        """The pyramid for display, finest first: lazy (rows, cols) uint32, nearest neighbour.

        Pixel (r, c) of level k is the level-0 pixel (r * 2**k, c * 2**k).
        """
        return self._levels

    def read(self, box: Box) -> NDArray[np.uint32]:
        """The labels of a level-0 rectangle, (h, w) uint32, to keep and to change.

        Raises
        ------
        RegionError
            If the box reaches outside the slide.
        LabelStoreError
            If the labels on disk are damaged.
        """
        box = self._inside(box)
        out = np.zeros(box.shape, np.uint32)
        with self._threads:
            for key in self._chunks.keys_in(box):
                chunk = self._chunks.box_of(key)
                part = chunk.intersection(box)
                if part is not None:
                    labels = self._chunks.read(0, key)
                    out[part.slices((box.r0, box.c0))] = labels[part.slices((chunk.r0, chunk.c0))]
        return out

    @property
    def count(self) -> int:
        """How many objects there are."""
        return len(self._objects)

    def ids(self) -> NDArray[np.uint32]:
        """The ids of all objects, ascending."""
        with self._threads:
            return self._objects.ids()

    def next_id(self) -> int:
        """The id the next new object gets: one that the present line of edits never used."""
        with self._threads:
            return self._objects.new_id()

    def box_of(self, object_id: int) -> Box | None:
        """The smallest level-0 box that holds an object; None if there is no such object."""
        with self._threads:
            return self._objects.box_of(int(object_id))

    def area_of(self, object_id: int) -> int:
        """The level-0 pixels of an object; 0 if there is no such object."""
        with self._threads:
            return self._objects.area_of(int(object_id))

    def class_of(self, object_id: int) -> str:
        """The class of an object, "" if it has none or does not exist."""
        meta = self._objects.meta.get(int(object_id))
        return "" if meta is None else meta.class_name

    def objects(self) -> list[ObjectRecord]:
        """All objects, ordered by id."""
        with self._threads:
            return [
                ObjectRecord(
                    int(row["id"]),
                    Box(int(row["r0"]), int(row["c0"]), int(row["r1"]), int(row["c1"])),
                    int(row["area"]),
                    self.class_of(row["id"]),
                    self._info_of(int(row["id"])),
                )
                for row in self._objects.measured()
            ]

    def filled_boxes(self) -> list[Box]:
        """The boxes of the chunks that hold labels, row by row; elsewhere the slide is empty."""
        with self._threads:
            return [self._chunks.box_of(key) for key in self._objects.filled()]

    @property
    def journal_bytes(self) -> int:
        """The size of the journal."""
        return self._journal.end

    def _info_of(self, object_id: int) -> Mapping[str, Any]:
        meta = self._objects.meta[object_id]
        if self._steps is not None and meta.record == self._journal.end:
            return self._steps[meta.step][1]
        return self._step_info(meta.record)[meta.step][1]

    def _read_steps(self, offset: int) -> list[tuple[str, Mapping[str, Any]]]:
        return [(op, info) for op, info in self._journal.read_header(offset)["steps"]]

    def _inside(self, box: Box) -> Box:
        box = box.to_pixels()
        if not self.box.covers(box):
            raise RegionError(
                f"Region {tuple(box)} reaches outside the labels, which have "
                f"{self.shape[0]} rows and {self.shape[1]} columns."
            )
        return box

    # -- edits -----------------------------------------------------------------------------------

    @contextmanager
    def group(self, op: str) -> Iterator[None]:
        """Make all edits inside one record; if anything raises, none of them was made.

        Parameters
        ----------
        op : str
            The record's name. A group inside a group belongs to the outer one.
        """
        with self._threads:
            if self._steps is not None:
                with self._part_of_group():
                    yield
                return
            self._require_writable()
            with self._transaction():
                self._steps, self._failed = [], False
                yield
                if self._failed:
                    raise LabelStoreError(f"An edit of {op!r} failed, so none of it was made.")
                record = self._record_of(op)
                if record is not None:
                    self._undo.append(self._journal.append(record))
                    self._redo.clear()
            self._finish(record)

    @contextmanager
    def _part_of_group(self) -> Iterator[None]:
        """Note a failure: what it left half staged must not become part of the record."""
        done = False
        try:
            yield
            done = True
        finally:
            self._failed |= not done

    def write(
        self,
        box: Box,
        labels: NDArray[np.integer[Any]],
        op: str = "paint",
        info: Mapping[str, Any] = _NO_INFO,
    ) -> Change | None:
        """Set a level-0 rectangle to new labels.

        Parameters
        ----------
        box : Box
            On the slide.
        labels : (h, w) of integers in 0 ... 2**32 - 1
            All labels of the box.
        op : str
            The edit's name.
        info : mapping
            Provenance, plain JSON: who or what model, prompt, score.

        Returns
        -------
        Change or None
            None if the labels were so already.

        Raises
        ------
        RegionError
            If the box reaches outside the slide.
        LabelStoreError
            If the labels do not fit the box, or the disk does not take them.
        """
        box = self._inside(box)
        values = _checked(labels, box)
        return self._edit(op, info, self._chunks.keys_in(box), paste(box, values))

    def commit(
        self,
        mask: Mask,
        rule: Rule = "keep",
        id: int | None = None,  # noqa: A002 - the word of everyone who uses labels
        info: Mapping[str, Any] = _NO_INFO,
    ) -> int:
        """Keep a mask as an object.

        Parameters
        ----------
        mask : Mask
            At any resolution; what lies beyond the slide is cut off.
        rule : "keep" or "overwrite"
            Whether objects that are there keep their pixels.
        id : int, optional
            Of the object the pixels are added to; a new one if not given.
        info : mapping
            Provenance of the object; `score` is taken from the mask if it is not given.

        Returns
        -------
        int
            The object's id; 0 if no pixel was left for it, and nothing was changed.

        Raises
        ------
        LabelStoreError
            If the rule is unknown, no id is left, or the disk does not take the labels.
        """
        if rule not in ("keep", "overwrite"):
            raise LabelStoreError(f"The rule is {rule!r}; it must be 'keep' or 'overwrite'.")
        with self._threads:
            object_id = self._objects.new_id() if id is None else _checked_id(id)
            here = mask.at_level0(self.box)
            if here.empty:
                self.last_change = None
                return 0
            if mask.score is not None:
                info = {"score": float(mask.score), **info}
            box = here.frame.box.to_pixels()
            edit = cover(box, here.array, object_id, rule)
            self._edit("commit", info, self._chunks.keys_in(box), edit)
            return object_id if object_id in self._objects else 0

    def merge(self, ids: Iterable[int], info: Mapping[str, Any] = _NO_INFO) -> int:
        """Make objects one, with the smallest of their ids and its class.

        Raises
        ------
        LabelStoreError
            If one of them does not exist.
        """
        with self._threads:
            wanted = self._existing(ids)
            keys = self._objects.keys_of(wanted[1:])
            self._edit("merge", info, keys, relabel(wanted[1:], wanted[0]))
            return wanted[0]

    def delete(self, ids: Iterable[int], info: Mapping[str, Any] = _NO_INFO) -> Change | None:
        """Remove objects.

        Raises
        ------
        LabelStoreError
            If one of them does not exist.
        """
        with self._threads:
            wanted = self._existing(ids)
            return self._edit("delete", info, self._objects.keys_of(wanted), relabel(wanted, 0))

    def clear(self, info: Mapping[str, Any] = _NO_INFO) -> Change | None:
        """Remove all objects."""
        with self._threads:
            return self._edit(
                "clear", info, self._objects.filled(), lambda _, before: np.zeros_like(before)
            )

    def split(
        self,
        id: int,  # noqa: A002
        along: Mask | None = None,
        info: Mapping[str, Any] = _NO_INFO,
    ) -> list[int]:
        """Make the pieces of an object objects of their own, of the same class.

        Parameters
        ----------
        id : int
            The object; its largest piece keeps the id. Diagonal neighbours are one piece.
        along : Mask, optional
            A line to cut along first; its pixels go to the nearest piece.
        info : mapping
            Provenance of the new objects.

        Returns
        -------
        list of int
            The ids of all pieces, from the largest; only `id` if there was nothing to split.

        Raises
        ------
        LabelStoreError
            If the object does not exist or its box is larger than 64 million pixels.
        """
        with self._threads:
            (object_id,) = self._existing([id])
            box = self._objects.box_of(object_id)
            assert box is not None
            if box.area > SPLIT_LIMIT_PX:
                raise LabelStoreError(
                    f"Object {object_id} spans {box.shape[0]} x {box.shape[1]} pixels; an object "
                    f"of at most {SPLIT_LIMIT_PX:,} pixels in its box can be split."
                )
            labels = self.read(box)
            mine = labels == object_id
            pieces = components(mine, _stamp(along, box))
            first = self._objects.new_id()
            ids = [object_id, *range(first, first + int(pieces.max()) - 1)]
            labels[mine] = np.array([0, *ids], np.uint32)[pieces[mine]]
            with self.group("split"):
                self.write(box, labels, "split", info)
                if len(ids) > 1 and self.class_of(object_id):
                    self.set_class(ids[1:], self.class_of(object_id))
            return ids

    def set_class(
        self, ids: Iterable[int], class_name: str, info: Mapping[str, Any] = _NO_INFO
    ) -> Change | None:
        """Say what objects are; "" takes the class away.

        Raises
        ------
        LabelStoreError
            If one of them does not exist.
        """
        with self._threads:
            wanted = self._existing(ids)
        with self.group("class"):
            for i in wanted:
                self._objects.set_meta(i, self._objects.meta[i]._replace(class_name=class_name))
            self._step("class", info)
        return self.last_change

    def _edit(
        self, op: str, info: Mapping[str, Any], keys: Iterable[Key], change: ChunkEdit
    ) -> Change | None:
        with self.group(op):
            for key in keys:
                box = self._chunks.box_of(key)
                before = self._chunks.read(0, key)
                rows, cols = box.shape
                inside = change(box, before[:rows, :cols])
                if not np.array_equal(inside, before[:rows, :cols]):
                    after = before.copy()
                    after[:rows, :cols] = inside
                    self._chunks.stage(0, key, after)
                    self._measure([key])
            self._step(op, info)
        return self.last_change

    def _step(self, op: str, info: Mapping[str, Any]) -> None:
        assert self._steps is not None
        self._objects.settle(self._journal.end, len(self._steps))
        self._steps.append((op, dict(info)))

    def _record_of(self, op: str) -> Record | None:
        """What the edits of the group amount to; None if everything is as before."""
        patches = [
            patch
            for key in self._chunks.staged_keys
            if (patch := Patch.between(key, self._chunks.published(key), self._chunks.read(0, key)))
        ]
        objects = self._objects.meta_changes()
        if not patches and not objects["ids"]:
            return None
        self._chunks.stage_pyramid()
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

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit taken back that can be done again."""
        return bool(self._redo)

    def undo(self) -> Change | None:
        """Take the last edit back; None if there is none.

        Raises
        ------
        LabelStoreError
            If the journal is damaged there, or the disk does not take the labels.
        """
        return self._walk("undo", self._undo, self._redo)

    def redo(self) -> Change | None:
        """Do the edit taken back last again; None if there is none.

        Raises
        ------
        LabelStoreError
            If the journal is damaged there, or the disk does not take the labels.
        """
        return self._walk("redo", self._redo, self._undo)

    def history(self) -> list[HistoryEntry]:
        """The edits in force, oldest first."""
        with self._threads:
            headers = [self._journal.read_header(offset) for offset in self._undo]
        return [
            HistoryEntry(h["op"], h["time"], tuple((op, info) for op, info in h["steps"]))
            for h in headers
        ]

    def _walk(self, kind: str, source: list[int], target: list[int]) -> Change | None:
        with self._threads:
            self._require_writable()
            if self._steps is not None:
                raise LabelStoreError(f"There is no {kind} inside a group of edits.")
            if not source:
                self.last_change = None
                return None
            record = self._journal.read(source[-1])
            with self._transaction():
                self._measure(self._apply(record, after=kind == "redo"))
                self._chunks.stage_pyramid()
                self._journal.append(Record({"kind": kind, "target": source[-1]}))
            target.append(source.pop())
            self._finish(record)
            return self.last_change

    def _apply(self, record: Record, after: bool) -> set[Key]:
        """Bring the chunks to the state after, or before, a recorded edit; returns which."""
        patches = split_body(record.header["patches"], record.body)
        if not self.read_only:  # for a reader the writer has done it
            for patch in patches:
                chunk = self._chunks.read(0, patch.key)
                self._chunks.stage(0, patch.key, patch.set_on(chunk, after))
        self._objects.apply_meta(record.header["objects"], after)
        return {patch.key for patch in patches}

    def _measure(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._objects.set_cells(key, measure(key, self._chunks.read(0, key)))

    # -- transactions ----------------------------------------------------------------------------

    def _require_writable(self) -> None:
        if self.read_only:
            raise LabelStoreError(f"The labels in {self.folder} were opened to read only.")
        if self._journal.closed:
            raise LabelStoreError(f"The labels in {self.folder} are closed.")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Take everything staged back if what is inside does not come to its end."""
        self._chunks.publish()
        self._objects.begin()
        done = False
        try:
            yield
            done = True
        finally:
            self._steps = None
            if not done:
                self._chunks.discard()
                self._objects.rollback()

    def _finish(self, record: Record | None) -> None:
        """After the record is on the disk: show its labels, and note where opening may start."""
        if record is None:
            self.last_change = None
            self._chunks.discard()
            self._objects.rollback()
            return
        self.last_change = self._change_of(record)
        self._debt += max(1, len(record.header["patches"]))
        self._chunks.publish()
        if self._debt >= CHECKPOINT_EVERY:
            self._checkpoint()

    def _change_of(self, record: Record) -> Change:
        boxes = []
        for patch in split_body(record.header["patches"], b""):
            chunk = self._chunks.box_of(patch.key)
            boxes.append(patch.box.shift(chunk.r0, chunk.c0))
        if not boxes:
            found = map(self._objects.box_of, record.header["objects"]["ids"])
            boxes = [box for box in found if box is not None]
        return Change(union_of(boxes), record.header["op"])

    def _existing(self, ids: Iterable[int]) -> list[int]:
        wanted = sorted({int(i) for i in ids})
        missing = [i for i in wanted if i not in self._objects]
        if missing or not wanted:
            named = ", ".join(map(str, missing[:10])) or "none was named"
            raise LabelStoreError(f"There is no such object among the {self.count}: {named}.")
        return wanted

    # -- recovery --------------------------------------------------------------------------------

    def _checkpoint(self) -> None:
        """Save the state of the table; without room for it the next opening replays more."""
        if self._chunks.pending:
            return
        state = Checkpoint.of(self._objects, self._journal.end, self._undo, self._redo)
        try:
            state.save(self.folder / "checkpoint.npz")
        except OSError:
            return
        self._debt = 0

    def _recover(self, state: Checkpoint | None) -> None:
        """Take a checkpoint and replay what the journal has beyond it, or all of it."""
        start = 0
        if state is not None:
            if state.applied > self._journal.end:
                raise LabelStoreError(
                    f"The journal in {self.folder} has {self._journal.end} bytes; it had "
                    f"{state.applied}. Put the whole file back, or open the store with "
                    "rebuild=True to go on from what is left."
                )
            self._objects.load(state.cells, state.meta, state.next_id)
            self._undo, self._redo, start = state.undo, state.redo, state.applied
        touched: set[Key] = set()
        for offset, record in self._journal.records(start):
            touched |= self._replay(offset, record)
        self._measure(touched)
        self._objects.begin()
        self._chunks.stage_pyramid(whole=True)
        self._chunks.publish()
        tail = self._journal.torn_tail()
        if tail and not self.read_only:
            (self.folder / "journal.cut").write_bytes(tail)
            self._journal.cut(self._journal.end)

    def _replay(self, offset: int, record: Record) -> set[Key]:
        walks: dict[str, Callable[[], tuple[int, bool]]] = {
            "undo": lambda: (_move(self._undo, self._redo), False),
            "redo": lambda: (_move(self._redo, self._undo), True),
        }
        walk = walks.get(record.header["kind"])
        if walk is None:
            self._redo.clear()
            self._undo.append(offset)
            edit, after = record, True
        else:
            target, after = walk()
            edit = self._journal.read(target)
        self._debt += max(1, len(edit.header["patches"]))
        return self._apply(edit, after)


def _move(source: list[int], target: list[int]) -> int:
    target.append(source.pop())
    return target[-1]


def _claim(folder: Path, wanted: StoreMark, read_only: bool) -> StoreMark:
    """The mark of the folder, checked; a new store's mark is written."""
    mark = StoreMark.read(folder)
    if mark is not None:
        mark.check(folder, wanted.shape, wanted.slide_key)
        return mark
    if read_only:
        raise LabelStoreError(f"There are no labels in {folder} to read.")
    if min(wanted.shape) < 1 or wanted.chunk < 2 or wanted.chunk % 2:
        raise LabelStoreError(
            f"No labels can be kept for an image of {wanted.shape} pixels in chunks of "
            f"{wanted.chunk}: sizes must be positive and the chunk even."
        )
    wanted.write(folder)
    return wanted


def _release(lock: WriterLock | None) -> None:
    if lock is not None:
        lock.release()


def _checked(labels: NDArray[np.integer[Any]], box: Box) -> Labels:
    values = np.asarray(labels)
    if values.shape != box.shape or not (
        np.issubdtype(values.dtype, np.integer) or values.dtype == bool
    ):
        raise LabelStoreError(
            f"Labels of shape {values.shape} and type {values.dtype} do not fit region "
            f"{tuple(box)}: they must be integers of shape {box.shape}."
        )
    if values.size and (int(values.min()) < 0 or int(values.max()) > MAX_ID):
        raise LabelStoreError(
            f"Labels go from {values.min()} to {values.max()}; they must lie in 0 ... {MAX_ID}."
        )
    return values.astype(np.uint32)


def _checked_id(object_id: int) -> int:
    if not 1 <= int(object_id) <= MAX_ID:
        raise LabelStoreError(f"Object id {object_id} must lie in 1 ... {MAX_ID}.")
    return int(object_id)


def _stamp(mask: Mask | None, box: Box) -> NDArray[np.bool_]:
    """The part of a mask over a level-0 box, (h, w) bool."""
    out = np.zeros(box.shape, bool)
    if mask is not None:
        here = mask.at_level0(box)
        frame: Frame = here.frame
        out[frame.box.slices((box.r0, box.c0))] = here.array
    return out
