"""Correcting committed objects: another mask for one, two of one. Each is one edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.edits import Rule, components, stamp
from histoprompt.annotations.store import Change, LabelStore
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.labels.lines import staircase
from histoprompt.core.results import Mask

LIMIT_PX = 2**24
"""Largest box of an object whose mask is changed as a whole, pixels."""

_NO_INFO: Mapping[str, Any] = {}


def mask_of(store: LabelStore, object_id: int) -> Mask:
    """The mask of an object, level-0 pixels.

    Raises
    ------
    LabelStoreError
        If there is no such object or it is too large.
    """
    box = box_of(store, object_id)
    return Mask(store.read(box) == object_id, Frame(box, box.shape))


def replace_object(
    store: LabelStore,
    object_id: int,
    mask: Mask,
    rule: Rule = "keep",
    info: Mapping[str, Any] = _NO_INFO,
) -> Change | None:
    """Give an object another mask; id and class stay.

    Parameters
    ----------
    store : LabelStore
    object_id : int
    mask : Mask
        At any resolution; what lies beyond the slide is cut off.
    rule : "keep" or "overwrite"
        Whether other objects keep their pixels.
    info : mapping
        Of the model, its prompts and its score. The object's own provenance tells it from now on,
        beside what else it told, and how often the object was refined.

    Returns
    -------
    Change or None
        None if nothing is different.

    Raises
    ------
    LabelStoreError
        If there is no such object, it is too large, or nothing would be left of it.
    """
    old, new = box_of(store, object_id), mask.at_level0(store.box)
    if new.empty:
        raise LabelStoreError(
            f"The new mask of object {object_id} is empty, so the object was left as it was. "
            "Delete it if it should go."
        )
    box = old.union(new.frame.box).to_pixels()
    check_size(object_id, box)
    before = store.read(box)
    labels = np.where(before == object_id, np.uint32(0), before)
    wanted = stamp(new, box)
    taken = wanted if rule == "overwrite" else wanted & (labels == 0)
    if not taken.any():
        raise LabelStoreError(
            f"Other objects have all {np.count_nonzero(wanted):,} pixels of the new mask of object "
            f"{object_id}, so it was left as it was. Choose the overlap rule that overwrites."
        )
    labels[taken] = object_id
    if np.array_equal(labels, before):
        return None
    told = store.origin_of(object_id).info
    told = {**told, **info, "refined": int(told.get("refined", 0)) + 1}
    return store.write(box, labels, "refine", told, made=[object_id])


_BY_LINE = {"model": "by hand", "prompts": ["line"]}


def split_along(
    store: LabelStore, line: NDArray[np.float64]
) -> tuple[list[list[int]], Change | None]:
    """Cut the objects that a line crosses; their classes stay, the largest piece keeps the id.

    Parameters
    ----------
    store : LabelStore
    line : (n, 2) float
        Corners (row, col) of the line, level-0 pixels.

    Returns
    -------
    list of list of int, Change or None
        The ids of the pieces of each object that was cut, and what changed.

    Raises
    ------
    LabelStoreError
        If the line cuts no object in two, or one that is too large.
    """
    cut = _cut(line, store.box)
    if cut is None:
        raise LabelStoreError("The line lies beyond the slide: draw it through an object.")
    under = store.read(cut.frame.box)
    met = [int(i) for i in np.unique(under[cut.array]) if i]
    crossed = [i for i in met if _parts(store, i, cut) > _parts(store, i, None)]
    if not crossed:
        named = f" of object {met[0]}" if len(met) == 1 else f" of {len(met):,} objects"
        raise LabelStoreError(
            f"The line cuts nothing in two{named if met else ''}: draw it right through an object, "
            "from outside to outside."
        )
    with store.group("split") as edit:
        pieces = [store.split(object_id, cut, _BY_LINE) for object_id in crossed]
    return pieces, edit.change


def box_of(store: LabelStore, object_id: int) -> Box:
    """The box of an object that is changed as a whole; raises as `mask_of` does."""
    box = store.box_of(object_id)
    if box is None:
        raise LabelStoreError(f"There is no object {object_id} any more.")
    check_size(object_id, box)
    return box


def check_size(object_id: int, box: Box) -> None:
    """Refuse a box that is too large to be read as a whole with a LabelStoreError."""
    if box.area > LIMIT_PX:
        raise LabelStoreError(
            f"Object {object_id} would take {box.shape[0]} x {box.shape[1]} pixels; an object of "
            f"at most {LIMIT_PX:,} pixels in its box can be changed as a whole. Paint or erase it."
        )


def _cut(line: NDArray[np.float64], bounds: Box) -> Mask | None:
    """A line without diagonal steps, which diagonal neighbours cannot slip through."""
    rows, cols = staircase(line).T
    inside = (rows >= 0) & (rows < bounds.r1) & (cols >= 0) & (cols < bounds.c1)
    if not inside.any():
        return None
    rows, cols = rows[inside], cols[inside]
    box = Box.of_points(np.stack([rows, cols], axis=1)).to_pixels()
    out = np.zeros(box.shape, bool)
    out[rows - int(box.r0), cols - int(box.c0)] = True
    return Mask(out, Frame(box, box.shape))


def _parts(store: LabelStore, object_id: int, cut: Mask | None) -> int:
    """How many parts an object has once it is cut."""
    box = box_of(store, object_id)
    mine = store.read(box) == object_id
    return int(components(mine, stamp(cut, box)).max())
