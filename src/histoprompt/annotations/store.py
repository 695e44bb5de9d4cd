"""The label store of a slide: labels on disk, every edit kept, undo without end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.arguments import check_rule, checked_id, checked_labels
from histoprompt.annotations.checkpoint import Checkpoint
from histoprompt.annotations.class_list import ObjectClass, checked_list
from histoprompt.annotations.compaction import Compaction
from histoprompt.annotations.edits import Rule, components, cover, paste, relabel, stamp
from histoprompt.annotations.engine import Engine, Group
from histoprompt.annotations.history import Change, HistoryEntry
from histoprompt.annotations.moving import move
from histoprompt.annotations.place import CHECKPOINT, StoreManifest, store_folder
from histoprompt.annotations.planes import PLANES, Plane
from histoprompt.annotations.reading import LabelReader
from histoprompt.annotations.recovery import take_back
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Box
from histoprompt.core.results import Mask
from histoprompt.core.slides.slide import Slide

__all__ = ["CHUNK", "SPLIT_LIMIT_PX", "Change", "HistoryEntry", "LabelStore"]

CHUNK = 512
SPLIT_LIMIT_PX = 2**26
_NO_INFO: Mapping[str, Any] = {}
_NO_NAMES: Mapping[str, str] = {}


class LabelStore(LabelReader):
    """The labels of one slide. Made by `open`; use it as a context manager or `close` it.

    Every edit is one record that `undo` takes back, on whichever plane it was made.
    """

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

        What is damaged is made again from the journal, and told in `notes`.

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
            Make the arrays again from the journal; those that were there are kept aside.
        chunk : int
            Side of a chunk of a new store, even.

        Raises
        ------
        StoreInUseError
            If it is open for writing elsewhere; it can be opened to read only.
        LabelStoreError
            If the folder belongs to another slide, or cannot be read or written.
        """
        mark = StoreManifest(slide_key, (int(shape[0]), int(shape[1])), chunk)
        return cls(Engine.open(Path(folder), mark, read_only, rebuild))

    @classmethod
    def of(
        cls, slide: Slide, name: str = "labels", *, read_only: bool = False, rebuild: bool = False
    ) -> Self:
        """Open the store of a slide where the stores of all slides lie; raises as `open` does.

        Parameters
        ----------
        slide : Slide
        name : str
            Of the store, as for `store_folder`.
        read_only, rebuild : bool
            As for `open`.
        """
        folder = store_folder(slide.key, name)
        return cls.open(folder, slide.shape, slide.key, read_only=read_only, rebuild=rebuild)

    # -- edits -----------------------------------------------------------------------------------

    def group(self, op: str) -> AbstractContextManager[Group]:
        """Make all edits inside one record; if anything raises, none of them was made.

        What they changed is the `change` of what the context gives, once it has ended.

        Parameters
        ----------
        op : str
            The record's name. A group inside a group belongs to the outer one.
        """
        return self._engine.group(op)

    def write(
        self,
        box: Box,
        labels: NDArray[np.integer[Any]],
        op: str = "paint",
        info: Mapping[str, Any] = _NO_INFO,
        made: Iterable[int] = (),
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
        made : iterable of int
            Objects that were there before and are of this provenance from now on; new ones are in
            any case.

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
        box = self._engine.chunks.inside(box)
        values = checked_labels(labels, box)
        keys = self._engine.chunks.keys_in(box, self._at)
        return self._engine.edit(op, info, keys, paste(box, values), self._placed(made))

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
            The object's id; 0 if it has no pixel, neither from before nor of the mask.

        Raises
        ------
        LabelStoreError
            If the rule is unknown, no id is left, or the disk does not take the labels.
        """
        check_rule(rule)
        with self._engine.threads:
            object_id = self._table.new_id() if id is None else checked_id(id)
            here = mask.at_level0(self.box)
            if not here.empty:
                if mask.score is not None:
                    info = {"score": float(mask.score), **info}
                box = here.frame.box.to_pixels()
                edit = cover(box, here.array, object_id, rule)
                self._engine.edit("commit", info, self._engine.chunks.keys_in(box, self._at), edit)
            return object_id if object_id in self._table else 0

    def merge(self, ids: Iterable[int], info: Mapping[str, Any] = _NO_INFO) -> int:
        """Make objects one, with the smallest of their ids and its class.

        Raises
        ------
        LabelStoreError
            If one of them does not exist.
        """
        with self._engine.threads:
            wanted = self._table.existing(ids)
            keys = self._table.keys_of(wanted[1:])
            self._engine.edit("merge", info, keys, relabel(wanted[1:], wanted[0]))
            return wanted[0]

    def delete(self, ids: Iterable[int], info: Mapping[str, Any] = _NO_INFO) -> Change | None:
        """Remove objects. Raises as `merge` does."""
        with self._engine.threads:
            wanted = self._table.existing(ids)
            keys = self._table.keys_of(wanted)
            return self._engine.edit("delete", info, keys, relabel(wanted, 0))

    def clear(self, info: Mapping[str, Any] = _NO_INFO) -> Change | None:
        """Remove all objects of this plane."""
        with self._engine.threads:
            keys = self._table.filled()
            return self._engine.edit("clear", info, keys, lambda _, before: np.zeros_like(before))

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
        with self._engine.threads:
            (object_id,) = self._table.existing([id])
            box = self._table.box_of(object_id)
            assert box is not None
            if box.area > SPLIT_LIMIT_PX:
                raise LabelStoreError(
                    f"Object {object_id} spans {box.shape[0]} x {box.shape[1]} pixels; an object "
                    f"of at most {SPLIT_LIMIT_PX:,} pixels in its box can be split."
                )
            labels = self.read(box)
            mine = labels == object_id
            pieces = components(mine, stamp(along, box))
            first = self._table.new_id()
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
        """Say what objects are; "" takes the class away. Raises as `merge` does."""
        with self._engine.threads:
            wanted = self._table.existing(ids)
            with self.group("class") as made:
                self._table.set_class(wanted, class_name)
                self._engine.state.know(class_name)
                self._engine.step("class", info)
            return made.change

    def set_info(
        self, ids: Iterable[int], info: Mapping[str, Any], op: str = "info"
    ) -> Change | None:
        """Give objects another provenance, in place of what they had.

        Inside a group it belongs to the edit, and is taken back with it.

        Parameters
        ----------
        ids : iterable of int
        info : mapping
            Plain JSON.
        op : str
            The edit's name.

        Raises
        ------
        LabelStoreError
            If one of them does not exist.
        """
        with self._engine.threads:
            wanted = self._placed(self._table.existing(ids))
            with self.group(op) as made:
                self._engine.step(op, info, wanted)
            return made.change

    def _placed(self, ids: Iterable[int]) -> list[tuple[int, int]]:
        return [(self._at, int(i)) for i in ids]

    def move(
        self, ids: Iterable[int], plane: Plane, info: Mapping[str, Any] = _NO_INFO
    ) -> dict[int, int]:
        """Move objects to another plane: a region becomes an object, or the other way round.

        Parameters
        ----------
        ids : iterable of int
        plane : "objects" or "regions"
            Pixels that others have there stay theirs.
        info : mapping
            Added to the provenance of each.

        Returns
        -------
        dict of int to int
            The id each has there, which is a new one; 0 if others have all of its pixels.

        Raises
        ------
        LabelStoreError
            If one of them does not exist, or the plane is this one.
        """
        if plane == self.plane or plane not in PLANES:
            raise LabelStoreError(f"Objects of the plane {self.plane!r} cannot move to {plane!r}.")
        with self._engine.threads:
            return move(
                self._engine, self._table.existing(ids), (self._at, PLANES.index(plane)), info
            )

    def set_class_list(
        self, classes: Iterable[ObjectClass], renamed: Mapping[str, str] = _NO_NAMES
    ) -> Change | None:
        """Choose the classes of the slide: their order, names and colours, as one edit.

        Parameters
        ----------
        classes : iterable of ObjectClass
            Objects of a class that is not among them keep it.
        renamed : mapping of str to str
            Classes whose objects and regions, on both planes, get another one; "" takes it away.

        Raises
        ------
        LabelStoreError
            If a name is no name or there twice, or a colour is none.
        """
        wanted = checked_list(classes)
        with self._engine.threads:
            with self.group("classes") as made:
                self._engine.state.rename(renamed)
                self._engine.state.classes = wanted
                self._engine.state.know_all()
                self._engine.step("classes", _NO_INFO)
            return made.change

    def restore(self, place: Path) -> int:
        """Bring labels that were kept aside when the store mended itself back, as one edit.

        Parameters
        ----------
        place : Path
            A folder ``replaced-1``, ``-2`` ... of the store.

        Returns
        -------
        int
            How many objects and regions there are then.

        Raises
        ------
        LabelStoreError
            If no whole labels are kept there, or the disk does not take them.
        """
        state = Checkpoint.load(place / CHECKPOINT)
        if state is None:
            raise LabelStoreError(f"{place} does not hold all labels of an earlier state.")
        state.mark.check(place, self.shape, self._engine.mark.slide_key)
        return take_back(self._engine, place, state)

    def compact(self, keep_edits: int | None = None) -> Compaction:
        """Write the journal anew without edits that nobody can reach any more; closes the store.

        Labels, classes and who made what stay as they are.

        Parameters
        ----------
        keep_edits : int, optional
            How many of the last edits can be undone afterwards; older ones are given up. All of
            them if not given.

        Raises
        ------
        LabelStoreError
            If an edit to keep is damaged, or the disk does not take the new journal.
        """
        return self._engine.compact(keep_edits)

    # -- undo ------------------------------------------------------------------------------------

    def undo(self) -> Change | None:
        """Take the last edit back; None if there is none.

        Raises
        ------
        LabelStoreError
            If the journal is damaged there, or the disk does not take the labels.
        """
        return self._engine.walk("undo")

    def redo(self) -> Change | None:
        """Do the edit taken back last again; None if there is none. Raises as `undo` does."""
        return self._engine.walk("redo")

    def undo_if_last(self, edit: int) -> Change | None:
        """Take an edit back if it is the last in force; None, and nothing done, if it is not.

        Parameters
        ----------
        edit : int
            `Change.edit` of what made it.

        Raises
        ------
        LabelStoreError
            As for `undo`.
        """
        with self._engine.threads:
            return self.undo() if self._engine.history.target("undo") == edit else None

    def redo_if_next(self, edit: int) -> Change | None:
        """Do an edit again if it is the one taken back last; None, and nothing done, if not.

        Parameters as for `undo_if_last`; raises as it does.
        """
        with self._engine.threads:
            return self.redo() if self._engine.history.target("redo") == edit else None
