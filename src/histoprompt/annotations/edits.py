"""Edits as functions of one chunk: its level-0 box and its labels in, its new labels out."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from histoprompt.annotations.chunks import Labels
from histoprompt.core.geometry import Box
from histoprompt.core.results import Mask

ChunkEdit = Callable[[Box, Labels], Labels]

Rule = Literal["keep", "overwrite"]
"""What a new object does where another one lies: leave it, or take its pixels."""


def paste(box: Box, labels: Labels) -> ChunkEdit:
    """Set a rectangle to given labels."""

    def edit(chunk: Box, before: Labels) -> Labels:
        after, part = before.copy(), _overlap(box, chunk)
        after[part.slices((chunk.r0, chunk.c0))] = labels[part.slices((box.r0, box.c0))]
        return after

    return edit


def cover(box: Box, mask: NDArray[np.bool_], object_id: int, rule: Rule) -> ChunkEdit:
    """Give an object the pixels of a mask, or those of them that are free."""

    def edit(chunk: Box, before: Labels) -> Labels:
        after, part = before.copy(), _overlap(box, chunk)
        view = after[part.slices((chunk.r0, chunk.c0))]
        inside = mask[part.slices((box.r0, box.c0))]
        view[inside if rule == "overwrite" else inside & (view == 0)] = object_id
        return after

    return edit


def relabel(ids: Collection[int], to: int) -> ChunkEdit:
    """Give all pixels of some objects to one, or to nobody (0)."""
    wanted = np.array(sorted(ids), np.uint32)

    def edit(_: Box, before: Labels) -> Labels:
        return np.where(np.isin(before, wanted), np.uint32(to), before)

    return edit


def components(mask: NDArray[np.bool_], along: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The pieces of a mask, 1, 2, ... from the largest, diagonal neighbours joined.

    Parameters
    ----------
    mask : (h, w) bool
        The object.
    along : (h, w) bool
        Where it is cut first; these pixels then go to the nearest piece, so none is lost.
    """
    pieces, count = ndimage.label(mask & ~along, np.ones((3, 3)))
    if count == 0:
        return mask.astype(np.int32)
    order = np.argsort(-np.bincount(pieces.ravel())[1:], kind="stable")
    rank = np.zeros(count + 1, np.int32)
    rank[order + 1] = np.arange(1, count + 1)
    ranked: NDArray[np.int32] = rank[pieces]
    if (mask & along).any():
        nearest = ndimage.distance_transform_edt(
            ranked == 0, return_distances=False, return_indices=True
        )
        ranked = np.where(mask, ranked[tuple(nearest)], 0)
    return ranked


def stamp(mask: Mask | None, box: Box) -> NDArray[np.bool_]:
    """The part of a mask over a level-0 box, (h, w) bool."""
    out = np.zeros(box.shape, bool)
    if mask is not None:
        here = mask.at_level0(box)
        out[here.frame.box.slices((box.r0, box.c0))] = here.array
    return out


def _overlap(box: Box, chunk: Box) -> Box:
    part = box.intersection(chunk)
    assert part is not None, "an edit is only given chunks it touches"
    return part
