"""Objects and regions drawn by hand: an outline, or a mask, kept piece by piece as one edit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.edits import Rule, stamp
from histoprompt.annotations.history import Change
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.labels.contours import Outline, bounds, enclosed
from histoprompt.core.labels.sources import pieces
from histoprompt.core.results import Mask
from histoprompt.core.task import Task

AT_ONCE_PX = 2**22
"""Level-0 pixels of what is drawn that takes no time worth mentioning."""
_PIECE = 2048


@dataclass(frozen=True)
class Keeping:
    """How what was drawn is kept.

    Attributes
    ----------
    rule : "keep" or "overwrite"
        Whether others keep their pixels.
    class_name : str
        Of a new one; empty for none.
    into : int
        The object, or region, that it becomes part of; 0 for a new one.
    info : mapping
        Provenance, plain JSON.
    """

    rule: Rule = "keep"
    class_name: str = ""
    into: int = 0
    info: Mapping[str, Any] = field(default_factory=dict)


def outline_box(corners: NDArray[np.float64], slide: Box) -> Box:
    """What of a slide an outline spans.

    Raises
    ------
    LabelStoreError
        If nothing.
    """
    box = bounds([Outline(corners)]).intersection(slide)
    if box is None:
        raise LabelStoreError("The outline lies beyond the slide: draw it on the slide.")
    return box


def keep_outline(
    store: LabelStore, corners: NDArray[np.float64], how: Keeping, task: Task
) -> tuple[int, Change | None]:
    """Keep what an outline goes round, (n, 2) level-0 (row, col).

    Returns
    -------
    int, Change or None
        Its id, and what changed; None if nothing did.

    Raises
    ------
    LabelStoreError
        If it goes round no pixel, or others keep all of them; nothing was changed then.
    Cancelled
        If the task was; nothing was changed.
    """
    box = outline_box(corners, store.box)
    return _keep(store, box, lambda part: enclosed(corners, part), how, task)


def keep_mask(store: LabelStore, mask: Mask, how: Keeping, task: Task) -> tuple[int, Change | None]:
    """Keep a mask, at any resolution. Returns and raises as `keep_outline` does."""
    box = mask.cropped().frame.box.to_pixels().intersection(store.box)
    if box is None:
        raise LabelStoreError("The mask lies beyond the slide.")
    return _keep(store, box, lambda part: stamp(mask, part), how, task)


def _keep(
    store: LabelStore, box: Box, read: Callable[[Box], NDArray[np.bool_]], how: Keeping, task: Task
) -> tuple[int, Change | None]:
    object_id, any_pixel = how.into, False
    parts = list(pieces(box, _PIECE))
    with store.group("commit") as edit:
        for done, part in enumerate(parts):
            task.step(done, len(parts), "Keeping what was drawn")
            inside = read(part)
            if inside.any():
                any_pixel = True
                mask = Mask(inside, Frame(part, part.shape))
                given = store.commit(mask, how.rule, object_id or None, how.info)
                object_id = object_id or given
        if not any_pixel:
            raise LabelStoreError("The outline encloses no pixel: draw a larger one.")
        if not object_id:
            raise LabelStoreError(
                "Nothing was drawn: others have all of these pixels already. Choose the overlap "
                "rule that overwrites, or delete the others."
            )
        if how.class_name and not how.into:
            store.set_class([object_id], how.class_name)
        task.settle()
    return object_id, edit.change
