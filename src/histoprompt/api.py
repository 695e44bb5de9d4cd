"""The use cases as functions for Python code; `import histoprompt as hp` offers them.

Positions are (row, col) in level-0 pixels, boxes are half open, pixel centres lie on integers.
Whatever a person can mend is a `histoprompt.core.errors.HistopromptError` with a message for them.
Every function takes an optional `task`, which reports progress and can be cancelled from another
thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from histoprompt.annotations.store import LabelStore
from histoprompt.core.cell_table import CellTable
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import Classes
from histoprompt.core.labels.sources import LabelSource
from histoprompt.core.prompts.file import ObjectPrompt, read_prompts
from histoprompt.core.prompts.prompt import Prompt
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.memory.embeddings import EmbeddingCache
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.find import Cell
from histoprompt.pipelines.cells.find import find_cells as cells_of_region
from histoprompt.pipelines.classes.train import TrainedClassifier, Trainer
from histoprompt.pipelines.classes.train_params import TrainParams
from histoprompt.pipelines.count.job import CountChoice, count_job
from histoprompt.pipelines.count.slide import CountResult, count_slide
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.exchange.export import ExportParams, ExportReport
from histoprompt.pipelines.exchange.export import export as export_labels
from histoprompt.pipelines.exchange.from_store import export_store
from histoprompt.pipelines.exchange.incoming import read_incoming
from histoprompt.pipelines.exchange.params import ImportParams
from histoprompt.pipelines.formats.job import Imported
from histoprompt.pipelines.prompts.segment import ObjectMasks, SegmentJob
from histoprompt.pipelines.prompts.segment import segment as segment_objects
from histoprompt.pipelines.text.run import ScoredSlide, finish
from histoprompt.pipelines.text.score import score as score_tiles
from histoprompt.pipelines.text.text_embedding import ScoreParams

if TYPE_CHECKING:
    from histoprompt.pipelines.formats.regions import Region


__all__ = [
    "Box",
    "CountChoice",
    "ExportParams",
    "ImportParams",
    "ObjectPrompt",
    "Prompt",
    "ScoreParams",
    "classify",
    "count",
    "export",
    "find_cells",
    "import_annotations",
    "open_slide",
    "open_store",
    "score",
    "segment",
]


def segment(
    slide: Slide,
    prompts: str | Path | Sequence[ObjectPrompt | Prompt],
    *,
    model: str = registry.DEFAULT,
    weights: Path | None = None,
    device: str = "auto",
    task: Task | None = None,
) -> list[ObjectMasks]:
    """Segment objects from clicks, boxes and scribbles.

    Parameters
    ----------
    slide : Slide
        From `open_slide`.
    prompts : path or sequence of ObjectPrompt or Prompt
        A prompts file, or one prompt for each object; those without an id are numbered from 1.
    model : str
        Id of a model that takes prompts; ``histoprompt models list`` shows them.
    weights : Path, optional
        A weights file of your own in place of the model's.
    device : {"auto", "cpu", "cuda", "mps"}
    task : Task, optional

    Returns
    -------
    list of ObjectMasks
        In the order of the prompts; ``masks`` are (h, w) bool arrays with the `Frame` they lie in,
        best first.

    Raises
    ------
    PromptError
        If the file is malformed or a prompt says nowhere where its object is.
    RegionError
        If a prompt lies outside the slide.
    ModelError, WeightsError
        If the model is unknown or its weights are missing.
    """
    manager = ModelManager(device=device)
    job = SegmentJob(manager, EmbeddingCache(), registry.card(model), weights)
    return segment_objects(slide, _objects(prompts), job, task or Task())


def find_cells(
    slide: Slide,
    region: Box | None = None,
    *,
    model: str = registry.DEFAULT_CELLS,
    weights: Path | None = None,
    device: str = "auto",
    task: Task | None = None,
) -> list[Cell]:
    """Find all nuclei of a region and hold them in memory; `count` is for whole slides.

    Parameters
    ----------
    slide : Slide
        Its pixel size must be known.
    region : Box, optional
        Whole level-0 pixels on the slide; all of it if not given.
    model : str
        Id of a model that finds cells.
    weights : Path, optional
        A weights file of your own.
    device : {"auto", "cpu", "cuda", "mps"}
    task : Task, optional

    Returns
    -------
    list of Cell
        Each with its centroid (row, col) and mask in level-0 pixels.

    Raises
    ------
    MissingMppError
        If the slide has no pixel size.
    RegionError
        If the region reaches outside the slide.
    """
    found = cells_of_region(
        slide,
        region or slide.box,
        registry.card(model),
        ModelManager(device=device),
        task or Task(),
        weights=weights,
    )
    return list(found)


def count(
    slide: Slide,
    out: Path,
    params: CountChoice | None = None,
    *,
    region: Box | None = None,
    regions: Iterable[Region] = (),
    task: Task | None = None,
) -> CountResult:
    """Count the cells of a slide or region and write tables, labels, outlines and a report.

    A count that was cancelled goes on where it ended when it is asked for again.

    Parameters
    ----------
    slide : Slide
        Its pixel size must be known.
    out : Path
        Folder of the results.
    params : CountChoice, optional
        Segmenter, classifier and tile.
    region : Box, optional
        Whole level-0 pixels; the tissue of the whole slide if not given.
    regions : iterable of Region, optional
        Drawn regions in place of `region`.
    task : Task, optional

    Returns
    -------
    Counted
        With ``tally`` (cells per class and region, areas in mm²) and ``folder``.

    Raises
    ------
    MissingMppError
        If the slide has no pixel size.
    RegionError
        If the region reaches outside the slide or holds no tissue.
    """
    job = count_job(params or CountChoice())
    return count_slide(slide, job, Path(out), task or Task(), box=region, regions=regions)


def score(
    slide: Slide,
    texts: Sequence[str],
    *,
    contrasts: Sequence[str] = (),
    params: ScoreParams | None = None,
    model: str = registry.DEFAULT_WORDS,
    weights: Path | None = None,
    device: str = "auto",
    region: Box | None = None,
    marks: Mapping[str, Mapping[int, bool]] | None = None,
    thresholds: Mapping[str, float] | None = None,
    task: Task | None = None,
) -> ScoredSlide:
    """Score the tiles of a slide by words and cut regions.

    Parameters
    ----------
    slide : Slide
        Its pixel size must be known.
    texts : sequence of str
        A map each; ``"a|b"`` are synonyms.
    contrasts : sequence of str
        What the texts are held against.
    params : ScoreParams, optional
        How tiles are seen and texts put; its own texts and contrasts are not used.
    model : str
        Id of a model of images and texts.
    weights : Path, optional
    device : {"auto", "cpu", "cuda", "mps"}
    region : Box, optional
        Level-0 pixels; the whole slide if not given.
    marks : mapping, optional
        For each text the tiles marked yes (True) and no, by tile index.
    thresholds : mapping, optional
        For each text the score in [0, 1] above which a tile belongs to it.
    task : Task, optional

    Returns
    -------
    Scored
        Scores in [0, 1] for each tile and text, and regions in level-0 pixels.

    Raises
    ------
    PromptError
        If a text is empty, given twice, or one that the model cannot know.
    MissingMppError
        If the slide has no pixel size.
    """
    asked = replace(params or ScoreParams(), texts=tuple(texts), contrasts=tuple(contrasts))
    job = ScoreJob(ModelManager(device=device), registry.card(model), weights)
    task = task or Task()
    scores, seen = score_tiles(slide, asked, job, task, region=region)
    task.repeat()  # of a cancelled search there is no result
    return finish(scores, seen, marks=marks, thresholds=thresholds)


def classify(
    cells: CellTable,
    labels: Mapping[int, str],
    params: TrainParams | None = None,
    *,
    classes: Sequence[str] = (),
) -> TrainedClassifier:
    """Learn classes of cells from a few labelled ones and give all cells a class.

    Parameters
    ----------
    cells : CellTable
        Of a count, with features.
    labels : mapping of int to str
        Class of some cells, by cell id.
    params : TrainParams, optional
    classes : sequence of str
        Classes that must have an example.

    Returns
    -------
    Fit
        The classified cells, the classifier, and what it is worth on held-out examples.

    Raises
    ------
    LabelError
        If there are too few labels.
    """
    return Trainer(cells, params or TrainParams()).fit(labels, classes)


def export(
    slide: Slide,
    labels: LabelSource,
    out: Path,
    params: ExportParams | None = None,
    *,
    classes: Classes | None = None,
    task: Task | None = None,
) -> ExportReport:
    """Write labels as training data.

    Parameters
    ----------
    slide : Slide
    labels : LabelSource
        A label store, or labels of `import_annotations` or `read_labels`.
    out : Path
        A folder that does not exist, is empty, or holds an earlier export.
    params : ExportParams, optional
        Format, tiles, splits.
    classes : Classes, optional
        Class of each object; those of a label store are known.
    task : Task, optional

    Returns
    -------
    ExportReport

    Raises
    ------
    LabelError
        If the labels do not fit the slide or hold no object.
    ExportError
        If the folder holds other things or cannot be written.
    """
    params, task = params or ExportParams(), task or Task()
    if classes is None and isinstance(labels, LabelStore):
        return export_store(slide, labels, Path(out), params, task)
    return export_labels(slide, labels, out, params, task, classes=classes)


def import_annotations(
    path: str | Path,
    slide: Slide,
    *,
    params: ImportParams | None = None,
    task: Task | None = None,
) -> Imported:
    """Read outlines or labels that another program, or an export of ours, wrote.

    Parameters
    ----------
    path : path
        A file or folder of any format that ``histoprompt formats`` says is read.
    slide : Slide
        That they belong to.
    params : ImportParams, optional
        Its format if the content does not tell it, where it lies, all or nothing.
    task : Task, optional

    Returns
    -------
    Imported
        Labels in level-0 pixels of the slide, and the class of each object.

    Raises
    ------
    LabelError
        If the file is of no such kind, is damaged, or does not fit the slide.
    """
    found = read_incoming(slide, Path(path), task or Task(), params)
    found.check(slide)
    named = {i: name for i, name in found.classes.names.items() if name}
    left = len(found.problems) + found.outside + found.points
    return Imported(found.labels, Classes(named, found.classes.colours), left)


def open_store(slide: Slide, *, name: str = "labels", read_only: bool = False) -> LabelStore:
    """Open the label store of a slide, the one that the Prompt dock works on.

    Parameters
    ----------
    slide : Slide
    name : str
        Of the set of labels.
    read_only : bool
        Look at it, also while somebody works on it.

    Returns
    -------
    LabelStore
        Use it in a ``with`` block, or close it.

    Raises
    ------
    LabelStoreError
        If it is open for writing elsewhere, or cannot be read.
    """
    return LabelStore.of(slide, name, read_only=read_only)


def _objects(prompts: str | Path | Sequence[ObjectPrompt | Prompt]) -> list[ObjectPrompt]:
    if isinstance(prompts, (str, Path)):
        return read_prompts(prompts)
    return [
        item if isinstance(item, ObjectPrompt) else ObjectPrompt(number, item)
        for number, item in enumerate(prompts, start=1)
    ]
