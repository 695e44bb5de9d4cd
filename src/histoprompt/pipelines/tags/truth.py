"""What is really there, as far as people looked: the frozen set that detectors are held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from histoprompt.core.errors import RecordError
from histoprompt.core.files.tables import read_table
from histoprompt.core.strings.names import tidy
from histoprompt.core.strings.typed_numbers import parse_number
from histoprompt.pipelines.tags.records import DECIDED, TagRow
from histoprompt.pipelines.tags.work import TaggedCandidates, frozen_patients

# Microns from a person's point within which a candidate is what the person meant.
REACH_UM: Final = 4.0
UNKNOWN: Final = -1


@dataclass(frozen=True, eq=False)
class Truth:
    """Of each of n candidates, the tag a person gave it.

    Attributes
    ----------
    code : (n,) int64
        Index of the tag; the number of tags for none of them; -1 where nobody looked.
    missed : (k,) int64
        Objects of each tag that are no candidate, of the frozen patients.
    patients : tuple of str
        The frozen ones: nothing is learnt from their candidates.
    frozen : (n,) bool
        The candidates that figures are of: looked at, of frozen patients.
    """

    code: NDArray[np.int64]
    missed: NDArray[np.int64]
    patients: tuple[str, ...]
    frozen: NDArray[np.bool_]

    def figures(self, found: NDArray[np.int64]) -> list[tuple[float, float, float, int]]:
        """Precision, recall, F1 and number of objects of each tag, on the frozen set.

        Parameters
        ----------
        found : (n,) int64
            The tag each candidate is given, the number of tags for none.
        """
        return [self._of(found, tag) for tag in range(len(self.missed))]

    def mean_f1(self, found: NDArray[np.int64]) -> float:
        """Mean F1 over the tags that occur."""
        scores = [f1 for _, _, f1, n in self.figures(found) if n]
        return float(np.mean(scores)) if scores else float("nan")

    def _of(self, found: NDArray[np.int64], tag: int) -> tuple[float, float, float, int]:
        given, real = found[self.frozen] == tag, self.code[self.frozen] == tag
        hit, n = int((given & real).sum()), int(real.sum() + self.missed[tag])
        precision = hit / given.sum() if given.any() else float("nan")
        recall = hit / n if n else float("nan")
        both = int(given.sum()) + n
        return float(precision), float(recall), (2 * hit / both if both else float("nan")), n


def truth_of_reviews(work: TaggedCandidates, rows: Sequence[TagRow]) -> Truth:
    """What reviews say: candidates accepted, fixed and rejected.

    Raises
    ------
    RecordError
        If there is one patient only, or nobody looked at candidates of the frozen ones.
    """
    place = {name: i for i, name in enumerate(work.names)}
    code = np.full(len(work), UNKNOWN, np.int64)
    for i, row in enumerate(rows):
        if row.reviewed in DECIDED:
            code[i] = place[row.tag] if row.reviewed != "reject" else len(place)
    return _frozen(work, code, np.zeros((len(work.slides), len(place)), np.int64))


def truth_of_points(work: TaggedCandidates, path: Path) -> Truth:
    """What a table of points says: all objects of the slides it names were marked.

    Parameters
    ----------
    work : TaggedCandidates
    path : Path
        A table with slide, row, col and tag; a tag that is none of ours stands for none.

    Raises
    ------
    RecordError
        If it cannot be read, or none of its slides was tagged.
    """
    table = read_table(path, "The truth in", RecordError, ("slide", "row", "col", "tag"))
    slides = {slide.id: n for n, slide in enumerate(work.slides)}
    place = {name: i for i, name in enumerate(work.names)}
    points: dict[int, list[tuple[float, float, int]]] = {}
    for number, cells in table.rows:
        if cells["slide"] not in slides:
            continue
        try:
            at = parse_number(cells["row"]), parse_number(cells["col"])
        except ValueError as error:
            raise RecordError(f"{path} line {number}: {error}.") from error
        tag = place.get(tidy(cells["tag"]), len(place))
        points.setdefault(slides[cells["slide"]], []).append((*at, tag))
    if not points:
        raise RecordError(
            f"{path} names no slide that was tagged. There are {', '.join(list(slides)[:5])}."
        )
    code = np.full(len(work), UNKNOWN, np.int64)
    missed = np.zeros((len(work.slides), len(place)), np.int64)
    for slide, marked in points.items():
        _match(work, slide, np.array(marked), (code, missed))
    return _frozen(work, code, missed)


def _match(
    work: TaggedCandidates,
    slide: int,
    marked: NDArray[np.float64],
    out: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> None:
    """Give each point the nearest candidate that is free, the nearest pairs first."""
    code, missed = out
    here = np.flatnonzero(work.of == slide)
    k = len(work.names)
    code[here] = k
    reach = REACH_UM / work.slides[slide].mpp
    tree = cKDTree(work.candidates.centres[here])
    near: Any = tree.query_ball_point(marked[:, :2], reach)
    pairs = [
        (float(np.hypot(*(work.candidates.centres[here[c]] - marked[p, :2]))), p, c)
        for p, found in enumerate(near)
        for c in found
    ]
    taken: set[int] = set()
    met: set[int] = set()
    for _, p, c in sorted(pairs):
        if p not in met and c not in taken:
            met.add(p)
            taken.add(c)
            code[here[c]] = int(marked[p, 2])
    for p in set(range(len(marked))) - met:
        if marked[p, 2] < k:
            missed[slide, int(marked[p, 2])] += 1


def _frozen(work: TaggedCandidates, code: NDArray[np.int64], missed: NDArray[np.int64]) -> Truth:
    """The part of it that is of patients nothing is learnt from."""
    patients = np.array(work.patients)
    all_patients = sorted({slide.patient for slide in work.slides})
    if len(all_patients) < 2:
        raise RecordError(
            f"All candidates are of one patient, {all_patients[0]}. A comparison needs two or "
            "more: what is tested must not be learnt from. Tag slides of more patients."
        )
    looked = sorted(set(patients[code != UNKNOWN].tolist()))
    chosen = tuple(p for p in work.frozen if p in looked)
    if not chosen and len(looked) > 1:
        chosen = frozen_patients(looked)
    if not chosen:
        raise RecordError(
            f"Nobody looked at candidates of the patients kept for testing "
            f"({', '.join(work.frozen)}). Review some of theirs first."
        )
    frozen = np.isin(patients, chosen) & (code != UNKNOWN)
    of_frozen = [slide.patient in chosen for slide in work.slides]
    return Truth(code, missed[of_frozen].sum(axis=0), chosen, frozen)
