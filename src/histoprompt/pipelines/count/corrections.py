"""Correct a count: take false cells away, add missed ones, part and join what was found wrong.

What was counted stays as it is on disk; corrections lie beside it and change what is read of it.
A new cell never takes a pixel of one that is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage as ndi

from histoprompt.core.errors import LabelError, RegionError
from histoprompt.core.geometry import Box, Frame, union_of
from histoprompt.core.prompts.file import ObjectPrompt
from histoprompt.core.prompts.prompt import Prompt
from histoprompt.core.results import Mask
from histoprompt.core.task import Task
from histoprompt.pipelines.cells.cutting import cut_along, cut_between
from histoprompt.pipelines.count.correction_log import CorrectionLog
from histoprompt.pipelines.count.hand_measure import measured
from histoprompt.pipelines.count.hand_work import Correction
from histoprompt.pipelines.count.kept import KeptCount
from histoprompt.pipelines.prompts.segment import SegmentJob, segment

# A new cell of which less than this share is free is one that is there already.
FREE = 0.3
_FINISH = (
    "Finish the count first: cells of a count that still grows cannot be corrected. Press Count "
    "to go on."
)

Cut = Callable[[Mask], NDArray[np.int32]]
"""Gives the pieces of a mask, 1, 2 ... on its pixels."""


@dataclass(frozen=True)
class ClickedPlace:
    """Where somebody clicked on the slide, level-0 (row, col)."""

    row: float
    col: float


def log_of(work: KeptCount) -> CorrectionLog:
    """Where corrections of a count are kept.

    Raises
    ------
    RegionError
        If it is not finished.
    """
    if work.log is None:
        raise RegionError(_FINISH)
    return work.log


def delete_cells(work: KeptCount, ids: Sequence[int], task: Task) -> Correction:
    """Take cells away that are none.

    Raises
    ------
    LabelError
        If one is not there.
    CorrectionLost, ExportError, RegionError
        As `CorrectionLog.make` and `log_of`.
    """
    log, work = log_of(work), work.corrected()
    wanted = _there(work, ids)
    where = union_of(work.progress.store.box_of(cell) for cell in wanted)
    task.settle()
    return log.make("delete", wanted, (), where)


def add_cell(work: KeptCount, place: ClickedPlace, job: SegmentJob, task: Task) -> Correction:
    """Add a cell that was missed: a model outlines what was clicked.

    Parameters
    ----------
    work : KeptCount
    place : ClickedPlace
    job : SegmentJob
        The model.
    task : Task

    Raises
    ------
    RegionError
        If the place is outside of what is counted.
    LabelError
        If a cell is there already, or nothing is outlined.
    PromptError, ModelError, WeightsError
        As `segment`.
    CorrectionLost, ExportError
        As `CorrectionLog.make`.
    """
    log, work = log_of(work), work.corrected()
    _check_free(work, place)
    prompt = ObjectPrompt(1, Prompt.of_points([[place.row, place.col]]))
    (found,) = segment(work.slide, [prompt], job, task)
    mask = free_part(work, found.masks[0], place)
    cells = measured(work, [mask], (), task)
    info = {"model": job.card.id, "click": [place.row, place.col]}
    task.settle()
    return log.make("add", (), cells, mask.frame.box, info)


def split_cell(work: KeptCount, cell: int, cut: Cut, task: Task) -> Correction:
    """Part a cell that is several.

    Parameters
    ----------
    work : KeptCount
    cell : int
    cut : callable
        Gives the pieces of its mask: `along` a line or `between` two places.
    task : Task

    Raises
    ------
    LabelError
        If the cell is not there or stays in one piece.
    CorrectionLost, ExportError, RegionError
        As `CorrectionLog.make` and `log_of`.
    """
    log, work = log_of(work), work.corrected()
    (cell,) = _there(work, [cell])
    mask = mask_of(work, cell)
    pieces = cut(mask)
    count = int(pieces.max(initial=0))
    if count < 2:
        raise LabelError(
            f"Cell {cell} was not parted: draw the line from one side of it to the other, or click "
            "two places inside it."
        )
    parts = [Mask(pieces == k, mask.frame).cropped() for k in range(1, count + 1)]
    cells = measured(work, parts, [cell], task)
    task.settle()
    return log.make("split", [cell], cells, mask.frame.box)


def merge_cells(work: KeptCount, ids: Sequence[int], task: Task) -> Correction:
    """Join cells that are one.

    Raises
    ------
    LabelError
        If one is not there, or fewer than two are given.
    CorrectionLost, ExportError, RegionError
        As `CorrectionLog.make` and `log_of`.
    """
    log, work = log_of(work), work.corrected()
    wanted = _there(work, ids)
    if len(wanted) < 2:
        raise LabelError("Choose two cells to make one of them.")
    masks = [mask_of(work, cell) for cell in wanted]
    where = union_of(mask.frame.box for mask in masks)
    whole = np.zeros(where.shape, bool)
    for mask in masks:
        whole[mask.frame.box.slices((where.r0, where.c0))] |= mask.array
    cells = measured(work, [Mask(whole, Frame(where, where.shape))], wanted, task)
    task.settle()
    return log.make("merge", wanted, cells, where)


def along(line: ArrayLike) -> Cut:
    """Part a cell along a line, (n, 2) level-0 corners."""
    points = np.asarray(line, float).reshape(-1, 2)
    return lambda mask: cut_along(mask.array, points - _corner(mask))


def between(first: ClickedPlace, second: ClickedPlace) -> Cut:
    """Part a cell where it is narrowest between two places."""

    def cut(mask: Mask) -> NDArray[np.int32]:
        r0, c0 = _corner(mask)
        ends = [(place.row - r0, place.col - c0) for place in (first, second)]
        return cut_between(mask.array, *ends)

    return cut


def mask_of(work: KeptCount, cell: int) -> Mask:
    """The pixels of a cell that is there."""
    store = work.progress.store
    box = store.box_of(cell)
    return Mask(store.read(box) == cell, Frame(box, box.shape))


def free_part(work: KeptCount, mask: Mask, place: ClickedPlace | None = None) -> Mask:
    """What of a mask no cell has, in one piece: that with a place, else the largest.

    Raises
    ------
    LabelError
        If that is too little to be a cell of its own, or nothing is outlined.
    """
    inside = mask.at_level0(work.ground.box)
    ids = work.progress.store.read(inside.frame.box)
    free = inside.array & (ids == 0)
    if not inside.array.any():
        raise LabelError("The model outlined nothing here. Click the middle of the cell.")
    if free.sum() < FREE * inside.array.sum():
        there, pixels = np.unique(ids[inside.array & (ids > 0)], return_counts=True)
        raise LabelError(
            f"What is outlined here is cell {there[pixels.argmax()]}, or most of it. Delete or "
            "split that cell first."
        )
    pieces, _ = ndi.label(free)
    chosen = int(np.bincount(pieces.ravel())[1:].argmax()) + 1
    if place is not None and inside.frame.box.contains(place.row, place.col):
        row, col = (
            round(v - c) for v, c in zip((place.row, place.col), _corner(inside), strict=True)
        )
        chosen = int(pieces[row, col]) or chosen
    return Mask(pieces == chosen, inside.frame, mask.score).cropped()


def _there(work: KeptCount, ids: Iterable[int]) -> list[int]:
    """These cells, each once, if they are there."""
    wanted = list(dict.fromkeys(ids))
    lost = [cell for cell in wanted if not work.holds(cell)]
    if lost or not wanted:
        told = f"There is no cell {lost[0]} in this count." if lost else "No cell is chosen."
        raise LabelError(f"{told} Click a cell.")
    return wanted


def _check_free(work: KeptCount, place: ClickedPlace) -> None:
    """Refuse a place that is not counted, or where there is a cell."""
    ground, at = work.ground, np.array([[place.row, place.col]])
    row, col = round(place.row), round(place.col)
    pixel = Box(row, col, row + 1, col + 1)
    if not ground.box.covers(pixel) or not ground.counts(at).all():
        raise RegionError("Nothing is counted here: add cells inside of what was counted.")
    cell = int(work.progress.store.read(pixel)[0, 0])
    if cell:
        raise LabelError(f"Cell {cell} is here already.")


def _corner(mask: Mask) -> tuple[float, float]:
    return mask.frame.box.r0, mask.frame.box.c0
