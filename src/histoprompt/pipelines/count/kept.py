"""A count that somebody works on: kept on disk between runs, classified anew, written to files.

While `count_slide` writes files and forgets, this keeps the store of a count in the user's folder,
one for each region and choice of models. Opening it again takes up an unfinished count where it
stopped, and a finished one at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from histoprompt.annotations.aside import free_name
from histoprompt.core import settings
from histoprompt.core.cell_table import CellTable
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.durable import make_folder
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.slides.slide import Slide
from histoprompt.core.stain.fit import StainMatrix
from histoprompt.core.stain.ihc import DabThresholds
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.audit.estimate import Corrected
from histoprompt.pipelines.cells.find import tiles_of
from histoprompt.pipelines.cells.intensities import measured_names
from histoprompt.pipelines.cells.stains import stain_notes, stains_of
from histoprompt.pipelines.classes.classifiers import FewShotClassifier
from histoprompt.pipelines.count.correction_log import FILE as CORRECTIONS
from histoprompt.pipelines.count.correction_log import CorrectionLog
from histoprompt.pipelines.count.hand_work import HandTally
from histoprompt.pipelines.count.ignored import ignored_of
from histoprompt.pipelines.count.job import CountChoice, count_job
from histoprompt.pipelines.count.notes import told_before, unlike_notes
from histoprompt.pipelines.count.pyramid import label_pyramid
from histoprompt.pipelines.count.region import ALL, CountRegion, count_region
from histoprompt.pipelines.count.run import CountJob, CountProgress, count_cells
from histoprompt.pipelines.count.slide import CountResult, write_count
from histoprompt.pipelines.count.store import CountStore
from histoprompt.pipelines.count.store_files import record_type
from histoprompt.pipelines.count.tally import QUPATH, TallyRow, class_lines
from histoprompt.pipelines.formats.regions import Region

# Whether the slide looks unlike what its model has learnt from, as found when its count began; the
# name has the digest of how cells are found.
_UNLIKE = "unlike-{}.txt"


@dataclass(frozen=True, eq=False)
class KeptCount:
    """A count to work on.

    Attributes
    ----------
    slide : Slide
    job : CountJob
    ground : CountRegion
        What is counted.
    progress : CountProgress
        How far it got.
    cells : CellTable
        As they were counted, and corrected by hand since.
    levels : sequence of (h, w) uint32
        Labels of the region at level 0, then at 1/2, 1/4 ..., as they were counted.
    mm2 : (float, float)
        Square millimetres analysed, and of the region with its glass.
    folder : Path
        Holds the count and what is said about its cells.
    notes : tuple of str
        What a person should know of the slide, the model and how the count was made.
    found : CellTable or None
        As they were counted, where they may be corrected.
    log : CorrectionLog or None
        Corrections by hand; None for a count that is not finished.
    dyes : StainMatrix or None
        Of the slide, by which cells are measured.
    """

    slide: Slide
    job: CountJob
    ground: CountRegion
    progress: CountProgress
    cells: CellTable
    levels: Sequence[Any]
    mm2: tuple[float, float]
    folder: Path
    notes: tuple[str, ...] = ()
    found: CellTable | None = None
    log: CorrectionLog | None = None
    dyes: StainMatrix | None = None

    @property
    def complete(self) -> bool:
        """Whether every tile is done."""
        return self.progress.complete

    def as_found(self) -> KeptCount:
        """The same count without any correction by hand."""
        store = self.progress.store.corrected(None)
        cells = self.cells if self.found is None else self.found
        return replace(self, progress=replace(self.progress, store=store), cells=cells)

    def is_of(self, other: KeptCount | None) -> bool:
        """Whether both are one count as far as it got, corrected or not."""
        if other is None or other.folder != self.folder:
            return False
        return len(other.progress.done) == len(self.progress.done)

    @property
    def ever(self) -> int:
        """The largest id that a cell of this count ever had, also one that was corrected away."""
        return len(self.cells) if self.log is None else self.log.ever

    def holds(self, cell: int) -> bool:
        """Whether there is a cell of this id."""
        return self.row_of(cell) >= 0

    def row_of(self, cell: int) -> int:
        """The row of a cell in `cells`, whose ids ascend; -1 if there is none."""
        ids = self.cells.id
        row = int(np.searchsorted(ids, cell))
        return row if row < len(ids) and ids[row] == cell else -1

    @property
    def by_hand(self) -> HandTally:
        """What corrections by hand come to in `cells`."""
        return self.progress.store.by_hand

    def corrected(self) -> KeptCount:
        """The same count with the corrections that hold now."""
        if self.log is None or self.found is None:
            return self
        now = self.log.now
        store = self.progress.store.corrected(now)
        made = now.records(store.head, record_type(len(store.head.names)))
        progress = replace(self.progress, store=store)
        return replace(self, progress=progress, cells=now.table(self.found, made))


def open_or_run(
    slide: Slide,
    choice: CountChoice,
    manager: ModelManager,
    box: Box | None,
    *,
    regions: Sequence[Region] = (),
    task: Task,
) -> KeptCount:
    """Count a region, or go on with it, and keep it.

    Parameters
    ----------
    slide : Slide
        Its mpp must be known.
    choice : CountChoice
    manager : ModelManager
        Lends the models.
    box : Box or None
        The region; the whole slide's tissue if None.
    regions : sequence of Region
        Drawn or scored ones, in place of `box`; tiles that meet none are not read.
    task : Task
        When it is cancelled while cells are counted, those counted so far are returned.

    Raises
    ------
    MissingMppError, RegionError, ExportError, ModelError, WeightsError
        As `count_slide` and `count_job`.
    """
    task.step(0, 0, f"Looking for tissue in {slide.name}")
    job, without = count_job(choice, manager), ignored_of(slide)
    ground = count_region(slide, box, regions, without=without)
    return keep_count(slide, job, ground, task=task, box=box, regions=regions)


def keep_count(
    slide: Slide,
    job: CountJob,
    ground: CountRegion,
    *,
    task: Task,
    box: Box | None = None,
    regions: Sequence[Region] = (),
) -> KeptCount:
    """As `open_or_run`, with a job and the ground it is for."""
    folder = work_folder(slide, job, box, regions, ground.without)
    tiles_of(slide, ground.box, job.tile)  # refuses what cannot be counted before a model looks
    task.step(0, 0, f"Looking at the stain of {slide.name}")
    dyes = stains_of(slide, ground.tissue, ground.box)
    look = partial(unlike_notes, slide, ground, job.source, task)
    stain = stain_notes(dyes, str(job.settings.get("segmenter", "")))
    early = told_before(stain, partial(_once, _unlike_file(folder, job), look), task)
    progress = count_cells(slide, ground, dyes, job, folder=folder, task=task)
    with progress.store:
        notes = [*progress.store.notes, *_set_aside(folder, progress), *early]
        if not progress.complete:
            ground = replace(ground, parts=progress.done)
        # what was counted is made ready in any case, however often somebody cancels
        levels = label_pyramid(progress.store, Task(task.report))
    mm2 = (ground.analysed_mm2(), ground.region_mm2()) if progress.done else (0.0, 0.0)
    cells = progress.store.table()
    log = correction_log(folder, progress.store, slide) if progress.complete else None
    notes += [] if log is None else log.notes
    work = KeptCount(slide, job, ground, progress, cells, levels, mm2, folder, tuple(notes))
    return replace(work, found=cells, log=log, dyes=dyes).corrected()


def correction_log(folder: Path, store: CountStore, slide: Slide) -> CorrectionLog:
    """What a person corrected of the cells of a finished count.

    Parameters
    ----------
    folder : Path
        Of the count.
    store : CountStore
    slide : Slide

    Raises
    ------
    LabelError, ExportError
        As `CorrectionLog`.
    """
    found = store.corrected(None)
    names = found.head.names or measured_names(slide)
    return CorrectionLog(folder, found.counted, found.digest, names, found.read)


def _once(path: Path, notes_of: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """Notes that a model is run for, kept in a file: opening a finished count runs none."""
    if path.is_file():
        return tuple(path.read_text(encoding="utf-8").splitlines())
    notes = notes_of()
    make_folder(path.parent)
    replace_file(path, "\n".join(notes))
    return notes


def _unlike_file(folder: Path, job: CountJob) -> Path:
    digest = hashlib.sha256(json.dumps(job.facts, sort_keys=True).encode()).hexdigest()
    return folder / _UNLIKE.format(digest[:12])


def _set_aside(folder: Path, progress: CountProgress) -> list[str]:
    """Keep what was said of the cells of a count that this program does not go on with."""
    if not progress.store.replaced:
        return []
    kept = []
    said = [*folder.glob("*.json"), *folder.glob(CORRECTIONS)]  # labels given, audit, corrections
    for path in sorted(said):
        kept.append(free_name(folder, path.name))
        path.rename(kept[-1])
    where = f" What was said of its cells is kept in {', '.join(map(str, kept))}." if kept else ""
    return [f"This version finds cells in another way, so they are counted anew.{where}"]


def work_folder(
    slide: Slide,
    job: CountJob,
    box: Box | None,
    regions: Sequence[Region] = (),
    without: Sequence[Region] = (),
) -> Path:
    """The folder of a count: another for every slide, region and choice of models."""
    region = None if box is None else [int(v) for v in box]
    # how cells are found is left out: another version counts anew in the same place, and says so
    facts: list[Any] = [slide.key, slide.mpp, region, dict(job.settings), job.tile]
    if regions:
        facts.append([[r.name, shapely.to_wkt(r.polygon)] for r in regions])
    if without:
        facts.append({"without": [[r.name, shapely.to_wkt(r.polygon)] for r in without]})
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return settings.counts_folder() / digest[:24]


def waiting(work: KeptCount) -> NDArray[np.bool_]:
    """What is still to be counted, as an (h, w) mask on the overview of the slide's tissue."""
    ground = work.ground
    frame = ground.tissue.frame
    mask = np.zeros(frame.shape, bool)
    if work.complete:
        return mask
    mask[_pixels(frame, ground.box)] = True
    for box in work.progress.done:
        mask[_pixels(frame, box)] = False
    if ground.regions:
        return mask & ground.drawn
    return mask if ground.user_drawn else mask & ground.tissue.near


