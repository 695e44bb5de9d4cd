"""Cells that somebody outlined already: only what they look like is left to be measured."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import LabelError
from histoprompt.core.geometry import Box, Frame, union_of
from histoprompt.core.labels.classes import Classes
from histoprompt.core.labels.renumber import renumbered
from histoprompt.core.labels.sources import LabelSource
from histoprompt.core.labels.table import LabelTable, compacted
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.core.tissue.find import find_tissue
from histoprompt.pipelines.cells.features import FEATURE_NAMES, measure
from histoprompt.pipelines.cells.find import TileCells, tiles_of
from histoprompt.pipelines.cells.stains import stains_of

# Wider things are no cells, and reading around them would take the memory of a slide.
WIDEST_UM = 256.0
_MOST_CLASSES = 2**15 - 1


@dataclass(frozen=True, eq=False)
class GivenCells:
    """Cells whose outlines are known; a `find.CellSource`.

    Parameters
    ----------
    labels : LabelSource
        Of the slide.
    table : LabelTable
        The objects that count.
    classes : tuple of str
    code : (n,) int16
        Class of each object of the table.
    feature_names : tuple of str
        What is known of the objects beside what is measured here.
    described : (n, k) float32
        It; NaN where an object lacks it.
    """

    labels: LabelSource
    table: LabelTable
    classes: tuple[str, ...]
    code: NDArray[np.int16]
    feature_names: tuple[str, ...] = ()
    described: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    @classmethod
    def of(cls, labels: LabelSource, table: LabelTable, classes: Classes) -> GivenCells:
        """The objects of a table with their classes.

        Raises
        ------
        LabelError
            If there are too many classes.
        """
        codes, names = classes.coded(table.ids)
        known = classes.present(table.ids)
        if len(known) > _MOST_CLASSES:
            raise LabelError(f"There are {len(known)} classes; at most {_MOST_CLASSES} are told.")
        number = {name: i for i, name in enumerate(known)}
        place = np.array([number.get(name, 0) for name in names], np.int16)
        return cls(labels, table, known, place[codes])

    def only(self, rows: NDArray[np.intp]) -> GivenCells:
        """Some of the cells, by their place in the table."""
        described = self.described[rows] if self.feature_names else self.described
        return replace(self, table=self.table.only(rows), code=self.code[rows], described=described)

    def rows_in(self, box: Box) -> NDArray[np.intp]:
        """The cells whose boxes meet a level-0 box, by their place in the table."""
        r0, c0, r1, c1 = self.table.boxes.T
        meet = (r0 < box.r1) & (r1 > box.r0) & (c0 < box.c1) & (c1 > box.c0)
        return np.flatnonzero(meet)

    def find(self, slide: Slide, inner: Box, task: Task) -> TileCells:
        """The cells that meet a tile, each whole, in level-0 pixels."""
        task.step(0, 0, "Measuring cells")
        here = self.rows_in(inner)
        if not len(here):
            corner = Box(inner.r0, inner.c0, inner.r0 + 1, inner.c0 + 1)
            nothing = np.zeros((1, 1), np.int32)
            return TileCells.of(np.zeros((1, 1, 3), np.uint8), nothing, Frame(corner, (1, 1)))
        around = union_of(Box(*corners) for corners in self.table.boxes[here].tolist())
        present, compact, _ = compacted(self.labels.read(around))
        rows = np.searchsorted(self.table.ids, present).clip(max=len(self.table) - 1)
        ours = (self.table.ids[rows] == present) & np.isin(rows, here)
        image, frame = slide.read(around)
        told = self.described[rows[ours]] if self.feature_names else None
        cells = TileCells.of(image, renumbered(compact, ours), frame, told)
        return replace(cells, code=self.code[rows[ours]], classes=self.classes)

    def picture(self, slide: Slide, inner: Box) -> NDArray[np.uint8]:
        """What cells of a tile are measured on."""
        return self.find(slide, inner, Task()).image


def measured(slide: Slide, cells: GivenCells, region: Box, task: Task) -> CellTable:
    """The cells as a table with the features that counting measures.

    What is wider than `WIDEST_UM` is no cell: of it only place and area are told, and the same of
    all where the slide has no pixel size.

    Parameters
    ----------
    slide : Slide
    cells : GivenCells
    region : Box
        That holds them.
    task : Task
    """
    table, n = cells.table, len(cells.table)
    names = FEATURE_NAMES if slide.mpp is not None else ()
    features = np.full((n, len(names)), np.nan, np.float32)
    centres = (table.boxes[:, :2] + table.boxes[:, 2:] - 1) / 2
    if slide.mpp is not None:
        _measure(slide, cells, region, (features, centres), task)
    return CellTable(
        id=table.ids.astype(np.int64),
        row=centres[:, 0],
        col=centres[:, 1],
        area_um2=np.asarray(table.areas * (slide.mpp or np.nan) ** 2, np.float64),
        classes=cells.classes,
        code=cells.code,
        features=features,
        feature_names=names,
    )


def _measure(
    slide: Slide,
    cells: GivenCells,
    region: Box,
    out: tuple[NDArray[np.float32], NDArray[np.float64]],
    task: Task,
) -> None:
    """Fill features and centres of the cells that are narrow enough."""
    assert slide.mpp is not None
    features, centres = out
    narrow = np.flatnonzero(cells.table.widest <= WIDEST_UM / slide.mpp)
    some = cells.only(narrow)
    dyes = stains_of(slide, find_tissue(slide, region), region)
    grid = tiles_of(slide, region)
    for done, tile in enumerate(grid):
        task.step(done, len(grid), "Measuring cells", "tile")
        rows = some.rows_in(tile.inner)
        if len(rows):
            found = some.find(slide, tile.inner, task)
            features[narrow[rows]] = measure(found.image, found.labels, slide.mpp, dyes)
            centres[narrow[rows]] = found.centroids
