"""All nuclei of a region into the label store, beside what people committed there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from histoprompt.annotations.edits import Rule
from histoprompt.annotations.history import Change
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box, union_of
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.find import Cell, find_cells
from histoprompt.pipelines.cells.stains import tell_of_stain
from histoprompt.pipelines.formats.regions import Region, inside_any

# Longest side of a region that is filled at once, level-0 pixels.
LONGEST = 4096
# Share of a nucleus that may lie under committed objects before it is taken for one of them.
COVERED = 0.3


def commit_nuclei(
    slide: Slide,
    region: Box,
    store: LabelStore,
    *,
    card: ModelCard,
    manager: ModelManager,
    task: Task,
    weights: Path | None = None,
    class_name: str = "",
    rule: Rule = "keep",
    inside: Sequence[Region] = (),
) -> tuple[int, Change | None]:
    """Find the nuclei of a region and commit those that are not committed yet, as one edit.

    A nucleus belongs to the region if its centroid lies in it; it is committed whole.

    Parameters
    ----------
    slide, card, manager, task, weights
        As for `find_cells.find_cells`; a cancelled task commits nothing. It is told of a stain
        that the model did not learn.
    region : Box
        Integer level-0 box on the slide, at most `LONGEST` pixels a side.
    store : LabelStore
    class_name : str
        Given to the nuclei that are committed; empty for none.
    rule : "keep" or "overwrite"
        Who gets the pixels that a new nucleus shares with what was committed before.
    inside : sequence of Region, optional
        Only nuclei whose centroid lies in one of these.

    Returns
    -------
    int
        How many nuclei were committed.
    Change or None
        What the edit changed; None if it found nothing new.

    Raises
    ------
    RegionError
        If the region is too large.
    MissingMppError
        If the slide has no pixel size.
    """
    if max(region.shape) > LONGEST:
        raise RegionError(
            f"The region spans {region.shape[0]} x {region.shape[1]} pixels of the slide; all "
            f"nuclei are found in at most {LONGEST} a side. Zoom in, or draw a smaller box."
        )
    tell_of_stain(slide, region, card.id, task)
    cells = list(find_cells(slide, region, card, manager, task, weights=weights))
    if inside:
        within = inside_any(inside, np.array([(cell.row, cell.col) for cell in cells]))
        cells = [cell for cell, kept in zip(cells, within, strict=True) if kept]
    # Nobody may paint between the reading and the writing.
    task.settle()
    with store.group("all nuclei") as made:
        count = _commit(store, cells, card.id, rule) if cells else 0
        if count and class_name:
            store.set_class(range(store.next_id() - count, store.next_id()), class_name)
    return count, made.change


def _commit(store: LabelStore, cells: list[Cell], model: str, rule: Rule) -> int:
    region = union_of(cell.mask.frame.box for cell in cells)
    labels = store.read(region)
    committed, first = labels > 0, store.next_id()
    count = 0
    for cell in cells:
        inside, where = cell.mask.array, cell.mask.frame.box.slices((region.r0, region.c0))
        if (inside & committed[where]).sum() > COVERED * inside.sum():
            continue
        free = inside & (labels[where] == 0)
        if rule == "overwrite":  # of what was there before, not of another new nucleus
            free |= inside & committed[where] & (labels[where] < first)
        if free.any():
            labels[where][free] = first + count
            count += 1
    if count:
        store.write(region, labels.astype(np.uint32), op="all nuclei", info={"model": model})
    return count
