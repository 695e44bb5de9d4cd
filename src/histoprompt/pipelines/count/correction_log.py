"""Corrections of a count on disk: a journal beside the count, so that what was found stays.

Every step, and every step taken back, is one record that is seen through to the disk before it
shows. A process killed at any point leaves the count as before or as after the step. Several
windows may work on one count: each takes up what others have written before it writes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.aside import free_name
from histoprompt.annotations.journal import MAGIC, Journal, Record
from histoprompt.core.errors import HistopromptError, LabelError
from histoprompt.core.files.atomic import explained
from histoprompt.core.files.durable import sync_folder
from histoprompt.core.files.locks import alone_at
from histoprompt.core.geometry import Box
from histoprompt.pipelines.count.correction_records import BASE, STEP, correction_of, record_of
from histoprompt.pipelines.count.hand_work import (
    Correction,
    HandCell,
    HandTally,
    HandWork,
    Op,
    tally_of,
)

FILE = "corrections.journal"
FORMAT = 1
_ANEW = "Move the file away to correct the count anew."


class CorrectionLost(HistopromptError):  # noqa: N818 - what happened to a step, not a fault
    """A step does not fit the cells any more: something else changed them since."""


class CorrectionLog:
    """The corrections of one count, as they are now; safe to use from several threads.

    Parameters
    ----------
    folder : Path
        Of the count.
    base : int
        Cells that were counted.
    digest : str
        Of them: corrections of other cells are set aside.
    names : tuple of str
        Of features.
    found : callable
        Gives the labels of a level-0 box as they were counted.

    Attributes
    ----------
    notes : list of str
        What was damaged or set aside, for the person.

    Raises
    ------
    LabelError
        If the file is of a later version or damaged at its beginning.
    ExportError
        If it cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        base: int,
        digest: str,
        names: tuple[str, ...],
        found: Callable[[Box], NDArray[np.uint32]],
    ) -> None:
        self._path, self._found = folder / FILE, found
        self._base, self._digest, self._names = base, digest, names
        self._threads = threading.RLock()
        self.notes: list[str] = []
        self._forget()
        if self._path.exists():
            with explained(self._path), alone_at(self._path):
                self._take_up(mend=True)

    def _forget(self) -> None:
        self._end = 0
        self._steps: dict[int, Correction] = {}
        self._active: dict[int, Correction] = {}
        self._last_id = self._base
        self._now: HandWork | None = _untouched(self._base, self._names)

    # -- what holds now ----------------------------------------------------------------------

    @property
    def now(self) -> HandWork:
        """All corrections that hold; what is read of the count by it does not change."""
        with self._threads:
            if self._now is None:
                gone: set[int] = set()
                alive: dict[int, HandCell] = {}
                for step in self._in_order:
                    gone |= {i for i in step.gone if i <= self._base}
                    for i in step.gone:
                        alive.pop(i, None)
                    alive |= {cell.id: cell for cell in step.cells}
                tally = tally_of(self._base, self._in_order)
                cells = tuple(alive[i] for i in sorted(alive))
                self._now = HandWork(self._base, frozenset(gone), cells, tally, self._names)
            return self._now

    @property
    def steps(self) -> tuple[Correction, ...]:
        """Those that hold, in the order they were made."""
        with self._threads:
            return tuple(self._in_order)

    @property
    def ever(self) -> int:
        """The largest id that any cell ever had."""
        return self._last_id

    @property
    def _in_order(self) -> list[Correction]:
        return [self._active[number] for number in sorted(self._active)]

    # -- steps -------------------------------------------------------------------------------

    def make(
        self,
        op: Op,
        gone: Sequence[int],
        cells: Sequence[HandCell],
        where: Box,
        info: Mapping[str, Any] = MappingProxyType({}),
    ) -> Correction:
        """Take cells away and put others there, as one step.

        Parameters
        ----------
        op : str
        gone : sequence of int
            Ids of cells that are there.
        cells : sequence of HandCell
            They get ids that no cell ever had.
        where : Box
            Holds all of them.
        info : mapping
            Plain JSON.

        Raises
        ------
        CorrectionLost
            If cells changed meanwhile.
        ExportError, LabelStoreError
            If it cannot be written; nothing changed then.
        """
        with self._writing():
            number, first = max(self._steps, default=0) + 1, self._last_id + 1
            named = tuple(replace(cell, id=first + i) for i, cell in enumerate(cells))
            step = Correction(number, op, tuple(gone), named, where, dict(info))
            self._check(step.gone, step.cells, where)
            self._write(record_of(step))
            return self._steps[number]

    def undo(self, number: int) -> bool:
        """Take a step back; False if it is taken back already, or its cells changed since."""
        with self._writing():
            step = self._active.get(number)
            if step is None:
                return False
            back = [self._cell(i) for i in step.gone if i > self._base]
            there = [cell.id for cell in step.cells]
            counted = [i for i in step.gone if i <= self._base]
            if not self._fits(there, back, step.where, counted):
                return False
            self._write(Record({"undo": number}))
            return True

    def redo(self, number: int) -> bool:
        """Do a step again that was taken back; False if it holds, or its cells changed since."""
        with self._writing():
            step = self._steps.get(number)
            if step is None or number in self._active:
                return False
            if not self._fits(step.gone, step.cells, step.where):
                return False
            self._write(Record({"redo": number}))
            return True

    def _check(self, gone: Sequence[int], cells: Sequence[HandCell], where: Box) -> None:
        if not self._fits(gone, cells, where):
            raise CorrectionLost(
                "These cells were changed meanwhile, here or in another window. Look at them as "
                "they are now, and try again."
            )

    def _fits(
        self,
        gone: Sequence[int],
        cells: Sequence[HandCell],
        where: Box,
        counted: Sequence[int] = (),
    ) -> bool:
        """Whether cells that go are there, and those that come find their pixels free.

        `counted` are ids of counted cells that come back.
        """
        now = self.now
        if not all(i in now for i in gone) or any(i in now for i in counted):
            return False
        goes = np.array([0, *gone])
        for cell in cells:
            there = now.onto(self._found(cell.box), _corner(cell.box))[cell.mask.array]
            if not np.isin(there, goes).all():
                return False
        back = np.array(counted, np.int64)
        for cell in now.near(where):
            if len(back) and cell.id not in gone:
                below = self._found(cell.box)[cell.mask.array]
                if np.isin(below, back).any():
                    return False
        return True

    def _cell(self, number: int) -> HandCell:
        made = (cell for step in self._steps.values() for cell in step.cells)
        return next(cell for cell in made if cell.id == number)

    # -- the file ----------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Be the only one who writes, with all that others have written taken up."""
        with self._threads, explained(self._path), alone_at(self._path):
            self._take_up()
            yield

    def _take_up(self, *, mend: bool = False) -> None:
        """Read what was written since, by whomever."""
        if not self._path.exists():
            self._forget()
            return
        journal = Journal(self._path, read_only=not mend)
        try:
            for offset, record in journal.records(self._end):
                if not self._accept(offset, record):
                    return
                self._end = journal.end
            tail = journal.torn_tail() if mend else b""
            if tail:
                self._keep_aside(tail)
                journal.cut(self._end)
        finally:
            journal.close()

    def _accept(self, offset: int, record: Record) -> bool:
        """Take one record up; False if all of the file is of other cells."""
        where = f"The corrections cannot be read: {self._path}"
        if offset == 0:
            base = BASE.of(record.header, where, advice=_ANEW)
            if base["format"] > FORMAT:
                raise LabelError(f"{where} is of a later version of the program. {_ANEW}")
            if (base["cells"], base["digest"]) != (self._base, self._digest):
                self._set_aside()
                return False
            return True
        step = STEP.of(record.header, where, advice=_ANEW)
        if "undo" in step:
            self._active.pop(step["undo"], None)
        elif "redo" in step:
            again = self._steps.get(step["redo"])
            self._active |= {} if again is None else {again.number: again}
        else:
            made = correction_of(step, record.body, len(self._names), where)
            self._steps[made.number] = self._active[made.number] = made
            self._last_id = max([self._last_id, *(cell.id for cell in made.cells)])
        self._now = None
        return True

    def _set_aside(self) -> None:
        """The count has other cells than those that were corrected."""
        kept = free_name(self._path.parent, self._path.name)
        self._path.rename(kept)
        sync_folder(kept.parent)
        self.notes.append(
            "The cells that were corrected by hand are not those of this count: the corrections "
            f"are kept in {kept.name}."
        )
        self._forget()

    def _keep_aside(self, tail: bytes) -> None:
        """A step that was not written to its end never was; what is longer was damaged."""
        if MAGIC in tail[1:]:
            kept = free_name(self._path.parent, f"{self._path.name}.cut")
            kept.write_bytes(tail)
            self.notes.append(
                f"The last corrections by hand are damaged and left out; they are in {kept.name}."
            )

    def _write(self, record: Record) -> None:
        journal = Journal(self._path)
        try:
            journal.cut(self._end)  # what a killed process left
            if not self._end:
                first = {"format": FORMAT, "cells": self._base, "digest": self._digest}
                journal.append(Record({**first, "names": list(self._names)}))
            journal.append(record)
        finally:
            journal.close()
        self._take_up()


def _untouched(base: int, names: tuple[str, ...]) -> HandWork:
    return HandWork(base, tally=HandTally(base, cells=base), names=names)


def _corner(box: Box) -> tuple[int, int]:
    return round(box.r0), round(box.c0)
