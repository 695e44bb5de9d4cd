"""Two of one object by a click in each half: a model is asked for both, and they share the object.

The halves together are the object as it was: no pixel is lost, none is won. Where a model tells
both from each other, its answers decide where they part; else the object parts where it is
narrowest between the clicks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.edits import stamp
from histoprompt.annotations.store import Change, LabelStore
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Box
from histoprompt.core.labels.reshape import parted
from histoprompt.core.prompts.file import ObjectPrompt
from histoprompt.core.prompts.prompt import Prompt
from histoprompt.core.results import Mask
from histoprompt.models.card import ModelCard
from histoprompt.pipelines.objects.correct import box_of

Click = tuple[float, float]
_NO_INFO: Mapping[str, Any] = {}


def object_under(store: LabelStore, click: Click) -> int:
    """The object at a level-0 (row, col); 0 for none."""
    row, col = (int(np.rint(v)) for v in click)
    rows, cols = store.shape
    if not (0 <= row < rows and 0 <= col < cols):
        return 0
    return int(store.read(Box(row, col, row + 1, col + 1))[0, 0])


def prompts_of_halves(clicks: Sequence[Click], card: ModelCard | None) -> list[ObjectPrompt]:
    """What a model is asked: each half by its own click, with the other one outside.

    Empty where it cannot be asked so.
    """
    if card is None or "point" not in card.accepts:
        return []
    pair = [list(click) for click in clicks]
    return [ObjectPrompt(i + 1, Prompt.of_points(pair, [i == 0, i == 1])) for i in (0, 1)]


def split_halves(
    store: LabelStore,
    object_id: int,
    clicks: Sequence[Click],
    answers: Sequence[Mask] = (),
    info: Mapping[str, Any] = _NO_INFO,
) -> tuple[list[int], Change | None, bool]:
    """Make two objects of one, as one edit; the larger half keeps the id, both keep the class.

    Parameters
    ----------
    store : LabelStore
    object_id : int
    clicks : two of (row, col)
        Level-0 pixels, one in each half.
    answers : two of Mask, or none
        What a model makes of each click.
    info : mapping
        Provenance of the new object.

    Returns
    -------
    list of int, Change or None, bool
        The ids of both, what changed, and whether the answers could be used.

    Raises
    ------
    LabelStoreError
        If a click is not on the object, both are on one pixel, or the object is too large.
    """
    box = box_of(store, object_id)
    labels = store.read(box)
    mine = labels == object_id
    places = [_place(object_id, mine, box, click) for click in clicks]
    if places[0] == places[1]:
        raise LabelStoreError("Both clicks are on one pixel: click in each half of the object.")
    seeds = _seeds(mine, places, [stamp(answer, box) for answer in answers])
    halves = parted(mine, places, seeds)
    sizes = np.bincount(halves[mine], minlength=3)
    first = 1 if sizes[1] >= sizes[2] else 2
    with store.group("split") as edit:
        new = store.next_id()
        labels[mine & (halves != first)] = new
        store.write(box, labels, "split", info)
        if store.class_of(object_id):
            store.set_class([new], store.class_of(object_id))
    return [object_id, new], edit.change, seeds is not None


def _place(object_id: int, mine: NDArray[np.bool_], box: Box, click: Click) -> tuple[int, int]:
    row, col = int(np.rint(click[0] - box.r0)), int(np.rint(click[1] - box.c0))
    if not (0 <= row < mine.shape[0] and 0 <= col < mine.shape[1] and mine[row, col]):
        raise LabelStoreError(
            f"A click is not on object {object_id} any more: click in each half of one object."
        )
    return row, col


def _seeds(
    mine: NDArray[np.bool_],
    places: Sequence[tuple[int, int]],
    answers: Sequence[NDArray[np.bool_]],
) -> list[NDArray[np.bool_]] | None:
    """What only one answer holds of the object; None if answers do not tell the clicks apart."""
    if len(answers) != len(places):
        return None
    first, second = answers
    alone = [mine & first & ~second, mine & second & ~first]
    told = all(part[place] for part, place in zip(alone, places, strict=True))
    return alone if told else None
