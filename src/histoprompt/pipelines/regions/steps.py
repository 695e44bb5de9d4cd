"""What is done with the regions of one text: kept, counted in. Each in a form a job can run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from histoprompt.annotations.history import Change
from histoprompt.annotations.store import LabelStore
from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.scores.regions import find_regions
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.wording import many
from histoprompt.core.task import Task
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.count.kept import KeptCount
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.recipes.beside import keep_recipe
from histoprompt.pipelines.recipes.recipe import RecipeStep
from histoprompt.pipelines.regions.cell_texts import CellTexts, check_texts, score_cells
from histoprompt.pipelines.regions.commit import commit_regions
from histoprompt.pipelines.regions.count import (
    RegionCountResult,
    RegionCounts,
    count_regions,
    write_counts,
)
from histoprompt.pipelines.text.calibrate import TextCalibration
from histoprompt.pipelines.text.region_file import named
from histoprompt.pipelines.text.run import finish, regions_of, write_scored
from histoprompt.pipelines.text.score import SeenTiles
from histoprompt.pipelines.text.session import ToFit
from histoprompt.pipelines.text.step import ScoreStepParams
from histoprompt.pipelines.text.tile_labels import TileLabels, tile_labels_path


def fit_all(wanted: Sequence[ToFit], task: Task) -> dict[str, TextCalibration]:
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


@dataclass(frozen=True)
class RegionCountParams:
    """What a person wants of the chain from words to counts.

    Attributes
    ----------
    choice : CountChoice
        What finds cells.
    texts : CellTexts
        Classes of cells; none for cells of one kind.
    thresholds : mapping of str to float
        Those a person set, by text.
    counted : KeptCount or None
        A count there is, whose cells are taken if it is finished and covers the regions.
    """

    choice: CountChoice
    texts: CellTexts = field(default_factory=CellTexts)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    counted: KeptCount | None = None

    def check(self, job: ScoreJob, task: Task) -> None:
        """Refuse words for cells before any tile is looked at; raises as `check_texts`."""
        if self.texts.texts:
            check_texts(self.texts, job, task)


def count_found(
    wish: RegionCountParams,
    slide: Slide,
    scores: ScoreMap,
    seen: SeenTiles,
    job: ScoreJob,
    *,
    task: Task,
) -> tuple[RegionCountResult, ScoreMap]:
    """From scores to counts as `histoprompt score --count` does it; raises as `count_regions`.

    Parameters
    ----------
    wish : RegionCountParams
    slide : Slide
    scores, seen
        From `score.score`.
    job : ScoreJob
    task : Task

    Returns
    -------
    chained : RegionCountResult
        Of the regions of all texts.
    scores : ScoreMap
        With the thresholds the regions were cut at: calibrated to the marks of the slide, or typed.
    """
    book = TileLabels(tile_labels_path(slide.key))
    marks = {text: book.of(scores, text) for text in scores.texts}
    found = finish(scores, seen, marks=marks, thresholds=wish.thresholds)
    chained = count_regions(
        slide,
        named(found.regions),
        wish.choice,
        job,
        task,
        texts=wish.texts,
        counted=wish.counted,
    )
    return chained, found.scores


def count_in(
    wish: RegionCountParams, slide: Slide, scores: ScoreMap, text: str, *, job: ScoreJob, task: Task
) -> tuple[RegionCountResult, ScoreMap]:
    """The cells in the regions of one text as scores have them now; raises as `count_regions`."""
    regions = named([region for region in regions_of(scores) if region.text == text])
    found = count_regions(
        slide, regions, wish.choice, job, task, texts=wish.texts, counted=wish.counted
    )
    return found, scores


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
    also = "" if counts is None else f", {len(counts.cells):,} cells"
    regions = many(len(found.regions), "region")
    return f"{regions}, {len(found.scores):,} tiles{also} written to {folder}."


def write_kept(
    folder: Path,
    scores: ScoreMap,
    seen: SeenTiles,
    counts: RegionCounts | None,
    made: Callable[[], ScoreStepParams],
    *,
    key: str,
    task: Task,
) -> str:
    """As `write_all`, with the recipe beside it.

    Parameters
    ----------
    folder, scores, seen, counts, task
        As there.
    made : callable
        Gives the parameters of the scores, and may write files that they name.
    key : str
        Of the slide.
    """
    told = write_all(folder, scores, seen, counts, task)
    facts = {"slide": key}
    if counts is not None:
        facts["left out"] = "the count of cells in the regions"
    keep_recipe(folder, (RecipeStep("score", made()),), facts)
    return told
