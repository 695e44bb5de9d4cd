"""A slide counted into a folder: the use case behind ``histoprompt count``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import shapely

from histoprompt.core.cell_schema import BY_HAND
from histoprompt.core.errors import LabelError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.geometry import Box
from histoprompt.core.labels.tiff import write_labels
from histoprompt.core.provenance import Provenance
from histoprompt.core.slides.slide import Slide
from histoprompt.core.stain.fit import Stain, StainMatrix
from histoprompt.core.stain.ihc import DabThresholds
from histoprompt.core.task import Task
from histoprompt.pipelines.audit.estimate import Corrected
from histoprompt.pipelines.cells.find import tiles_of
from histoprompt.pipelines.cells.intensities import measured_names
from histoprompt.pipelines.cells.stains import stain_notes, stains_of
from histoprompt.pipelines.classes.classifiers import FewShotClassifier
from histoprompt.pipelines.classes.prevalence import counts_over
from histoprompt.pipelines.count import files as count_files
from histoprompt.pipelines.count import picture as count_picture
from histoprompt.pipelines.count.hand_work import NOTHING_CORRECTED, HandTally
from histoprompt.pipelines.count.ignored import ignored_of
from histoprompt.pipelines.count.key import algorithm
from histoprompt.pipelines.count.notes import told_before, unlike_notes
from histoprompt.pipelines.count.region import CountRegion, count_region
from histoprompt.pipelines.count.report import (
    REPORT,
    result_facts,
    write_report,
)
from histoprompt.pipelines.count.result_folders import MADE, slide_of
from histoprompt.pipelines.count.run import CountJob, CountProgress, count_cells, look_ahead
from histoprompt.pipelines.count.store import CountStore
from histoprompt.pipelines.count.tally import QUPATH, Tally, tally
from histoprompt.pipelines.formats.cell_tables import (
    AT_ONCE,
    write_cells_csv,
    write_cells_parquet,
)
from histoprompt.pipelines.formats.json_files import write_json
from histoprompt.pipelines.formats.regions import Region


@dataclass(frozen=True, eq=False)
class CountResult:
    """What a count came to.

    Attributes
    ----------
    folder : Path
        Holds ``labels.tif``, ``cells.csv``, ``cells.parquet``, ``counts.csv``, ``cells.geojson``,
        ``report.html`` and ``count.json``.
    tally : Tally
    ground : CountRegion
    done, total : int
        Tiles.
    notes : tuple of str
        What a reader of the count should know.
    corrected : tuple of Corrected
        Results of an audit.
    by_hand : HandTally
        What a person corrected.
    passing : tuple of str
        Notes of this run alone, such as where it went on: a count that was broken off and one that
        was not have the same files.
    """

    folder: Path
    tally: Tally
    ground: CountRegion
    done: int
    total: int
    notes: tuple[str, ...] = ()
    corrected: tuple[Corrected, ...] = ()
    by_hand: HandTally = NOTHING_CORRECTED
    passing: tuple[str, ...] = ()

    @property
    def lasting(self) -> tuple[str, ...]:
        """The notes that the files tell."""
        return tuple(note for note in self.notes if note not in self.passing)

    @property
    def complete(self) -> bool:
        """Whether every tile is done."""
        return self.done == self.total


def count_slide(
    slide: Slide,
    job: CountJob,
    folder: Path,
    task: Task,
    *,
    box: Box | None = None,
    regions: Iterable[Region] = (),
    without: Sequence[Region] | None = None,
    stain: Stain | None = None,
    notes: tuple[str, ...] = (),
) -> CountResult:
    """Count a slide and write all files.

    A cancelled count is written as far as it got and marked as partial; called again with the same
    arguments it goes on there.

    Parameters
    ----------
    slide : Slide
        Its mpp must be known.
    job : CountJob
    folder : Path
        Of the results; replaced file by file.
    task : Task
    box : Box, optional
        The region to count; the whole slide's tissue if not given.
    regions : iterable of Region
        Drawn regions, in place of `box`.
    without : sequence of Region, optional
        What is ignored wherever it lies; what is committed of the slide in ignored classes if not
        given.
    stain : {"H&E", "H-DAB"}, optional
        Where it is known.
    notes : tuple of str
        What else a reader should know.

    Raises
    ------
    MissingMppError
        If the slide has no pixel size.
    RegionError
        If the region reaches outside the slide, or a whole slide holds glass only.
    ExportError
        If the disk is full, or another program counts into the folder; what was counted before
        stays.
    """
    ground, dyes = _prepared(slide, box, regions, without, stain)
    stain_told = stain_notes(dyes, str(job.settings.get("segmenter", "")))
    look = partial(unlike_notes, slide, ground, job.source, task)
    notes = (*told_before(stain_told, look, task), *notes)
    progress = count_cells(slide, ground, dyes, job, folder=folder, task=task)
    with progress.store:
        # a cancelled task would end the writing of what was counted before it was cancelled
        task = task if progress.complete else Task()
        counted = write_count(slide, job, progress, ground, folder=folder, task=task, notes=notes)
        if progress.complete:
            progress.store.remove()
    return counted


def look_at_share(
    slide: Slide,
    job: CountJob,
    folder: Path,
    share: tuple[int, int],
    task: Task,
    *,
    box: Box | None = None,
    regions: Iterable[Region] = (),
    without: Sequence[Region] | None = None,
    stain: Stain | None = None,
) -> None:
    """Look at a share of the tiles of a slide, so that `count_slide` need not; it counts the same.

    Parameters
    ----------
    slide, job, folder, task, box, regions, without, stain
        As for `count_slide`.
    share : (int, int)
        Which one, from 0, of how many.

    Raises
    ------
    MissingMppError, RegionError, ExportError
        As `count_slide`.
    """
    ground, dyes = _prepared(slide, box, regions, without, stain)
    look_ahead(slide, ground, dyes, job, folder=folder, share=share, task=task)


def _prepared(
    slide: Slide,
    box: Box | None,
    regions: Iterable[Region],
    without: Sequence[Region] | None,
    stain: Stain | None,
) -> tuple[CountRegion, StainMatrix]:
    """What is counted, and the dyes of the slide."""
    tiles_of(slide, box or slide.box)  # refuses what cannot be counted before anything is read
    without = ignored_of(slide) if without is None else without
    ground = count_region(slide, box, tuple(regions), without=without)
    return ground, stains_of(slide, ground.tissue, ground.box, stain)


def write_count(
    slide: Slide,
    job: CountJob,
    progress: CountProgress,
    ground: CountRegion,
    *,
    folder: Path,
    task: Task,
    thresholds: DabThresholds = QUPATH,
    corrected: tuple[Corrected, ...] = (),
    notes: tuple[str, ...] = (),
    by_hand: HandTally = NOTHING_CORRECTED,
) -> CountResult:
    """Write all files of a count as far as it got.

    Parameters
    ----------
    slide : Slide
    job : CountJob
        What it was made with.
    progress : CountProgress
        Its store, whose cells may have been given other classes.
    ground : CountRegion
        What was counted.
    folder : Path
        Of the results; replaced file by file.
    task : Task
    thresholds : DabThresholds
        Of the score of an immunostain.
    corrected : tuple of Corrected
        Results of an audit.
    notes : tuple of str
        What else a reader should know, such as `stains.stain_notes`.
    by_hand : HandTally
        What a person corrected of the cells in the store.

    Raises
    ------
    ExportError
        If the disk is full.
    """
    if not progress.complete:
        ground = replace(ground, parts=progress.done)
    passing = _of_this_run(progress, folder)
    told = (*passing, *_of_the_model(slide, progress, job), *notes, *ground.warnings())
    sums = tally(progress.store, ground, thresholds)
    done = len(progress.done)
    counted = CountResult(
        folder, sums, ground, done, progress.total, told, corrected, by_hand, passing
    )
    _write(slide, job, progress, counted, task)
    return counted


def _of_the_model(slide: Slide, progress: CountProgress, job: CountJob) -> list[str]:
    if job.settings.get("embedding") and progress.store.head.names == measured_names(slide):
        return ["The segmenter does not tell what its encoder saw; cells were measured only."]
    return []


def _of_this_run(progress: CountProgress, folder: Path) -> tuple[str, ...]:
    """What became of a count that was begun before."""
    notes = list(progress.store.notes)
    made = folder / MADE
    if made.is_file() and slide_of(made) is None:
        notes.append(f"The {MADE} that was here was damaged: the slide was counted anew.")
    if progress.store.replaced:
        notes.append(
            "An unfinished count with other settings, or by another version of the program, was "
            "here: it was started anew."
        )
    if progress.complete and progress.resumed:
        notes.append(f"Went on after {progress.resumed:,} tiles that were done before.")
    return tuple(notes)


def _write(
    slide: Slide, job: CountJob, progress: CountProgress, counted: CountResult, task: Task
) -> None:
    store, folder, ground = progress.store, counted.folder, counted.ground
    write_labels(folder / count_files.LABELS_TIF, store, mpp=slide.mpp, task=task)
    by_hand = (BY_HAND, store.made_by_hand()) if counted.by_hand.touched else None
    write_cells_csv(folder / count_files.CELLS_CSV, store.tables(AT_ONCE), by_hand)
    write_cells_parquet(folder / count_files.CELLS_PARQUET, store.tables(AT_ONCE))
    count_files.write_counts(
        folder / count_files.COUNTS_CSV,
        counted.tally.lines,
        denominator=ground.denominator,
        complete=counted.complete,
        corrected=counted.corrected,
    )
    count_files.write_cells_geojson(folder / count_files.CELLS_GEOJSON, store, slide.key, task)
    facts = _made(slide, job, progress, counted)
    write_report(folder / REPORT, facts, counted.corrected)
    with replacing_file(folder / MADE) as part:
        write_json(part, facts)


def _made(
    slide: Slide, job: CountJob, progress: CountProgress, counted: CountResult
) -> dict[str, Any]:
    """What ``count.json`` says: how a count was made, and what it came to."""
    ground = counted.ground
    made = Provenance(slide.key, job.models).dated()
    channel = slide.shown_channel
    return {
        "histoprompt": made.version,
        **made.facts,
        "path": slide.path or slide.name,
        **({} if channel is None else {"channel": slide.channels[channel].name}),
        "mpp": slide.mpp,
        "mpp_source": slide.mpp_source,
        "region": [int(v) for v in ground.box],
        "regions": [region.name for region in ground.regions],
        "polygons": [[region.name, shapely.to_wkt(region.polygon)] for region in ground.regions],
        "picked": ground.user_drawn,
        "without": [[region.name, shapely.to_wkt(region.polygon)] for region in ground.without],
        **job.facts,
        "algorithm": algorithm(),
        "tile": job.tile,
        "tiles": [counted.done, counted.total],
        "complete": counted.complete,
        "cells": counted.tally.total,
        "by_hand": asdict(counted.by_hand) | {"told": str(counted.by_hand)},
        "denominator": ground.denominator,
        "analysed_mm2": ground.analysed_mm2(),
        "shares": {k: round(v, 6) for k, v in ground.tissue.shares(ground.box).items()},
        "notes": list(counted.lasting),
        "result": result_facts(
            slide.name,
            counted.tally,
            (*slide.notes, *counted.lasting),
            count_picture.overview(slide, progress.store, ground),
            count_picture.detail(slide, progress.store),
        )
        | _allowed(job, progress.store),
    }


def _allowed(job: CountJob, store: CountStore) -> dict[str, Any]:
    """Counts with the mistakes of the classifier taken back, as JSON; empty if it cannot be."""
    if not isinstance(job.classifier, FewShotClassifier):
        return {}
    features = (table.features for table in store.tables(AT_ONCE))
    try:
        found = counts_over(job.classifier, features, store.head.names)
    except LabelError:  # cells that were made by hand may lack what the network saw
        return {}
    return {} if found is None else found.facts
