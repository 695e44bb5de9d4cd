"""A detector fitted to tags, compared, and let loose on other slides."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import LabelError, RecordError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.tables import table_writer
from histoprompt.core.parameters import Parameter, check, given_file
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.find import known_mpp
from histoprompt.pipelines.classes.classifier_file import read_classifier, write_classifier
from histoprompt.pipelines.classes.classifiers import FewShotClassifier
from histoprompt.pipelines.count.files import CELLS_CSV
from histoprompt.pipelines.count.job import CountChoice, count_job
from histoprompt.pipelines.count.slide import count_slide
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.formats.cell_files import read_cells
from histoprompt.pipelines.tags.candidates import find_candidates
from histoprompt.pipelines.tags.compare import ALL, COMPARE_CSV, CompareRow, compared, write_compare
from histoprompt.pipelines.tags.detector import (
    DetectParams,
    Round,
    check_classes,
    labels_of,
    predicted,
    rounds_of,
)
from histoprompt.pipelines.tags.params import TagParams
from histoprompt.pipelines.tags.records import TAGS_CSV, TagRow, read_rows
from histoprompt.pipelines.tags.scoring import looked_at
from histoprompt.pipelines.tags.truth import Truth, truth_of_points, truth_of_reviews
from histoprompt.pipelines.tags.work import TaggedCandidates, read_work

DETECTIONS_CSV: Final = "detections.csv"
_COLUMNS: Final = ("id", "slide", "row", "col", "tag", "score")

# From the work, its rows and the patients that nothing is learnt from: writes a detector, and gives
# the tag it finds for each candidate.
FitElsewhere = Callable[[TaggedCandidates, Sequence[TagRow], Sequence[str]], NDArray[np.int64]]


@dataclass(frozen=True)
class DetectApplyParams:
    """What finds objects.

    Attributes
    ----------
    file : Path or None
        A detector that was fitted.
    """

    file: Annotated[Path | None, Parameter("Detector", "A detector that was fitted.")] = None

    def __post_init__(self) -> None:
        check(self)

    def detector(self) -> Path:
        """The detector's file.

        Raises
        ------
        ParameterError
            If none is given.
        """
        return given_file(self, "file", "fitted")


@dataclass(frozen=True, eq=False)
class Fitted:
    """What came of fitting a detector.

    Attributes
    ----------
    out : Path
    rounds : tuple of Round
        Empty for a network.
    lines : tuple of CompareRow
        Of the comparison; empty if none was asked for.
    frozen : tuple of str
        Patients the comparison is of.
    """

    out: Path
    rounds: tuple[Round, ...]
    lines: tuple[CompareRow, ...]
    frozen: tuple[str, ...]

    @property
    def told(self) -> list[str]:
        """What a person is told, a line each."""
        lines = []
        for one in self.rounds:
            known = not np.isnan(one.choosing)
            score = f", F1 {one.choosing:.3f} on patients left out" if known else ""
            lines.append(f"round {one.number}: {one.labels:,} labels{score}")
        lines += [
            f"{line.stage}: precision {line.precision:.3f}, recall {line.recall:.3f}, F1 "
            f"{line.f1:.3f} on {line.n:,} objects of {', '.join(self.frozen)}"
            for line in self.lines
            if line.tag == ALL
        ]
        return [*lines, f"-> {self.out}"]


def fit(
    folder: Path,
    out: Path,
    params: DetectParams,
    *,
    compare: bool = False,
    truth: Path | None = None,
    elsewhere: FitElsewhere | None = None,
) -> Fitted:
    """Fit a detector to the tags in a folder.

    Parameters
    ----------
    folder : Path
        Of `run.tag_slides`.
    out : Path
        The detector's file; a class head is one that `count` and `classify` take as well.
    params : DetectParams
    compare : bool
        Whether to write ``compare.csv`` beside it.
    truth : Path, optional
        All objects of some slides, marked by hand: slide, row, col, tag. The reviews if not given.
    elsewhere : callable, optional
        What fits a network in place of the class head.

    Raises
    ------
    RecordError
        If the folder holds no tagging, or there is nothing to compare with.
    LabelError
        If nothing can be learnt.
    """
    work, rows = read_work(folder), read_rows(folder / TAGS_CSV)
    if len(rows) != len(work):
        raise RecordError(f"{folder / TAGS_CSV} has {len(rows):,} lines of {len(work)}. Tag anew.")
    real = _truth(work, rows, truth) if compare else None
    apart = real.patients if real else ()
    rounds: tuple[Round, ...] = ()
    if elsewhere is not None:
        found = elsewhere(work, rows, apart)
    else:
        head, rounds = rounds_of(work, labels_of(work, rows, apart), params)
        found, _ = predicted(work, head)
        write_classifier(out, head)
    lines: tuple[CompareRow, ...] = ()
    if real is not None:
        lines = compared(work, rows, real, found)
        write_compare(out.parent / COMPARE_CSV, lines)
    return Fitted(out, rounds, lines, apart)


def _truth(work: TaggedCandidates, rows: Sequence[TagRow], path: Path | None) -> Truth:
    return truth_of_reviews(work, rows) if path is None else truth_of_points(work, path)


@dataclass(frozen=True)
class Detection:
    """One object that was found.

    Attributes
    ----------
    row, col : float
        Centre, level-0 pixels.
    tag : str
        Empty for none of the detector's.
    score : float
    """

    row: float
    col: float
    tag: str
    score: float


def apply_head(
    slide: Slide, name: str, path: Path, *, folder: Path, manager: ModelManager, task: Task
) -> dict[str, int]:
    """Find the objects of a slide with a class head, and write them; gives counts by tag.

    Cells are counted as `count` does, with all of its files; of tiles there is the table alone.

    Raises
    ------
    LabelError
        If the file is no detector.
    MissingMppError, RegionError
        As for counting.
    """
    head = read_classifier(path)
    tags = check_classes(head, path)
    model = _model_of(head)
    if model:
        found = _tiles(slide, head, model, manager, task)
    else:
        job = count_job(CountChoice(classifier=path, embedding=True), manager)
        count_slide(slide, job, folder, task)
        task.repeat()
        cells = read_cells(folder / CELLS_CSV)
        found = [
            Detection(r, c, n, s)
            for r, c, n, s in zip(
                cells.row.tolist(), cells.col.tolist(), cells.class_names, cells.score.tolist(),
                strict=True,
            )
        ]  # fmt: skip
    return write_detections(folder, name, found, tags)


def write_detections(
    folder: Path, name: str, found: Sequence[Detection], tags: Sequence[str]
) -> dict[str, int]:
    """Write ``detections.csv``: those that have one of the tags. Gives counts by tag."""
    counts = dict.fromkeys(tags, 0)
    text = io.StringIO(newline="")
    write = table_writer(text, _COLUMNS, ("slide", "tag"))
    number = 0
    for one in found:
        if one.tag in counts:
            number += 1
            counts[one.tag] += 1
            write([number, name, f"{one.row:.1f}", f"{one.col:.1f}", one.tag, f"{one.score:.4f}"])
    replace_file(folder / DETECTIONS_CSV, text.getvalue())
    return counts


def _model_of(head: FewShotClassifier) -> str:
    """The model of words whose vectors of tiles a head was learnt from; empty for cells."""
    known = {card.id for card in registry.all_cards() if card.role == "text"}
    name = head.feature_names[0].rpartition("_")[0]
    return name if name in known else ""


def _tiles(
    slide: Slide, head: FewShotClassifier, model: str, manager: ModelManager, task: Task
) -> list[Detection]:
    most = TagParams(kind="tiles", model=model, candidates=100_000)
    found = find_candidates(slide, most, manager, task)
    job = ScoreJob(manager, registry.card(model))
    squares = found.squares(known_mpp(slide), "tiles")
    vectors = [v.mean(axis=1) for v, _ in looked_at(slide, squares, job, task)]
    seen = np.concatenate(vectors)
    seen /= np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-12)
    names = tuple(f"{model}_{i}" for i in range(seen.shape[1]))
    if names != head.feature_names:
        raise LabelError(f"The detector was fitted to other vectors than those of {model}.")
    classes, code, score = head.classify(np.asarray(seen, np.float32), names)
    rows = zip(found.centres.tolist(), code.tolist(), score.tolist(), strict=True)
    return [Detection(at[0], at[1], classes[c], s) for at, c, s in rows]
