"""Calibration by clicking: tiles marked yes and no, blended with what the text says.

The text's odds are the prior. With few marks, or marks of one kind, only one number moves: the
threshold, by as much as the marks ask for and no more. From four marks of both kinds on a linear
probe on the tiles' vectors is added. Both are the maximum of one posterior: marks are Bernoulli
trials of ``sigmoid(slope * text + shift + w . x)``, with Gaussian priors that expect slope 1, shift
0 and w 0. So nothing jumps when a mark is added, and the more marks there are, the less the text
has to say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit

from histoprompt.core.errors import PromptError
from histoprompt.core.scores.map import ScoreMap, Threshold
from histoprompt.pipelines.embedding.embedding_store import TileVectors

# Marks of both kinds together from which a probe is fitted.
PROBE_FROM = 4
# Standard deviations of the priors: shift and probe in log odds, slope as a factor.
_SHIFT, _SLOPE, _PROBE = 2.0, 0.5, 2.0
_EDGE = 1e-4
# More marks than this are left out several at a time.
_FOLDS = 20
# Vectors that are looked at to learn where the middle of all tiles lies.
_SAMPLE = 4096


@dataclass(frozen=True, eq=False)
class TextCalibration:
    """What a text's scores became, and what they rest on.

    Attributes
    ----------
    scores : (n,) float32
        In [0, 1].
    threshold : Threshold
        Says in words where it comes from.
    yes, no : int
        Marks it rests on.
    confidence : float or None
        Share of the marks that are told right when each is left out in turn; None for fewer than
        two, or if all are of one kind.
    least : float or None
        Lower end of the 95 % interval of that share (Wilson): small for few marks.
    """

    scores: NDArray[np.float32]
    threshold: Threshold
    yes: int
    no: int
    confidence: float | None = None
    least: float | None = None

    @property
    def text(self) -> str:
        """One line for people."""
        labels = f"{self.yes + self.no} marks ({self.yes} yes, {self.no} no)"
        if self.confidence is None:
            return f"{labels}: too few to say how often it is right"
        told = f"{self.confidence:.0%} told right when left out, at least {self.least:.0%}"
        return f"{labels}: {told}"

    def doubtful(self, marked: Container[int], count: int = 5) -> list[int]:
        """Tiles whose mark would teach most: unmarked, nearest to the threshold first."""
        ends = _EDGE, 1 - _EDGE
        cut = logit(np.clip(self.threshold.value, *ends))
        doubt = np.abs(logit(np.clip(self.scores, *ends)) - cut)
        order = (int(i) for i in np.argsort(doubt, kind="stable"))
        return list(islice((i for i in order if i not in marked), count))


class Calibrator:
    """Fits one text's scores to marks; cheap enough to call after every click.

    Parameters
    ----------
    prior : (n,) float32
        The text's own scores in [0, 1].
    vectors : TileVectors
        Of the same n tiles.
    start : Threshold
        What holds without marks.
    """

    def __init__(self, prior: NDArray[np.float32], vectors: TileVectors, start: Threshold) -> None:
        self._prior = np.asarray(logit(np.clip(prior, _EDGE, 1 - _EDGE)), np.float64)
        self._scores = prior
        self._vectors = vectors
        self._start = start
        self._cut = float(logit(np.clip(start.value, _EDGE, 1 - _EDGE)))
        few = np.unique(np.linspace(0, len(vectors) - 1, min(_SAMPLE, len(vectors)), dtype=np.intp))
        sample = vectors.take(few).astype(np.float64)
        self._middle = sample.mean(axis=0)
        spread = np.linalg.norm(sample - self._middle, axis=1).mean()
        self._unit = 1.0 / max(float(spread), 1e-6)

    def fit(self, marks: Mapping[int, bool]) -> TextCalibration:
        """Scores and threshold that agree with the marks.

        Parameters
        ----------
        marks : mapping of int to bool
            Whether a tile, by index, belongs to the text.

        Raises
        ------
        PromptError
            If a mark is of a tile that is not there.
        """
        index = np.array(sorted(marks), np.intp)
        truth = np.array([marks[i] for i in index.tolist()], bool)
        if index.size and not (index[0] >= 0 and index[-1] < len(self._prior)):
            raise PromptError(
                f"Tile {index[-1]} is marked, but there are {len(self._prior):,} tiles."
            )
        if not index.size:
            return TextCalibration(self._scores, self._start, 0, 0)
        found = self._solve(index, truth)
        confidence, least = self._confidence(index, truth)
        return TextCalibration(
            scores=self._apply(found),
            threshold=self._threshold(found, truth),
            yes=int(truth.sum()),
            no=int((~truth).sum()),
            confidence=confidence,
            least=least,
        )

    def _solve(self, index: NDArray[np.intp], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(shift,), or (shift, slope, w...) where a probe is fitted."""
        text, sign = self._prior[index] - self._cut, np.where(truth, 1.0, -1.0)
        if not _has_probe(truth):
            return _minimum(np.zeros((len(index), 0)), text, sign)
        seen = self._centred(self._vectors.take(index))
        # The probe lies in the span of the marked vectors: as many unknowns as marks, exactly.
        left, size, basis = np.linalg.svd(seen, full_matrices=False)
        found = _minimum(left * size, text, sign)
        return np.concatenate([found[:2], basis.T @ found[2:]])

    def _apply(self, found: NDArray[np.float64]) -> NDArray[np.float32]:
        """Scores of all tiles; the text's own where only the threshold moves."""
        if len(found) == 1:
            return self._scores
        shift, slope, probe = found[0], found[1], found[2:]
        seen = self._vectors.similarities(np.asarray(probe, np.float32)[None])[:, 0]
        seen = (seen - self._middle @ probe) * self._unit
        return np.asarray(expit(slope * (self._prior - self._cut) + shift + seen), np.float32)

    def _threshold(self, found: NDArray[np.float64], truth: NDArray[np.bool_]) -> Threshold:
        yes, no = int(truth.sum()), int((~truth).sum())
        marks = f"{len(truth)} marked tiles ({yes} yes, {no} no)"
        if len(found) == 1:
            moved = float(expit(self._cut - found[0]))
            return Threshold(moved, f"moved from {self._start.value:.2f} by {marks}")
        return Threshold(0.5, f"even odds of text and a probe on {marks}")

    def _confidence(
        self, index: NDArray[np.intp], truth: NDArray[np.bool_]
    ) -> tuple[float | None, float | None]:
        """Leave marks out in turn, each once, and see whether the others tell them right."""
        if len(truth) < 2 or truth.all() or not truth.any():
            return None, None
        fold = np.arange(len(truth)) % min(len(truth), _FOLDS)
        right = [self._told(index, truth, fold == part) for part in range(fold.max() + 1)]
        share = float(np.concatenate(right).mean())
        return share, _wilson_low(share, len(truth))

    def _told(
        self, index: NDArray[np.intp], truth: NDArray[np.bool_], out: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Which of the marks left out the others tell right."""
        found = self._solve(index[~out], truth[~out])
        odds = self._prior[index[out]] - self._cut
        if len(found) == 1:
            return np.asarray((odds + found[0] >= 0) == truth[out])
        seen = self._centred(self._vectors.take(index[out])) @ found[2:]
        return np.asarray((found[1] * odds + found[0] + seen >= 0) == truth[out])

    def _centred(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray((vectors - self._middle) * self._unit, np.float64)


def calibrated(
    scores: ScoreMap, text: str, vectors: TileVectors, marks: Mapping[int, bool]
) -> tuple[ScoreMap, TextCalibration]:
    """A score map with one text calibrated to marks; see `Calibrator`.

    Parameters
    ----------
    scores : ScoreMap
        As it came from `score.ask`; its threshold for the text is the start.
    text : str
    vectors : TileVectors
        Of the map's tiles.
    marks : mapping of int to bool
    """
    calibrator = Calibrator(scores.column(text), vectors, scores.thresholds[text])
    found = calibrator.fit(marks)
    return scores.with_scores(text, found.scores, found.threshold), found


def _has_probe(truth: NDArray[np.bool_]) -> bool:
    return len(truth) >= PROBE_FROM and bool(truth.any()) and not truth.all()


def _minimum(
    seen: NDArray[np.float64], text: NDArray[np.float64], sign: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The most likely (shift, slope, w...), or (shift,) if `seen` has no columns."""
    probe = seen.shape[1] > 0
    columns = (
        np.column_stack([np.ones(len(text)), text, seen]) if probe else np.ones((len(text), 1))
    )
    offset = np.zeros(len(text)) if probe else text
    expect = np.zeros(columns.shape[1])
    width = np.full(columns.shape[1], _PROBE)
    width[0] = _SHIFT
    if probe:
        expect[1], width[1] = 1.0, _SLOPE
    found = minimize(
        _posterior(columns, offset, sign, expect, width), expect, jac=True, method="L-BFGS-B"
    )
    return np.asarray(found.x, np.float64)


def _posterior(
    columns: NDArray[np.float64],
    offset: NDArray[np.float64],
    sign: NDArray[np.float64],
    expect: NDArray[np.float64],
    width: NDArray[np.float64],
) -> Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]:
    """Minus the log posterior and its gradient."""

    def value(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds = sign * (columns @ x + offset)
        away = (x - expect) / width
        cost = -float(log_expit(odds).sum()) + 0.5 * float(away @ away)
        return cost, -columns.T @ (sign * expit(-odds)) + away / width

    return value


def _wilson_low(share: float, count: int, z: float = 1.96) -> float:
    """Lower end of Wilson's interval of a share of `count` trials."""
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, (middle - half) / (1 + z * z / count))
