"""What callers hand to an edit, checked."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.chunks import Labels
from histoprompt.annotations.edits import Rule
from histoprompt.annotations.objects import MAX_ID
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Box


def checked_labels(labels: NDArray[np.integer[Any]], box: Box) -> Labels:
    """Labels for a level-0 box, (h, w) of any integers or bool, as (h, w) uint32.

    Raises
    ------
    LabelStoreError
        If their shape is not the box's, or they are no labels.
    """
    values = np.asarray(labels)
    if values.shape != box.shape or not (
        np.issubdtype(values.dtype, np.integer) or values.dtype == bool
    ):
        raise LabelStoreError(
            f"Labels of shape {values.shape} and type {values.dtype} do not fit region "
            f"{tuple(box)}: they must be integers of shape {box.shape}."
        )
    if values.size and (int(values.min()) < 0 or int(values.max()) > MAX_ID):
        raise LabelStoreError(
            f"Labels go from {values.min()} to {values.max()}; they must lie in 0 ... {MAX_ID}."
        )
    return values.astype(np.uint32)


def check_rule(rule: Rule) -> None:
    """Refuse what is no overlap rule.

    Raises
    ------
    LabelStoreError
        If it is none of "keep" and "overwrite".
    """
    if rule not in get_args(Rule):
        raise LabelStoreError(f"The rule is {rule!r}; it must be 'keep' or 'overwrite'.")


def checked_id(object_id: int) -> int:
    """The id of an object as a number that labels can have.

    Raises
    ------
    LabelStoreError
        If it is none.
    """
    if not 1 <= int(object_id) <= MAX_ID:
        raise LabelStoreError(f"Object id {object_id} must lie in 1 ... {MAX_ID}.")
    return int(object_id)
