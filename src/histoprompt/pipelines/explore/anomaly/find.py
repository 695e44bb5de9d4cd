"""Tiles that are unlike a reference: scored in three ways, at a false-alarm rate that is typed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import LabelError
from histoprompt.core.task import Task
from histoprompt.pipelines.explore.anomaly.conformal import ConformalCalibration, discoveries
from histoprompt.pipelines.explore.anomaly.coreset import MOST, coreset
from histoprompt.pipelines.explore.anomaly.folds import beside, folds_of
from histoprompt.pipelines.explore.anomaly.params import UnlikeParams
from histoprompt.pipelines.explore.anomaly.scores import (
    SCORES,
    Normality,
    Score,
    blocks,
    nearest_rows,
)
from histoprompt.pipelines.explore.stored_vectors import all_finite, picked
from histoprompt.pipelines.explore.tile_set import TileSet, joined

FEWEST, FEW = 30, 200
# Reference tiles that are named beside each hit.
NAMED = 3
_AT_ONCE = 8192


@dataclass(frozen=True, eq=False)
class Unlike:
    """What came of it.

    Attributes
    ----------
    tiles : TileSet
        All that were looked at.
    scores : (n, 3) float32
        In the order of `SCORES`.
    p : (n, 3) float64
        Conformal p-values of each score.
    q : (n,) float64
        Of the score that decides.
    hit : (n,) bool
    inside : (n,) bool
        Which tiles are of the reference.
    share : float
        The typed rate as a share of tiles.
    params : UnlikeParams
    reference : TileSet
    nearest : (hits, k) intp
        Rows of `reference` that each hit is nearest to, and
    nearest_far : (hits, k) float32
        1 - cosine to them.
    calibrations : dict of Score to ConformalCalibration
    parted_by : str
        What was held out.
    notes : tuple of str
        What a reader should know, a sentence each.
    """

    tiles: TileSet
    scores: NDArray[np.float32]
    p: NDArray[np.float64]
    q: NDArray[np.float64]
    hit: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    share: float
    params: UnlikeParams
    reference: TileSet
    nearest: NDArray[np.intp]
    nearest_far: NDArray[np.float32]
    calibrations: dict[Score, ConformalCalibration]
    parted_by: str
    notes: tuple[str, ...] = ()

    @property
    def decides(self) -> ConformalCalibration:
        """Of the score that decides."""
        return self.calibrations[self.params.score]

    def score(self, name: Score) -> NDArray[np.float32]:
        """(n,) of one score."""
        return self.scores[:, SCORES.index(name)]

    def p_of(self, name: Score) -> NDArray[np.float64]:
        """(n,) of one score."""
        return self.p[:, SCORES.index(name)]

    def hits(self) -> NDArray[np.intp]:
        """Rows of the hits, the strangest first."""
        rows = np.flatnonzero(self.hit)
        order = np.lexsort(
            (-self.score(self.params.score)[rows], self.p_of(self.params.score)[rows])
        )
        return np.asarray(rows[order], np.intp)


def find_unlike(
    tiles: TileSet,
    inside: NDArray[np.bool_],
    params: UnlikeParams,
    task: Task,
    beyond: TileSet | None = None,
) -> Unlike:
    """Score tiles against a reference, and find those that are unlike it.

    Parameters
    ----------
    tiles : TileSet
    inside : (n,) bool
        Which of the tiles are of the reference.
    params : UnlikeParams
    task : Task
    beyond : TileSet, optional
        More reference tiles, of slides that are not looked at.

    Raises
    ------
    LabelError
        If the reference has fewer than 30 tiles, or there is nothing to look at.
    ModelError
        If the reference was seen by another encoder.
    ParameterError
        As for `UnlikeParams.share`.
    Cancelled
        If the task is cancelled.
    """
    normal = tiles[inside] if beyond is None else joined(tiles[inside], beyond)
    _check(tiles, normal)
    share = params.share(tiles)
    fold, parted_by = folds_of(normal.slide, normal.centres, normal.vectors)
    learnt = _learn(normal, fold, task)
    scores, p, calibrations = _score(tiles, inside, normal, learnt, task)
    decides = p[:, SCORES.index(params.score)]
    q = discoveries(decides)
    found = Unlike(
        tiles=tiles,
        scores=scores,
        p=p,
        q=q,
        hit=(decides if params.control == "alarms" else q) <= share,
        inside=inside,
        share=share,
        params=params,
        reference=normal,
        nearest=np.zeros((0, NAMED), np.intp),
        nearest_far=np.zeros((0, NAMED), np.float32),
        calibrations=calibrations,
        parted_by=parted_by,
    )
    rows, far = nearest_rows(tiles.vectors[found.hits()], normal.vectors[learnt.bank], NAMED)
    return replace(found, nearest=learnt.bank[rows], nearest_far=far, notes=notes_of(found))


def check_reference(count: int, things: str = "tiles") -> None:
    """Refuse a reference of too few tiles or cells.

    Raises
    ------
    LabelError
    """
    if not count:
        raise LabelError(
            "The reference is empty: nothing that was indexed lies in it. Choose normal tissue "
            "that was indexed."
        )
    if count < FEWEST:
        raise LabelError(
            f"The reference has {count} {things}. At least {FEWEST} are needed to say what is "
            f"unlike it, and {FEW} to say it well. Choose a larger one, or add slides."
        )


def _check(tiles: TileSet, normal: TileSet) -> None:
    if not len(tiles):
        raise LabelError("There is nothing to compare with the reference.")
    check_reference(len(normal), "cells" if tiles.of_cells else "tiles")
    for vectors, what in ((tiles.vectors, "tiles"), (normal.vectors, "the reference")):
        if not all_finite(vectors):
            raise LabelError(f"Vectors of {what} hold values that are no numbers. Index again.")


@dataclass(frozen=True, eq=False)
class _Learnt:
    """Models of a reference: one of all of it, and one without each part.

    Attributes
    ----------
    fold : (n,) intp
    bank : (k,) intp
        Rows that stand for the reference.
    whole : Normality
    without : tuple of Normality
    """

    fold: NDArray[np.intp]
    bank: NDArray[np.intp]
    whole: Normality
    without: tuple[Normality, ...]


def _learn(normal: TileSet, fold: NDArray[np.intp], task: Task) -> _Learnt:
    task.step(0, 0, "Choosing tiles that stand for the reference")
    bank = coreset(normal.vectors)
    sample = np.arange(0, len(normal), max(1, len(normal) // MOST))
    vectors, parts = normal.vectors, int(fold.max()) + 1

    def model(held_out: int) -> Normality:
        task.step(max(held_out, 0), parts, "Learning what is normal")
        seen = fold != held_out
        apart = seen & ~beside(normal, ~seen)
        if apart.sum() >= seen.sum() / 2:
            seen = apart
        return Normality.learnt(vectors[bank[seen[bank]]], vectors[sample[seen[sample]]])

    return _Learnt(fold, bank, model(-1), tuple(model(f) for f in range(parts)))


def _score(
    tiles: TileSet, inside: NDArray[np.bool_], normal: TileSet, learnt: _Learnt, task: Task
) -> tuple[NDArray[np.float32], NDArray[np.float64], dict[Score, ConformalCalibration]]:
    """Scores and p-values (n, 3) of all tiles, those of the reference by models without them."""
    own = np.empty((len(normal), len(SCORES)), np.float32)
    for f, model in enumerate(learnt.without):
        own[learnt.fold == f] = model(picked(normal.vectors, learnt.fold == f))
    calibrations = {
        name: ConformalCalibration(own[:, i].astype(np.float64), learnt.fold)
        for i, name in enumerate(SCORES)
    }
    scores = np.empty((len(tiles), len(SCORES)), np.float32)
    p = np.empty(scores.shape, np.float64)
    if inside.any():
        scores[inside] = own[: inside.sum()]  # those of other slides come after
        for i, name in enumerate(SCORES):
            p[inside, i] = calibrations[name].of_reference()[: inside.sum()]
    others = np.flatnonzero(~inside)
    for part in blocks(len(others), _AT_ONCE):
        task.step(part.start, len(others), "Comparing tiles with the reference")
        rows = others[part]
        vectors = np.asarray(tiles.vectors[rows])
        scores[rows] = learnt.whole(vectors)
        by_fold = np.stack([model(vectors) for model in learnt.without], axis=2)
        for i, name in enumerate(SCORES):
            p[rows, i] = calibrations[name].of_tiles(by_fold[:, i])
    return scores, p, calibrations


def notes_of(found: Unlike) -> tuple[str, ...]:
    """What a reader should know of how far the rate holds, a sentence each."""
    calibration, n, share = found.decides, len(found.reference), found.share
    notes = []
    low, high = calibration.expected(share)
    if n < FEW:
        notes.append(
            f"The reference has {found.reference.many(n)}, fewer than {FEW}: the threshold is "
            f"uncertain. A typed rate of {share:.2%} may really be {low:.2%} to {high:.2%}."
        )
    if calibration.least > share:
        wanted = int(np.ceil(1 / share)) - 1
        notes.append(
            f"With a reference of {found.reference.many(n)} the smallest p-value is "
            f"{calibration.least:.2%}, so nothing can be a hit at {share:.2%}. Enlarge the "
            f"reference (at least {wanted} in all, from more places), or type a larger rate."
        )
    if len(np.unique(found.reference.slide)) < 2 and len(found.tiles.slides) > 1:
        notes.append(
            "The reference is of one slide: how normal tissue differs from slide to slide is not "
            "in the rate. Add normal slides to the reference."
        )
    return tuple(notes)
