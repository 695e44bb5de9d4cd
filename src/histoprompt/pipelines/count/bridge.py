"""Between a count and the committed objects of a slide: cells become objects, objects cells.

Both ways who is there keeps its pixels. What is covered by more than `COVERED` of its pixels is
taken for one of those that cover it, and is left out: nothing comes twice when it goes both ways.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from histoprompt.annotations.class_list import is_ignored
from histoprompt.annotations.history import Change
from histoprompt.annotations.store import LabelStore
from histoprompt.core.cell_table import UNCLASSIFIED, UNSURE, CellTable
from histoprompt.core.errors import LabelError
from histoprompt.core.geometry import Frame, union_of
from histoprompt.core.labels.sources import pieces
from histoprompt.core.results import Mask
from histoprompt.core.task import Task
from histoprompt.pipelines.cells.commit_nuclei import COVERED
from histoprompt.pipelines.count.corrections import log_of
from histoprompt.pipelines.count.hand_measure import centroid, measured
from histoprompt.pipelines.count.hand_work import Correction
from histoprompt.pipelines.count.kept import KeptCount
from histoprompt.pipelines.count.region import CountRegion

OP = "cells of a count"
# An object larger than this is a region and no cell, square microns.
LARGEST_UM2 = 2000.0
_BLOCK = 1024


def cells_of(
    cells: CellTable, class_name: str = "", inside: CountRegion | None = None
) -> CellTable:
    """Some of the cells of a count.

    Parameters
    ----------
    cells : CellTable
    class_name : str
        Those of this class; of all if empty.
    inside : CountRegion, optional
        Those whose centroid lies there.
    """
    keep = np.ones(len(cells), bool)
    if class_name:
        named = [i for i, name in enumerate(cells.classes) if name == class_name]
        keep &= np.isin(cells.code, named)
    if inside is not None:
        at = np.stack([cells.row, cells.col], axis=1)
        (r0, c0, r1, c1) = (v - 0.5 for v in inside.box)
        keep &= (at[:, 0] >= r0) & (at[:, 0] < r1) & (at[:, 1] >= c0) & (at[:, 1] < c1)
        keep &= inside.counts(at)
    return cells[keep]


def to_labels(
    work: KeptCount, cells: CellTable, store: LabelStore, task: Task
) -> tuple[int, Change | None]:
    """Commit cells of a count as objects, with their classes, as one edit.

    Objects that are there keep their pixels; a cell of which more than `COVERED` lies under them is
    left out.

    Parameters
    ----------
    work : KeptCount
        As it is now.
    cells : CellTable
        Some of its cells, with the classes they have.
    store : LabelStore
        Of the same slide.
    task : Task
        For progress and cancel; a cancelled task commits nothing.

    Returns
    -------
    int
        How many cells were committed.
    Change or None
        What the edit changed; None if it changed nothing.

    Raises
    ------
    LabelStoreError
        If the disk does not take the labels.
    """
    source = work.progress.store
    boxes = [part for box in source.filled_boxes() for part in pieces(box, _BLOCK)]
    pixels, covered = np.zeros((2, len(cells)), np.int64)
    for done, box in enumerate(boxes):
        task.step(done, 2 * len(boxes), "Looking at the cells")
        row = _rows(source.read(box), cells)
        there = row[(row >= 0) & (store.read(box) > 0)]
        pixels += np.bincount(row[row >= 0], minlength=len(cells))
        covered += np.bincount(there, minlength=len(cells))
    new = (pixels > 0) & (covered <= COVERED * pixels)
    count = int(new.sum())
    if not count:
        return 0, None
    info = {"model": str(work.job.settings.get("segmenter", "")), "count": work.folder.name}
    # Nobody may paint between the reading and the writing.
    with store.group(OP) as edit:
        numbers = np.where(new, store.next_id() - 1 + np.cumsum(new), 0)
        for done, box in enumerate(boxes, start=len(boxes)):
            task.step(done, 2 * len(boxes), "Committing the cells")
            labels = store.read(box)
            row = _rows(source.read(box), cells)
            wanted = np.where(row >= 0, numbers[row], 0)
            free = (wanted > 0) & (labels == 0)
            if free.any():
                store.write(box, np.where(free, wanted, labels).astype(np.uint32), OP, info)
        _name(store, cells, numbers)
    return count, edit.change


def _rows(ids: NDArray[np.uint32], cells: CellTable) -> NDArray[np.int64]:
    """The row in a table of each label; -1 where there is none. Ids of the table ascend."""
    row = np.searchsorted(cells.id, ids).clip(0, max(len(cells) - 1, 0))
    known = cells.id[row] == ids if len(cells) else np.zeros(ids.shape, bool)
    return np.where(known & (ids > 0), row, -1)


def _name(store: LabelStore, cells: CellTable, numbers: NDArray[np.int64]) -> None:
    """Give the objects the classes of their cells."""
    for code, name in enumerate(cells.classes):
        ids = numbers[(cells.code == code) & (numbers > 0)].tolist()
        if ids and name not in (UNCLASSIFIED, UNSURE):
            store.set_class(ids, name)


def from_labels(
    work: KeptCount, store: LabelStore, task: Task, ids: Sequence[int] | None = None
) -> Correction | None:
    """Committed objects become cells of a count, added by hand, as one step.

    Cells that are there keep their pixels; an object of which more than `COVERED` lies under them
    is left out, and so is one whose middle is not counted or that is too large for a cell.

    Parameters
    ----------
    work : KeptCount
        A finished count.
    store : LabelStore
        Of the same slide.
    task : Task
    ids : sequence of int, optional
        Of objects; all but those of ignored classes if not given.

    Returns
    -------
    Correction or None
        None if there is nothing to add. ``info["names"]`` are the classes of the objects.

    Raises
    ------
    LabelError
        If no object is committed.
    CorrectionLost, ExportError, RegionError
        As `CorrectionLog.make` and `log_of`.
    """
    log, work = log_of(work), work.corrected()
    wanted = (
        list(ids)
        if ids is not None
        else [record.id for record in store.objects() if not is_ignored(record.class_name)]
    )
    if not wanted:
        raise LabelError("No object is committed on this slide: there is nothing to take.")
    masks, names = [], []
    for done, number in enumerate(wanted):
        task.step(done, len(wanted), "Looking at committed objects")
        mask = _as_cell(work, store, number)
        if mask is not None:
            masks.append(mask)
            names.append(store.class_of(number))
    if not masks:
        return None
    cells = measured(work, masks, (), task)
    task.settle()
    where = union_of(mask.frame.box for mask in masks)
    return log.make("labels", (), cells, where, {"names": names})


def _as_cell(work: KeptCount, store: LabelStore, number: int) -> Mask | None:
    """The free pixels of an object, in one piece; None if it is no new cell of the count."""
    box = store.box_of(number)
    area = store.area_of(number) * (work.slide.mpp or np.nan) ** 2
    inside = None if box is None else box.intersection(work.ground.box)
    if inside is None or area > LARGEST_UM2:
        return None
    mine = store.read(inside) == number
    free = mine & (work.progress.store.read(inside) == 0)
    if not mine.any() or free.sum() < (1 - COVERED) * mine.sum():
        return None
    found, _ = ndi.label(free)
    largest = found == int(np.bincount(found.ravel())[1:].argmax()) + 1
    mask = Mask(largest, Frame(inside, inside.shape)).cropped()
    return mask if work.ground.counts(np.array([centroid(mask)])).all() else None
