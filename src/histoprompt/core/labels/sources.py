"""Where labels come from: a source is read by blocks, so that no slide is too large.

Label arrays hold one id an object and 0 where there is none. A source may cover the whole slide or
a region of it; boxes are level-0 pixels of the slide either way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import LabelError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.tiling import TileGrid

BLOCK = 1024
_SPARSE_BLOCK = 256


class LabelSource(Protocol):
    """Labels that can be read piece by piece.

    Attributes
    ----------
    shape : (rows, cols)
        Of the labels.
    origin : (row, col) or None
        Level-0 position of their first pixel; None if nobody said, so that they must be those of
        the whole slide.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""

    @property
    def origin(self) -> tuple[int, int] | None:
        """Level-0 (row, col) of the first pixel, or None."""

    def read(self, box: Box) -> NDArray[np.uint32]:
        """The (h, w) uint32 labels of a level-0 box, which lies inside the labels."""

    def filled_boxes(self) -> Iterable[Box]:
        """Level-0 boxes that do not overlap and hold every object, those known empty left out."""


def extent(labels: LabelSource) -> Box:
    """The level-0 box that labels cover."""
    row, col = labels.origin or (0, 0)
    return Box.of_shape(labels.shape).shift(row, col)


def pieces(box: Box, size: int) -> Iterator[Box]:
    """An integer box cut into boxes of at most `size` pixels a side, row by row."""
    return (tile.inner for tile in TileGrid(box, size, 0, box))


class ArrayLabels:
    """Labels held in an array, or in anything that is sliced like one.

    Parameters
    ----------
    array : (H, W) integer array
        Lazy ones are read by block only.
    origin : (row, col), optional
        Level-0 position of the first pixel.

    Raises
    ------
    LabelError
        If the array is not a two-dimensional one of integers.
    """

    def __init__(self, array: Any, origin: tuple[int, int] | None = None) -> None:
        check_label_array(array.shape, array.dtype, "The label array")
        self._array = array
        self.origin = origin

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        h, w = self._array.shape
        return int(h), int(w)

    def read(self, box: Box) -> NDArray[np.uint32]:
        """The (h, w) uint32 labels of a level-0 box."""
        check_inside(self, box)
        return as_ids(np.asarray(self._array[box.slices(self.origin or (0, 0))]))

    def filled_boxes(self) -> Iterator[Box]:
        """The blocks that hold a label."""
        return (box for box in pieces(extent(self), BLOCK) if self.read(box).any())


class SparseLabels:
    """Labels in memory of which only the blocks that hold something take room.

    Parameters
    ----------
    shape : (rows, cols)
        Of the labels.
    origin : (row, col)
        Level-0 position of the first pixel.
    """

    def __init__(self, shape: tuple[int, int], origin: tuple[int, int] = (0, 0)) -> None:
        self.shape = shape
        self.origin = origin
        self._blocks: dict[tuple[int, int], NDArray[np.uint32]] = {}

    def paste(self, ids: NDArray[np.integer[Any]], box: Box) -> None:
        """Write the ids that are not 0 at a level-0 box; what reaches outside is left out."""
        inside = box.intersection(extent(self))
        if inside is None:
            return
        for place, part, block in self._parts(inside):
            values = ids[part.slices((round(box.r0), round(box.c0)))]
            if not values.any():
                continue
            stored = self._blocks.setdefault(place, np.zeros(block.shape, np.uint32))
            window = stored[part.slices((round(block.r0), round(block.c0)))]
            np.copyto(window, values.astype(np.uint32), where=values != 0)

    def read(self, box: Box) -> NDArray[np.uint32]:
        """The (h, w) uint32 labels of a level-0 box."""
        check_inside(self, box)
        out = np.zeros(box.shape, np.uint32)
        for place, part, block in self._parts(box):
            stored = self._blocks.get(place)
            if stored is not None:
                window = stored[part.slices((round(block.r0), round(block.c0)))]
                out[part.slices((round(box.r0), round(box.c0)))] = window
        return out

    def filled_boxes(self) -> Iterator[Box]:
        """The blocks that were written to."""
        grid = self._grid()
        return (grid.tile(*place).inner for place in sorted(self._blocks))

    def _grid(self) -> TileGrid:
        whole = extent(self)
        return TileGrid(whole, _SPARSE_BLOCK, 0, whole)

    def _parts(self, box: Box) -> Iterator[tuple[tuple[int, int], Box, Box]]:
        """Each block a box meets: its place, the common part, and the block's box."""
        grid = self._grid()
        for place in cells(grid, box):
            block = grid.tile(*place).inner
            part = block.intersection(box)
            if part is not None:
                yield place, part, block


def cells(grid: TileGrid, box: Box) -> Iterator[tuple[int, int]]:
    """The (row, col) places of a grid whose tiles meet an integer box inside its region."""
    r0, c0 = box.r0 - grid.region.r0, box.c0 - grid.region.c0
    rows = range(int(r0 // grid.size), int((r0 + box.height - 1) // grid.size) + 1)
    cols = range(int(c0 // grid.size), int((c0 + box.width - 1) // grid.size) + 1)
    return ((r, c) for r in rows for c in cols)


def check_inside(labels: LabelSource, box: Box) -> None:
    """Refuse a box that reaches outside the labels."""
    if not extent(labels).covers(box):
        raise RegionError(
            f"Region {tuple(box)} reaches outside the labels {tuple(extent(labels))}."
        )


def read_padded(labels: LabelSource, box: Box) -> NDArray[np.uint32]:
    """The labels of a level-0 box, (h, w) uint32, 0 where they do not reach."""
    inside = box.intersection(extent(labels))
    if inside == box:
        return labels.read(box)
    out = np.zeros(box.shape, np.uint32)
    if inside is not None:
        out[inside.slices((box.r0, box.c0))] = labels.read(inside)
    return out


def check_label_array(shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> None:
    """Refuse what cannot be labels: colours, stacks and numbers with a fraction."""
    if len(shape) == 3 and shape[-1] in (3, 4):
        raise LabelError(
            f"{name} is a colour image of shape {tuple(shape)}. Labels have one channel in which "
            "each object has its own whole number; give the label image, not its picture."
        )
    if len(shape) != 2:
        raise LabelError(f"{name} has shape {tuple(shape)}; labels have rows and columns only.")
    if dtype.kind not in "bui":
        raise LabelError(
            f"{name} holds {dtype} numbers. Labels are whole numbers, one an object; "
            "convert it to uint32."
        )


def as_ids(array: NDArray[Any]) -> NDArray[np.uint32]:
    """Integer labels as uint32.

    Raises
    ------
    LabelError
        If an id is negative or above 4294967295.
    """
    if array.dtype == np.uint32:
        return array
    if array.dtype.kind == "i" or array.dtype.itemsize > 4:
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        if low < 0 or high > np.iinfo(np.uint32).max:
            wrong = low if low < 0 else high
            raise LabelError(f"Label ids lie in 0 ... 4294967295, but there is {wrong}.")
    return array.astype(np.uint32)
