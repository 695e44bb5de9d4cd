"""The chain's second half: cells inside scored regions, told apart by words, counted per region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from histoprompt.core.cell_table import UNCLASSIFIED, CellTable
from histoprompt.core.errors import Cancelled, RegionError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.tables import table_writer
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.count.kept import KeptCount, open_or_run
from histoprompt.pipelines.count.region import count_region
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.formats.cell_tables import AT_ONCE, write_cells_csv
from histoprompt.pipelines.formats.regions import Region
from histoprompt.pipelines.regions.cell_texts import CellTexts, check_texts, score_cells

CELLS_FILE, COUNTS_FILE = "region_cells.csv", "region_counts.csv"
# Which part of counting and naming the former is, for progress.
_COUNTING = 0.7


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
        """(region, class, cells, cells a square millimetre), all classes of all regions.

        Cells without a class are left out where there are none but classes.
        """
        rows, classes = [], self.cells.classes
        for i, (name, area) in enumerate(zip(self.names, self.mm2, strict=True)):
            found = np.bincount(self.cells.code[self.inside[:, i]], minlength=len(classes))
            for class_name, count in zip(classes, found.tolist(), strict=True):
                if count or class_name != UNCLASSIFIED or len(classes) == 1:
                    rows.append((name, class_name, count, count / area if area else float("nan")))
        return rows

    def with_classes(self, cells: CellTable) -> RegionCounts:
        """The same cells after they were classified, corrected or scored anew."""
        return replace(self, cells=cells)


@dataclass(frozen=True, eq=False)
class RegionCountResult:
    """What came of the chain.

    Attributes
    ----------
    counts : RegionCounts
        The cells in the regions, with the classes that words gave them.
    work : KeptCount
        The count they are from, kept on disk: what a person reviews and corrects.
    named : bool
        Whether words told the cells apart.
    """

    counts: RegionCounts
    work: KeptCount
    named: bool = False


def count_regions(
    slide: Slide,
    regions: Sequence[Region],
    choice: CountChoice,
    job: ScoreJob,
    task: Task,
    *,
    texts: CellTexts | None = None,
    counted: KeptCount | None = None,
) -> RegionCountResult:
    """From regions to counts: cells inside them, told apart by texts where these are given.

    Tiles that meet no region are not read. The count is kept as one of `open_or_run` is: it
    goes on where a cancelled one stopped, and finished it is taken up at once.

    Parameters
    ----------
    slide : Slide
        Its mpp must be known.
    regions : sequence of Region
        From `scored_regions.named`, or read from a file.
    choice : CountChoice
        What finds cells.
    job : ScoreJob
        Lends all models.
    task : Task
        When it is cancelled, cells found so far are kept, and returned without names.
    texts : CellTexts, optional
        Classes in words; all cells are of one kind without.
    counted : KeptCount, optional
        A count there is: its cells are taken if it is finished and covers the regions.

    Raises
    ------
    RegionError
        If there is no region.
    MissingMppError
        If the slide has no pixel size.
    PromptError, ModelError
        As `score_cells`, before any cell is looked for.
    ExportError
        If the disk is full.
    Cancelled
        Before any cell was counted.
    """
    if not regions:
        raise RegionError(
            "There is no region to count in: no tile reached the threshold. Lower it, or mark "
            "some tiles yes."
        )
    wanted = texts if texts is not None and texts.texts else None
    if wanted is not None:
        check_texts(wanted, job, task)
    if counted is not None and _serves(counted, slide, regions, choice):
        task.step(0, 0, "Taking the cells of the count there is")
        work = counted
    else:
        part = task if wanted is None else task.part(0.0, _COUNTING)
        work = open_or_run(slide, choice, job.manager, None, regions=regions, task=part)
    if task.cancelled and not work.progress.done:
        raise Cancelled
    counts = in_regions(work, regions)
    if wanted is None or task.cancelled:
        return RegionCountResult(counts, work)
    try:
        named = score_cells(slide, counts.cells, wanted, job, task.part(_COUNTING, 1.0))
    except Cancelled:
        return RegionCountResult(counts, work)
    return RegionCountResult(counts.with_classes(named), work, named=True)


def in_regions(work: KeptCount, regions: Sequence[Region]) -> RegionCounts:
    """The cells of a count that lie in regions, with the ids and classes they have.

    Of a count that is not finished, areas are those of the tiles that are.

    Parameters
    ----------
    work : KeptCount
    regions : sequence of Region
        One at least.
    """
    before = work.ground
    ground = count_region(work.slide, regions=regions, tissue=before.tissue, without=before.without)
    ground = replace(ground, parts=before.parts)
    cells = work.cells[ground.counts(_places(work.cells))]
    names = tuple(region.name for region in ground.regions)
    areas = tuple(ground.analysed_mm2(name) for name in names)
    return RegionCounts(cells, ground.membership(_places(cells)), names, areas)


def _places(cells: CellTable) -> NDArray[np.float64]:
    return np.stack([cells.row, cells.col], axis=1)


def _serves(work: KeptCount, slide: Slide, regions: Sequence[Region], choice: CountChoice) -> bool:
    """Whether the cells of a count may stand for those that would be found in regions.

    A count of a place that a person chose does whatever found its cells, since it may have been
    reviewed; one that was made of regions only where the same model is chosen again.
    """
    if not work.complete or (work.slide.key, work.slide.mpp) != (slide.key, slide.mpp):
        return False
    drawn = work.ground.regions
    if drawn and work.job.settings["segmenter"] != choice.segmenter:
        return False
    box = work.ground.box
    whole = shapely.box(box.c0, box.r0, box.c1, box.r1)
    held = shapely.union_all([region.polygon for region in drawn]) if drawn else whole
    inside = shapely.box(0, 0, slide.shape[1], slide.shape[0])
    return all(shapely.covers(held, shapely.intersection(r.polygon, inside)) for r in regions)


def write_counts(folder: Path, found: RegionCounts) -> None:
    """Write ``region_cells.csv`` and ``region_counts.csv``, each whole or not at all.

    Raises
    ------
    ExportError
        If they cannot be written.
    """
    names = np.array(found.names)
    regions = ("regions", ("; ".join(names[inside]) for inside in found.inside))
    cells = found.cells.without_features()
    write_cells_csv(folder / CELLS_FILE, cells.pieces(AT_ONCE), regions)
    with (
        replacing_file(folder / COUNTS_FILE) as part,
        part.open("w", newline="", encoding="utf-8") as file,
    ):
        columns = ("region", "class", "cells", "per_mm2", "mm2")
        write = table_writer(file, columns, names=("class", "region"))
        areas = dict(zip(found.names, found.mm2, strict=True))
        for name, class_name, count, density in found.table():
            write([name, class_name, count, f"{density:.2f}", f"{areas[name]:.6f}"])
