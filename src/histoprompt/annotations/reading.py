"""What a label store can be asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.class_list import ObjectClass
from histoprompt.annotations.engine import Engine
from histoprompt.annotations.hierarchy import parents_of
from histoprompt.annotations.history import HistoryEntry, Origin
from histoprompt.annotations.listing import ObjectColumns, columns_of
from histoprompt.annotations.objects import ObjectRecord, ObjectTable
from histoprompt.annotations.planes import PLANES, Plane
from histoprompt.annotations.verify import StoreVerification, verify
from histoprompt.annotations.views import LevelView
from histoprompt.core.files.closing import Closing
from histoprompt.core.geometry import Box
from histoprompt.core.labels.names_of import NamesOf


class LabelReader(Closing):
    """The labels of one slide on one of its two planes, to look at.

    Pixels are (row, col) on level 0; a label is an object's id, 0 is no object. Methods may be
    called from any thread, one at a time gets in.

    Attributes
    ----------
    plane : "objects" or "regions"
        Which labels this is about. The planes share journal and undo, and number theirs apart.
    folder : Path
        Where the store lies.
    shape : (rows, cols)
        Of level 0.
    read_only : bool
        Whether edits are refused.
    notes : list of str
        What was damaged and mended, for the person to read; most often empty.
    origin : (0, 0)
        Level-0 position of the first pixel: a store covers the whole slide.
    """

    origin = (0, 0)

    def __init__(self, engine: Engine, plane: Plane = "objects") -> None:
        self.folder, self.shape = engine.folder, engine.shape
        self.read_only = engine.read_only
        self.notes = engine.notes
        self._engine, self.plane = engine, plane
        self._at = PLANES.index(plane)

    def on(self, plane: Plane) -> Self:
        """The same store on one of its planes: one journal, one undo, one `close` for both."""
        return type(self)(self._engine, plane)

    def verify(self) -> StoreVerification:
        """Read every file and compare it with what it should be; nothing is changed."""
        with self._engine.threads:
            return verify(self._engine)

    def close(self) -> None:
        """Save what makes the next opening fast, and let others write."""
        self._engine.close()

    # -- pixels ----------------------------------------------------------------------------------

    @property
    def box(self) -> Box:
        """The whole slide."""
        return Box.of_shape(self.shape)

    @property
    def levels(self) -> tuple[LevelView, ...]:
        """The pyramid for display, finest first: lazy (rows, cols) uint32, nearest neighbour.

        Pixel (r, c) of level k is the level-0 pixel (r * 2**k, c * 2**k).
        """
        return self._engine.levels[self._at]

    def read(self, box: Box) -> NDArray[np.uint32]:
        """The labels of a level-0 rectangle, (h, w) uint32, to keep and to change.

        Raises
        ------
        RegionError
            If the box reaches outside the slide.
        LabelStoreError
            If the labels on disk are damaged.
        """
        chunks = self._engine.chunks
        box = chunks.inside(box)
        with self._engine.threads:
            rows, cols = (int(box.r0), int(box.r1)), (int(box.c0), int(box.c1))
            return chunks.block(0, rows, cols, self._at)

    # -- objects -----------------------------------------------------------------------------------

    @property
    def _table(self) -> ObjectTable:
        return self._engine.state.tables[self._at]

    @property
    def count(self) -> int:
        """How many objects there are."""
        return len(self._table)

    def ids(self) -> NDArray[np.uint32]:
        """The ids of all objects, ascending."""
        with self._engine.threads:
            return self._table.ids()

    def next_id(self) -> int:
        """The id the next new object gets: one that the present line of edits never used."""
        with self._engine.threads:
            return self._table.new_id()

    def box_of(self, object_id: int) -> Box | None:
        """The smallest level-0 box that holds an object; None if there is no such object."""
        with self._engine.threads:
            return self._table.box_of(int(object_id))

    def area_of(self, object_id: int) -> int:
        """The level-0 pixels of an object; 0 if there is no such object."""
        with self._engine.threads:
            return self._table.area_of(int(object_id))

    def class_of(self, object_id: int) -> str:
        """The class of an object, "" if it has none or does not exist."""
        meta = self._table.meta.get(int(object_id))
        return "" if meta is None else meta.class_name

    def classes(self) -> Mapping[int, str]:
        """The class of every object by its id, "" where it has none."""
        with self._engine.threads:
            known = self._table.meta
            rows, names = known.rows(), known.names
            return NamesOf(rows["id"], rows["code"], names)

    def objects(self) -> list[ObjectRecord]:
        """All objects, ordered by id."""
        with self._engine.threads:
            return [
                ObjectRecord(
                    int(row["id"]),
                    Box(int(row["r0"]), int(row["c0"]), int(row["r1"]), int(row["c1"])),
                    int(row["area"]),
                    self.class_of(row["id"]),
                    self._engine.origin_of(self._at, int(row["id"])).info,
                )
                for row in self._table.measured()
            ]

    def origin_of(self, object_id: int) -> Origin:
        """What made an object, when and who; empty if there is no such object."""
        with self._engine.threads:
            return self._engine.origin_of(self._at, int(object_id))

    def listed(self) -> ObjectColumns:
        """All objects as columns, ordered by id: fast also for a million of them."""
        with self._engine.threads:
            return columns_of(self._table)

    def class_list(self) -> tuple[ObjectClass, ...]:
        """The classes of the slide's objects and regions, in the order people gave them."""
        return self._engine.state.classes

    def parents(self) -> dict[int, int]:
        """The region each object lies in, by their ids; objects in none are left out.

        That is the region with most of the object's pixels, if it has at least half of them.
        """
        with self._engine.threads:
            return parents_of(self._engine.chunks, *self._engine.state.tables)

    def filled_boxes(self) -> list[Box]:
        """The boxes of the chunks that hold labels, row by row; elsewhere the slide is empty."""
        with self._engine.threads:
            return [self._engine.chunks.box_of(key) for key in self._table.filled()]

    # -- history ---------------------------------------------------------------------------------

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return bool(self._engine.history.undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit taken back that can be done again."""
        return bool(self._engine.history.redo)

    def history(self) -> list[HistoryEntry]:
        """The edits in force, oldest first."""
        with self._engine.threads:
            return self._engine.history.entries()

    @property
    def journal_bytes(self) -> int:
        """The size of the journal."""
        return self._engine.journal.end
