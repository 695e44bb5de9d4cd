"""Masks of many objects as one label image, without ever holding that image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.geometry import Box
from histoprompt.core.results import Mask

BLOCK = 512


class ComposedLabels:
    """A label source made of masks; where masks overlap the smaller object wins.

    The smaller one wins so that the result does not depend on the order of objects and a nucleus
    inside a gland stays visible.

    Parameters
    ----------
    region : Box
        Integer level-0 box the labels cover.
    objects : iterable of (id, Mask)
        Masks in level-0 pixels; empty ones are left out.

    Attributes
    ----------
    shape : (rows, cols)
        Of the region.
    origin : (row, col)
        Level-0 position of the labels' first pixel.
    """

    def __init__(self, region: Box, objects: Iterable[tuple[int, Mask]]) -> None:
        self.shape = region.shape
        self.origin = (round(region.r0), round(region.c0))
        self._region = region
        kept = [(i, m) for i, m in objects if not m.empty and _common(m, region) is not None]
        self._objects = sorted(kept, key=lambda item: (-int(item[1].array.sum()), item[0]))
        self._blocks: dict[tuple[int, int], list[int]] = {}
        for index, (_, mask) in enumerate(self._objects):
            for block in self._blocks_of(mask):
                self._blocks.setdefault(block, []).append(index)

    @property
    def ids(self) -> list[int]:
        """The ids present, sorted."""
        return sorted(i for i, _ in self._objects)

    def read(self, box: Box) -> NDArray[np.uint32]:
        """Labels inside a level-0 box, (h, w) uint32."""
        out = np.zeros(box.shape, np.uint32)
        wanted = {i for block in _blocks(box) for i in self._blocks.get(block, ())}
        for index in sorted(wanted):
            value, mask = self._objects[index]
            part = mask.frame.box.intersection(box)
            if part is not None:
                target = out[part.slices((box.r0, box.c0))]
                target[mask.array[part.slices((mask.frame.box.r0, mask.frame.box.c0))]] = value
        return out

    def filled_boxes(self) -> Iterator[Box]:
        """Level-0 blocks that hold objects; they do not overlap."""
        for row, col in sorted(self._blocks):
            block = Box(row * BLOCK, col * BLOCK, (row + 1) * BLOCK, (col + 1) * BLOCK)
            inside = block.intersection(self._region)
            if inside is not None:
                yield inside

    def _blocks_of(self, mask: Mask) -> Iterator[tuple[int, int]]:
        part = _common(mask, self._region)
        return _blocks(part) if part else iter(())


def _common(mask: Mask, region: Box) -> Box | None:
    return mask.frame.box.intersection(region)


def _blocks(box: Box) -> Iterator[tuple[int, int]]:
    rows = range(int(box.r0) // BLOCK, (int(box.r1) - 1) // BLOCK + 1)
    cols = range(int(box.c0) // BLOCK, (int(box.c1) - 1) // BLOCK + 1)
    return ((r, c) for r in rows for c in cols)
