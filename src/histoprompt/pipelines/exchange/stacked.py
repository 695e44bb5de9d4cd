"""Several files as one: the objects of a later file lie on those of an earlier one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import Classes
from histoprompt.core.labels.sources import BLOCK, LabelSource, cells, check_inside, extent
from histoprompt.core.labels.table import scan
from histoprompt.core.task import Task
from histoprompt.core.tiling import TileGrid
from histoprompt.pipelines.exchange.incoming import Incoming
from histoprompt.pipelines.exchange.measured import joined


class StackedLabels:
    """Labels of several sources, numbered on from one to the next.

    Parameters
    ----------
    sources : sequence of LabelSource
    shifts : sequence of int
        What is added to the ids of each.
    shape : (rows, cols)
        Of the slide.
    """

    origin = (0, 0)

    def __init__(
        self, sources: Sequence[LabelSource], shifts: Sequence[int], shape: tuple[int, int]
    ) -> None:
        self.shape = shape
        self._sources = list(zip(sources, shifts, strict=True))

    def read(self, box: Box) -> NDArray[np.uint32]:
        """The (h, w) uint32 labels of a level-0 box."""
        check_inside(self, box)
        out = np.zeros(box.shape, np.uint32)
        for source, shift in self._sources:
            inside = box.intersection(extent(source))
            if inside is not None:
                ids = source.read(inside)
                window = out[inside.slices((round(box.r0), round(box.c0)))]
                np.copyto(window, ids + np.uint32(shift), where=ids > 0)
        return out

    def filled_boxes(self) -> Iterator[Box]:
        """The blocks of a grid that any source fills."""
        whole = extent(self)
        grid = TileGrid(whole, BLOCK, 0, whole)
        boxes = (box for source, _ in self._sources for box in source.filled_boxes())
        places = sorted({place for box in boxes for place in cells(grid, box)})
        return (grid.tile(*place).inner for place in places)


def stacked(found: Sequence[Incoming], shape: tuple[int, int], task: Task) -> Incoming:
    """The objects of several files as those of one; ids of later files go on after the earlier."""
    if len(found) == 1:
        return found[0]
    shifts, names, titles = [0], dict[int, str](), dict[int, str]()
    for one in found:
        names |= {i + shifts[-1]: one.classes.of(i) for i in one.table.ids.tolist()}
        titles |= {i + shifts[-1]: title for i, title in one.titles.items()}
        shifts.append(shifts[-1] + max(one.table.ids.tolist(), default=0))
    labels = StackedLabels([one.labels for one in found], shifts[:-1], shape)
    colours = {k: v for one in found for k, v in one.classes.colours.items()}
    return replace(
        found[0],
        labels=labels,
        table=scan(labels, task),
        classes=Classes(names, colours, ""),
        titles=titles,
        outside=sum(one.outside for one in found),
        repaired=sum(one.repaired for one in found),
        centres=tuple(c for one in found for c in one.centres),
        measured=joined([one.measured for one in found], shifts[:-1]),
        notes=tuple(dict.fromkeys(note for one in found for note in one.notes)),
        made_by={"further files": [one.path.name for one in found[1:]]},
    )
