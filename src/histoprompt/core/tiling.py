"""Tiles with a halo, and the rule for who owns what at a seam.

Every level-0 position of the region belongs to the inner box of exactly one tile. A model sees the
outer box (inner + halo, kept inside the slide) and keeps what its inner box owns, so results need
no merging and do not depend on the order of tiles. How wide the halo is, each use case says: for
cells it is `HALO_UM` of `pipelines/cells/tile_context.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of a grid.

    Attributes
    ----------
    row, col : int
        Position in the grid.
    inner : Box
        What this tile owns, integer level-0 pixels.
    outer : Box
        What is read: `inner` and its halo, cut at the bounds.
    """

    row: int
    col: int
    inner: Box
    outer: Box

    def owns(self, row: float, col: float) -> bool:
        """Whether a level-0 point belongs to this tile and to no other."""
        return self.inner.contains(row, col)


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Tiles of one size over a region.

    Attributes
    ----------
    region : Box
        Integer level-0 box to cover.
    size : int
        Side of the inner boxes in level-0 pixels; tiles at the far edges are smaller.
    halo : int
        Level-0 pixels read around the inner box.
    bounds : Box
        Where pixels exist; halos are cut here. Usually the whole slide.

    Raises
    ------
    RegionError
        If the size is not positive, the halo negative, or the region outside the bounds.
    """

    region: Box
    size: int
    halo: int
    bounds: Box

    def __post_init__(self) -> None:
        if self.size < 1 or self.halo < 0:
            raise RegionError(
                f"Tiles need a size of at least 1 and a halo of at least 0 pixels, "
                f"not {self.size} and {self.halo}."
            )
        if not self.bounds.covers(self.region):
            raise RegionError(
                f"Region {tuple(self.region)} reaches outside the slide {tuple(self.bounds)}."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Tiles down and across."""
        h, w = self.region.shape
        return -(-h // self.size), -(-w // self.size)

    def __len__(self) -> int:
        rows, cols = self.shape
        return rows * cols

    @property
    def areas(self) -> NDArray[np.int64]:
        """(rows, cols) level-0 pixels of the inner boxes: less at the far edges."""
        lengths = [
            np.minimum(self.size, int(length) - np.arange(count) * self.size)
            for length, count in zip(self.region.shape, self.shape, strict=True)
        ]
        return np.multiply.outer(*lengths).astype(np.int64)

    def __iter__(self) -> Iterator[Tile]:
        rows, cols = self.shape
        return (self.tile(r, c) for r in range(rows) for c in range(cols))

    def tile(self, row: int, col: int) -> Tile:
        """The tile at this place of the grid."""
        r0, c0 = self.region.r0 + row * self.size, self.region.c0 + col * self.size
        inner = Box(
            r0, c0, min(r0 + self.size, self.region.r1), min(c0 + self.size, self.region.c1)
        )
        outer = inner.pad(self.halo).intersection(self.bounds)
        assert outer is not None  # the inner box lies within the bounds
        return Tile(row, col, inner, outer)

    def tile_of(self, row: float, col: float) -> Tile | None:
        """The tile that owns a level-0 point, or None outside the region."""
        if not self.region.contains(row, col):
            return None
        r = int((row + 0.5 - self.region.r0) // self.size)
        c = int((col + 0.5 - self.region.c0) // self.size)
        return self.tile(r, c)
