"""What is done with the regions of one text: kept, counted in. Each in a form a job can run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import shapely

from histoprompt.annotations.history import Change
from histoprompt.annotations.store import LabelStore
from histoprompt.core.score_map import ScoreMap
from histoprompt.core.score_regions import find_regions
from histoprompt.core.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.pipelines.calibrate import Calibration
from histoprompt.pipelines.commit_regions import commit_regions
from histoprompt.pipelines.count_work import Work
from histoprompt.pipelines.formats.regions import Region
from histoprompt.pipelines.formats.scored_regions import named
from histoprompt.pipelines.score import SeenTiles
from histoprompt.pipelines.score_cells import CellTexts, score_cells
from histoprompt.pipelines.score_chain import (
    RegionCounts,
    chain,
    counted_before,
    write_counts,
)
from histoprompt.pipelines.score_run import finish, write_scored
from histoprompt.pipelines.score_session import ToFit
from histoprompt.pipelines.score_tiles import ScoreJob


def fit_all(wanted: Sequence[ToFit], task: Task) -> dict[str, Calibration]:
    """Calibrate texts to their marks."""
    found = {}
    for done, item in enumerate(wanted):
        task.step(done, len(wanted), "Calibrating")
        found[item.text] = item.fit()
    return found


def keep(
    store: LabelStore, scores: ScoreMap, text: str, task: Task
) -> tuple[list[int], Change | None]:
    """Commit the regions of a text; raises as `commit_regions` does."""
    cut = scores.thresholds[text]
    info = {"threshold": cut.value, "threshold_from": cut.origin, **scores.facts}
    return commit_regions(store, find_regions(scores, text), info=info, task=task)


def count_in(
    slide: Slide,
    scores: ScoreMap,
    text: str,
    counted: Work | None,
    *,
    card: ModelCard,
    job: ScoreJob,
    task: Task,
) -> tuple[RegionCounts, Work | None]:
    """The cells in the regions of a text, and the count they are from; raises as `count_regions`.

    Parameters
    ----------
    slide, scores, text, card, job, task
    counted : Work or None
        A count there is; cells are counted anew unless it is finished and covers the regions.
    """
    regions = named(find_regions(scores, text))
    if counted is not None and _covers(counted, slide, regions):
        task.step(0, 0, "Taking the cells of the count there is")
        return counted_before(slide, regions, counted.cells), counted
    return chain(slide, regions, card, job, task), None


def _covers(work: Work, slide: Slide, regions: Sequence[Region]) -> bool:
    """Whether a count is finished, and of all that lies in regions of a slide."""
    if not work.complete or (work.slide.key, work.slide.mpp) != (slide.key, slide.mpp):
        return False
    box = work.ground.box
    held = shapely.box(box.c0, box.r0, box.c1, box.r1)
    inside = shapely.box(0, 0, slide.shape[1], slide.shape[0])
    return all(shapely.covers(held, shapely.intersection(r.polygon, inside)) for r in regions)


def tell_apart(
    slide: Slide, counts: RegionCounts, texts: CellTexts, job: ScoreJob, task: Task
) -> RegionCounts:
    """Give counted cells classes in words; raises as `score_cells` does."""
    return counts.with_classes(score_cells(slide, counts.cells, texts, job, task))


def write_all(
    folder: Path, scores: ScoreMap, seen: SeenTiles, counts: RegionCounts | None, task: Task
) -> str:
    """Write the files of a scored slide, and those of the counts if there are any.

    Parameters
    ----------
    folder : Path
    scores : ScoreMap
        With the thresholds that regions are cut at.
    seen : SeenTiles
        What they were asked of.
    counts : RegionCounts or None
    task : Task

    Returns
    -------
    str
        What was written, for people.

    Raises
    ------
    ExportError
        If one cannot be written.
    """
    task.step(0, 2, "Writing maps and regions")
    found = finish(scores, seen)
    write_scored(folder, found)
    task.step(1, 2, "Writing counts")
    if counts is not None:
        write_counts(folder, counts)
    also = "" if counts is None else f", {len(counts.cells)} cells"
    regions = f"{len(found.regions)} region{'s' if len(found.regions) != 1 else ''}"
    return f"{regions}, {len(found.scores)} tiles{also} written to {folder}."
