"""The two planes of a slide's labels, regions and the objects in them, and the chunks of each."""

from __future__ import annotations

from typing import Literal

Plane = Literal["objects", "regions"]
"""Pixels of one plane never take those of the other: a region contains objects."""

PLANES: tuple[Plane, ...] = ("objects", "regions")
ARRAYS = ("labels.zarr", "regions.zarr")
"""The zarr group of each plane, in the order of `PLANES`."""

Key = tuple[int, int, int]
"""(plane, row, col) of a chunk: number in `PLANES`, and place in the grid of its level."""

Name = tuple[int, int, int, int]
"""(level, plane, row, col) of a chunk."""


def above(key: Key) -> Key:
    """The chunk of the next coarser level that covers a chunk."""
    plane, row, col = key
    return plane, row // 2, col // 2


def below(key: Key) -> list[Key]:
    """The chunks of the next finer level a chunk covers."""
    plane, row, col = key
    return [(plane, 2 * row + i, 2 * col + j) for i in (0, 1) for j in (0, 1)]
