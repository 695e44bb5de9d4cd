"""Raw, filtered and reviewed tags and the detector learnt from them, on one frozen set."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.tables import table_writer
from histoprompt.pipelines.tags.choosing import DOUBTS
from histoprompt.pipelines.tags.records import DECIDED, TagRow
from histoprompt.pipelines.tags.truth import Truth
from histoprompt.pipelines.tags.work import TaggedCandidates

COMPARE_CSV: Final = "compare.csv"
RAW, FILTERED, REVIEWED, TRAINED = STAGES = ("raw", "filtered", "reviewed", "trained")
ALL: Final = "all"
_COLUMNS: Final = ("stage", "tag", "precision", "recall", "f1", "n")


@dataclass(frozen=True)
class CompareRow:
    """A line of the comparison.

    Attributes
    ----------
    stage : {"raw", "filtered", "reviewed", "trained"}
    tag : str
        ``all`` for the mean over the tags that occur.
    precision, recall, f1 : float
        NaN where there is nothing to tell.
    n : int
        Objects of the tag in the frozen set.
    """

    stage: str
    tag: str
    precision: float
    recall: float
    f1: float
    n: int


def stage_codes(work: TaggedCandidates, rows: Sequence[TagRow]) -> dict[str, NDArray[np.int64]]:
    """The tag each candidate has at each stage before training; the number of tags for none.

    What the filter doubts has no tag after it. What it leaves out only because it looks like
    another one, or because there are enough, keeps its tag: nothing was said against it.
    Reviewed tags are the filtered ones with every answer taken in: of candidates whose truth is the
    review itself their precision is 1, and recall says what the filter lost.
    """
    k = len(work.names)
    place = {name: i for i, name in enumerate(work.names)}
    stays = np.array([row.reason not in DOUBTS for row in rows], bool)
    filtered = np.where(stays, work.code, k)
    after = filtered.copy()
    for i, row in enumerate(rows):
        if row.reviewed in DECIDED and stays[i]:
            after[i] = place[row.tag] if row.reviewed != "reject" else k
    return {RAW: work.code, FILTERED: filtered, REVIEWED: after}


def compared(
    work: TaggedCandidates, rows: Sequence[TagRow], truth: Truth, trained: NDArray[np.int64]
) -> tuple[CompareRow, ...]:
    """All stages on the frozen set.

    Parameters
    ----------
    work, rows
    truth : Truth
    trained : (n,) int64
        The detector's tag of each candidate, the number of tags for none.
    """
    lines: list[CompareRow] = []
    for stage, code in {**stage_codes(work, rows), TRAINED: trained}.items():
        figures = truth.figures(code)
        lines += [CompareRow(stage, tag, *f) for tag, f in zip(work.names, figures, strict=True)]
        present = [f for f in figures if f[3]]
        means = [_mean([f[i] for f in present]) for i in range(3)]
        lines.append(
            CompareRow(stage, ALL, means[0], means[1], means[2], sum(f[3] for f in figures))
        )
    return tuple(lines)


def write_compare(path: Path, lines: Sequence[CompareRow]) -> None:
    """Write the table; raises `ExportError`."""
    text = io.StringIO(newline="")
    write = table_writer(text, _COLUMNS, ("tag",))
    for one in lines:
        figures = [_digits(v) for v in (one.precision, one.recall, one.f1)]
        write([one.stage, one.tag, *figures, one.n])
    replace_file(path, text.getvalue())


def _digits(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"


def _mean(values: Sequence[float]) -> float:
    """The mean; what has no precision because nothing was found counts as 0."""
    return float(np.mean([0.0 if math.isnan(v) else v for v in values])) if values else math.nan