def _pixels(frame: Frame, box: Box) -> tuple[slice, slice]:
    """The pixels of an array that a level-0 box covers, to the nearest one."""
    r0, c0, r1, c1 = (round(v) for v in frame.box_to_array(box))
    return slice(r0, r1), slice(c0, c1)


def lines_of(work: KeptCount, cells: CellTable) -> list[TallyRow]:
    """Counts, shares and densities of the classes that the cells of a count have now."""
    counts = np.bincount(cells.code, minlength=len(cells.classes))
    return class_lines(ALL, cells.classes, counts.astype(np.int64), work.mm2)


@dataclass(frozen=True)
class CountFindings:
    """What the files of a count say besides the cells.

    Attributes
    ----------
    how : str
        By what the cells were classified; empty if they were not.
    thresholds : DabThresholds
        Of the score of an immunostain.
    corrected : tuple of Corrected
        Results of an audit.
    classifier : FewShotClassifier or None
        What gave the classes, if that was learnt.
    """

    how: str = ""
    thresholds: DabThresholds = QUPATH
    corrected: tuple[Corrected, ...] = ()
    classifier: FewShotClassifier | None = None


def write_work(
    work: KeptCount, cells: CellTable, folder: Path, findings: CountFindings, *, task: Task
) -> CountResult:
    """Write the files of `histoprompt count`, with the classes that cells have now.

    Parameters
    ----------
    work : KeptCount
    cells : CellTable
        The cells of `work`, classified.
    folder : Path
        Of the results; replaced file by file.
    findings : CountFindings
    task : Task

    Raises
    ------
    ExportError
        If the disk is full.
    """
    progress = replace(work.progress, store=work.progress.store.classified(cells))
    settings = {**work.job.settings, "classifier": findings.how or None}
    job = replace(work.job, settings=settings, classifier=findings.classifier)
    return write_count(
        work.slide,
        job,
        progress,
        work.ground,
        folder=folder,
        task=task,
        thresholds=findings.thresholds,
        corrected=findings.corrected,
        notes=work.notes,
        by_hand=work.by_hand,
    )
