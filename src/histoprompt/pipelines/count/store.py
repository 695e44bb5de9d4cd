"""What has been counted so far, on disk: so that memory stays flat and nothing done is lost.

A folder with the settings (``settings.json``), the cells as fixed-size records (``cells.bin``),
their labels (a zarr array) and a line for every finished tile (``tiles.jsonl``). A tile is seen
through to the disk in that order, and counts once its line is there: what a killed process wrote
beyond the last line is cut off, or written again with the same ids. One process at a time writes.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from histoprompt.core.cell_schema import PER_CELL
from histoprompt.core.cell_table import CellTable
from histoprompt.core.files.atomic import explained
from histoprompt.core.files.closing import Closing
from histoprompt.core.files.durable import sync_folder
from histoprompt.core.files.locks import HOLDER, LOCK
from histoprompt.core.files.own_folder import own_folder
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import Colour, cell_colours
from histoprompt.core.labels.renumber import renumbered
from histoprompt.core.labels.sources import as_ids, cells, check_inside
from histoprompt.core.tiling import TileGrid
from histoprompt.pipelines.count.drawn_chunks import CHUNK, DrawnChunks
from histoprompt.pipelines.count.hand_work import HandTally, HandWork
from histoprompt.pipelines.count.store_files import (
    SLIDE,
    CountFiles,
    Records,
    alone_in,
    append,
    damage_explained,
    read_settings,
    record_type,
)
from histoprompt.pipelines.count.tile_log import Done, TileLogHeader, believed, cut, sum_of

# Raise it when other cells of two tiles are kept where they meet (`CountStore.draw`), and when
# records have other columns.
ALGORITHM = 1
COLOURS = "class colours"
"""Of settings: the colours that classes came with."""


class CountStore(Closing):
    """Cells and labels of one region, written tile by tile.

    Attributes
    ----------
    folder : Path
    region : Box
        Integer level-0 box the labels cover.
    done : list of Done
        Finished tiles, in the order they were finished.
    files : CountFiles
    colours : dict of str to (r, g, b)
        Of classes that came with one.
    head : TileLogHeader
        Known once a tile with cells was written.
    replaced : bool
        Whether a count with other settings was there, and is gone.
    notes : list of str
        What was damaged, for the person.

    Raises
    ------
    ExportError
        If another program writes to the folder, or it cannot be written.
    """

    def __init__(self, folder: Path, region: Box, settings: Mapping[str, Any]) -> None:
        """Open a folder with the same settings to go on, else start anew."""
        self.folder, self.region = folder, region
        self.done: list[Done] = []
        self._places: set[tuple[int, int]] = set()
        self.head = TileLogHeader()
        self._given: tuple[NDArray[np.int16], NDArray[np.float32]] | None = None
        self._by_hand: HandWork | None = None
        self.replaced = False
        self.notes: list[str] = []
        self.files = CountFiles(folder, region.shape)
        self._chunks = DrawnChunks(self.files.labels)
        wanted = json.loads(json.dumps(dict(settings)))
        given = wanted.get(COLOURS, {})
        self.colours: dict[str, Colour] = {name: (r, g, b) for name, (r, g, b) in given.items()}
        own_folder(folder)
        with ExitStack() as opening:
            with explained(folder):
                self._lock = opening.enter_context(alone_in(folder))
                self._settle(wanted)
                self._recover()
            self._array: Any = zarr.open_array(self.files.labels, mode="r+")
            opening.pop_all()  # it stays locked until it is closed
        self._grid = TileGrid(region, CHUNK, 0, region)

    def close(self) -> None:
        """Let others write; what is there can still be read."""
        self._lock.close()

    def __len__(self) -> int:
        return self.counted if self._by_hand is None else len(self._by_hand)

    @property
    def counted(self) -> int:
        """Cells that were counted, whatever was corrected since: their ids are 1 to this."""
        return self.done[-1].cells if self.done else 0

    @property
    def by_hand(self) -> HandTally:
        """What corrections by hand come to."""
        found = self._by_hand
        return HandTally(self.counted, cells=self.counted) if found is None else found.tally

    @property
    def digest(self) -> str:
        """Of the cells that were counted."""
        lines = repr([(line.place, line.cells, line.sum) for line in self.done])
        return f"{sum_of(lines.encode()):016x}"

    # -- writing ---------------------------------------------------------------------------------

    def finished(self, place: tuple[int, int]) -> bool:
        """Whether a tile, by its (row, col) in the grid, is done."""
        return place in self._places

    def draw(
        self, labels: NDArray[np.int32], box: Box
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Draw the cells of the next tile where nobody else's are.

        A cell of which others have the larger part is the same nucleus again, and is left out.

        Parameters
        ----------
        labels : (h, w) int32
            0 background, cells 1 ... n.
        box : Box
            Level-0 pixels, inside the region.

        Returns
        -------
        drawn : (h, w) int32
            What was drawn, numbered anew without gaps; number k has the id ``counted + k``.
        kept : (n,) bool
            Which cells were drawn.
        """
        drawn, kept = self.fitted(labels, box)
        self.put(drawn, box)
        return drawn, kept

    def fitted(
        self, labels: NDArray[np.int32], box: Box
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """What `draw` would draw; nothing is written."""
        return _mostly_free(labels, self._stored(box) == 0)

    def put(self, drawn: NDArray[np.int32], box: Box) -> None:
        """Write the cells of the next tile, (h, w) int32 as `fitted` gives them."""
        ids = np.where(drawn > 0, drawn.astype(np.int64) + self.counted, self._stored(box))
        with explained(self.folder), damage_explained(self.folder):
            self._array[box.slices(self.origin)] = ids.astype(np.uint32)

    def _stored(self, box: Box) -> NDArray[np.uint32]:
        """The ids of finished tiles; beyond them are those of a process that was killed."""
        with damage_explained(self.folder):
            stored = np.asarray(self._array[box.slices(self.origin)], np.uint32)
        stored[stored > self.counted] = 0
        return stored

    def append(
        self, place: tuple[int, int], records: Records, head: TileLogHeader, box: Box | None
    ) -> None:
        """Write the cells of a tile whose labels are drawn, and that it is done."""
        data = records.tobytes()
        line = Done(place, self.counted + len(records), box, sum_of(data))
        if len(records) and not self.head.names:
            line = replace(line, head=head)
        with explained(self.folder):
            if box is not None:
                line = replace(line, chunks=self._chunks.sync(*box.slices(self.origin)))
            append(self.files.cells, data)
            append(self.files.tiles, line.to_line())
        self._add(line)

    def remove(self) -> None:
        """Delete what this made in the folder: its content has been written elsewhere."""
        self.files.clear()
        self.close()
        for name in (SLIDE, HOLDER, LOCK):
            (self.folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # somebody keeps a file there
            self.folder.rmdir()
            sync_folder(self.folder.parent)

    # -- reading ---------------------------------------------------------------------------------

    def batches(self, size: int = 20_000) -> Iterator[Records]:
        """The cells, some at a time, in the order of their ids."""
        done = 0
        for records in self._corrected_batches(size):
            if self._given is not None:
                these = slice(done, done + len(records))
                records["code"], records["score"] = (column[these] for column in self._given)
            done += len(records)
            yield records

    def _corrected_batches(self, size: int) -> Iterator[Records]:
        by_hand = self._by_hand
        for records in self._counted_batches(size):
            kept = records if by_hand is None else records[by_hand.kept(records["id"])]
            if len(kept):
                yield kept
        if by_hand is not None and by_hand.cells:
            yield by_hand.records(self.head, record_type(len(self.head.names)))

    def _counted_batches(self, size: int) -> Iterator[Records]:
        dtype, left = record_type(len(self.head.names)), self.counted
        with self.files.cells.open("rb") as file:
            while left:
                records = np.fromfile(file, dtype, min(size, left))
                left -= len(records)
                yield records

    def table(self) -> CellTable:
        """All cells as columns, in the order of their ids; it takes 4 bytes a feature of each."""
        batches = list(self.batches())
        return self._as_table(np.concatenate(batches)) if batches else CellTable.empty()

    def tables(self, size: int) -> Iterator[CellTable]:
        """The cells as columns, some at a time; one empty table where there are none."""
        if not len(self):
            yield self._as_table(np.zeros(0, record_type(len(self.head.names))))
        yield from map(self._as_table, self.batches(size))

    def class_colours(self) -> dict[str, Colour]:
        """The colour of each class."""
        return cell_colours(self.head.classes, self.head.palette, colours=self.colours)

    def made_by_hand(self) -> Iterator[str]:
        """For each cell, in the order of ids, whether a person made it: 1 or 0."""
        for records in self.batches():
            yield from ("1" if cell > self.counted else "0" for cell in records["id"].tolist())

    def _as_table(self, records: Records) -> CellTable:
        columns: dict[str, Any] = {n: np.ascontiguousarray(records[n]) for n in PER_CELL}
        head = self.head
        return CellTable(
            **columns, classes=head.classes, feature_names=head.names, palette=head.palette,
            colours=self.colours,
        )  # fmt: skip

    def box_of(self, cell: int) -> Box:
        """Where the pixels of a cell lie, integer level-0 pixels.

        Raises
        ------
        ValueError
            If there is no such cell.
        """
        by_hand = None if self._by_hand is None else self._by_hand.by_id.get(cell)
        if by_hand is not None:
            return by_hand.box
        if not 0 < cell <= self.counted:
            raise ValueError(f"There is no cell {cell}.")
        data = self.files.records(cell - 1, cell, self.head)
        (record,) = np.frombuffer(data, record_type(len(self.head.names)))
        return Box(*record["box"].tolist())

    def classified(self, cells: CellTable) -> CountStore:
        """The same cells with the classes of a table in the order of ids; for reading only.

        Raises
        ------
        ValueError
            If the table has other cells.
        """
        if len(cells) != len(self):
            raise ValueError(f"Classes of {len(cells):,} cells do not fit {len(self)}.")
        other = copy.copy(self)
        other.head = replace(self.head, classes=cells.classes, palette=cells.palette)
        other._given = cells.code, cells.score
        return other

    def corrected(self, by_hand: HandWork | None) -> CountStore:
        """The same count with the cells a person corrected, None for as it was; to read only."""
        other = copy.copy(self)
        other._by_hand = by_hand
        if by_hand is not None:
            other.head = by_hand.head(self.head)
        return other

    @property
    def labels(self) -> Any:
        """The labels as they lie on disk, (h, w) uint32; after a killed process a little more.

        What was corrected by hand is not in them.
        """
        return self._array

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of the labels."""
        return self.region.shape

    @property
    def origin(self) -> tuple[int, int]:
        """Level-0 (row, col) of the first pixel of the labels."""
        return round(self.region.r0), round(self.region.c0)

    def read(self, box: Box) -> NDArray[np.uint32]:
        """The (h, w) uint32 labels of a level-0 box inside the region."""
        check_inside(self, box)
        with damage_explained(self.folder):
            ids = as_ids(np.asarray(self._array[box.slices(self.origin)]))
        if self._by_hand is not None:
            return self._by_hand.onto(ids, (round(box.r0), round(box.c0)))
        return np.where(ids > self.counted, 0, ids).astype(np.uint32)

    def filled_boxes(self) -> Iterator[Box]:
        """The chunks that were drawn on."""
        boxes = [d.box for d in self.done if d.box is not None]
        boxes += [] if self._by_hand is None else [cell.box for cell in self._by_hand.cells]
        places = sorted({place for box in boxes for place in cells(self._grid, box)})
        return (self._grid.tile(*place).inner for place in places)

    # -- files -----------------------------------------------------------------------------------

    def _settle(self, wanted: Any) -> None:
        """Keep what is there if it was made with these settings, else start anew."""
        present = read_settings(self.files.settings)
        if present == wanted and self.files.whole():
            return
        if present is not None:
            self.replaced = present != wanted
        if (present == wanted) or (present is None and self.files.tiles.exists()):
            self.notes.append("An unfinished count that was here is damaged: it was started anew.")
        self.files.clear()
        self.files.create(wanted)

    def _recover(self) -> None:
        """Take the finished tiles, and cut off what was written after the last of them."""
        log = self.files.tiles
        done = self._chunks.whole(believed(log, self.region, self.files.records))
        for line in done:
            self._add(line)
        lost = cut(log, done)
        if lost:
            self.notes.append(
                f"{lost:,} tiles that were counted are damaged, and are counted again."
            )
        os.truncate(self.files.cells, self.counted * record_type(len(self.head.names)).itemsize)

    def _add(self, line: Done) -> None:
        self.head = line.head or self.head
        self.done.append(line)
        self._places.add(line.place)


def _mostly_free(
    labels: NDArray[np.int32], free: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """The free pixels of the cells that have at least half of theirs, numbered anew."""
    count = int(labels.max(initial=0)) + 1
    visible = np.where(free, labels, 0)
    whole, left = (np.bincount(x.ravel(), minlength=count) for x in (labels, visible))
    kept = ((left > 0) & (left * 2 >= whole))[1:]
    return renumbered(visible, kept), kept
