"""The chain's second half: cells inside scored regions, told apart by words, counted per region."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.atomic import replacing_file
from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.models.manager import ModelManager
from histoprompt.pipelines.find_cells import ModelCells, cells_of_tile, tiles_of
from histoprompt.pipelines.formats.regions import Region
from histoprompt.pipelines.ground import Ground, ground_of
from histoprompt.pipelines.score_cells import CellTexts, score_cells
from histoprompt.pipelines.score_tiles import ScoreJob

CELLS_FILE, COUNTS_FILE = "region_cells.csv", "region_counts.csv"


@dataclass(frozen=True, eq=False)
class RegionCounts:
    """Cells of drawn or scored regions.

    Attributes
    ----------
    cells : CellTable
        All cells whose centroid lies in a region; a cell of two overlapping regions stands once.
    inside : (n, regions) bool
        In which regions each lies.
    names : tuple of str
        Of the regions.
    mm2 : tuple of float
        Square millimetres of each region, glass left out.
    """

    cells: CellTable
    inside: NDArray[np.bool_]
    names: tuple[str, ...]
    mm2: tuple[float, ...]

    def table(self) -> list[tuple[str, str, int, float]]:
        """(region, class, cells, cells a square millimetre), all classes of all regions."""
        rows = []
        for i, (name, area) in enumerate(zip(self.names, self.mm2, strict=True)):
            for class_name, count in self.cells[self.inside[:, i]].counts().items():
                rows.append((name, class_name, count, count / area if area else float("nan")))
        return rows

    def with_classes(self, cells: CellTable) -> RegionCounts:
        """The same cells after they were classified, corrected or scored anew."""
        return replace(self, cells=cells)


def count_regions(
    slide: Slide, regions: Sequence[Region], card: ModelCard, manager: ModelManager, task: Task
) -> RegionCounts:
    """Find the cells inside regions; tiles that meet none are not read.

    Parameters
    ----------
    slide : Slide
        Its mpp must be known.
    regions : sequence of Region
        From `scored_regions.named`, or read from a file.
    card : ModelCard
        Of a cell segmenter.
    manager : ModelManager
    task : Task

    Raises
    ------
    RegionError
        If there is no region.
    MissingMppError
        If the slide has no pixel size.
    """
    _check(regions)
    ground = ground_of(slide, regions=regions)
    parts = _found(slide, ground, ModelCells(card, manager), task)
    at = np.concatenate([p[:, :2] for p in parts]).reshape(-1, 2)
    cells = CellTable(
        id=np.arange(1, len(at) + 1),
        row=at[:, 0],
        col=at[:, 1],
        area_um2=np.concatenate([p[:, 2] for p in parts]),
    )
    return _in_regions(cells, ground)


def counted_before(slide: Slide, regions: Sequence[Region], cells: CellTable) -> RegionCounts:
    """The cells of an earlier count that lie in regions, with the ids and classes they have.

    Parameters
    ----------
    slide, regions
        As for `count_regions`.
    cells : CellTable
        Of a count that covers the regions.

    Raises
    ------
    RegionError
        If there is no region.
    """
    _check(regions)
    ground = ground_of(slide, regions=regions)
    return _in_regions(cells[ground.counts(_places(cells))], ground)


def _in_regions(cells: CellTable, ground: Ground) -> RegionCounts:
    names = tuple(region.name for region in ground.regions)
    areas = tuple(ground.analysed_mm2(name) for name in names)
    return RegionCounts(cells, ground.membership(_places(cells)), names, areas)


def _places(cells: CellTable) -> NDArray[np.float64]:
    return np.stack([cells.row, cells.col], axis=1)


def _check(regions: Sequence[Region]) -> None:
    if not regions:
        raise RegionError(
            "There is no region to count in: no tile reached the threshold. Lower it, or mark "
            "some tiles yes."
        )


def chain(
    slide: Slide,
    regions: Sequence[Region],
    card: ModelCard,
    job: ScoreJob,
    task: Task,
    *,
    texts: CellTexts | None = None,
) -> RegionCounts:
    """From regions to counts: cells inside them, told apart by texts where these are given.

    Parameters
    ----------
    slide, regions, card, task
        As for `count_regions`.
    job : ScoreJob
        Lends both models.
    texts : CellTexts, optional
        Classes in words; all cells are of one kind without.
    """
    found = count_regions(slide, regions, card, job.manager, task)
    if texts is None or not texts.texts:
        return found
    return found.with_classes(score_cells(slide, found.cells, texts, job, task))


def write_counts(folder: Path, found: RegionCounts) -> None:
    """Write ``region_cells.csv`` and ``region_counts.csv``, each whole or not at all.

    Raises
    ------
    ExportError
        If they cannot be written.
    """
    with _table(folder / CELLS_FILE) as writer:
        writer(["id", "row", "col", "area_um2", "class", "score", "regions"])
        cells, names = found.cells, np.array(found.names)
        for i, class_name in enumerate(cells.class_names):
            place = f"{cells.row[i]:.2f}", f"{cells.col[i]:.2f}", f"{cells.area_um2[i]:.3f}"
            where = "; ".join(names[found.inside[i]])
            score = "" if np.isnan(cells.score[i]) else f"{cells.score[i]:.4f}"
            writer([cells.id[i], *place, class_name, score, where])
    with _table(folder / COUNTS_FILE) as writer:
        writer(["region", "class", "cells", "per_mm2", "mm2"])
        areas = dict(zip(found.names, found.mm2, strict=True))
        for name, class_name, count, density in found.table():
            writer([name, class_name, count, f"{density:.2f}", f"{areas[name]:.6f}"])


@contextmanager
def _table(path: Path) -> Iterator[Callable[[Iterable[object]], object]]:
    """A CSV file, given a row at a time, that appears when it is whole."""
    with replacing_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        yield csv.writer(file).writerow


def _found(
    slide: Slide, ground: Ground, source: ModelCells, task: Task
) -> list[NDArray[np.float64]]:
    """(k, 3) row, col and area of the cells of each tile that meets a region."""
    assert ground.regions
    tiles = [t for t in tiles_of(slide, _inside(ground, slide)) if ground.meets(t.inner)]
    parts = [np.zeros((0, 3))]
    for done, tile in enumerate(tiles):
        task.step(done, len(tiles), f"Finding cells in {slide.name}")
        found = cells_of_tile(source, slide, tile, task)
        found = found.only(ground.counts(found.centroids))
        pixels = np.bincount(found.labels.ravel(), minlength=len(found) + 1)[1:]
        area = pixels * (found.scale * (slide.mpp or 1.0)) ** 2
        parts.append(np.column_stack([found.centroids, area]))
    task.step(len(tiles), len(tiles), "Done")
    return parts


def _inside(ground: Ground, slide: Slide) -> Box:
    box = ground.box.intersection(slide.box)
    assert box is not None  # regions were cut at the slide
    return box
