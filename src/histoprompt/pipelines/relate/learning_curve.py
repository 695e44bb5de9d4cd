"""Would more patients help? The concordance by the number of patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.task import Task
from histoprompt.pipelines.relate.concordance import OutcomeColumn, scored
from histoprompt.pipelines.relate.folds import folds_of
from histoprompt.pipelines.relate.params import FEWEST

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
_SIZES, _DRAWS = 5, 12
# A gain in concordance that is worth more patients.
_WORTH = 0.02


@dataclass(frozen=True)
class LearningCurve:
    """Concordance by the number of patients.

    Attributes
    ----------
    sizes : tuple of int
    scores, errors : tuple of float
        Mean over subsets of patients, and its standard error.
    told : str
        Whether more patients would help.
    """

    sizes: tuple[int, ...]
    scores: tuple[float, ...]
    errors: tuple[float, ...]
    told: str


def learning_curve(
    asked: OutcomeColumn, whole: float, p: float, rng: np.random.Generator, task: Task
) -> LearningCurve:
    """Cross-validate subsets of patients.

    Parameters
    ----------
    asked : OutcomeColumn
    whole : float
        The concordance of all patients.
    p : float
        Of it: chance has no curve.
    rng : Generator
    task : Task
    """
    n = len(asked.sites)
    sizes = np.unique(np.linspace(max(FEWEST, 0.4 * n), n, _SIZES).round().astype(int))
    means, errors = [], []
    for size in sizes[:-1]:
        task.repeat()
        scores = []
        for _ in range(_DRAWS):
            rows = np.sort(_subset(asked.sites, int(size), rng))
            part = asked.part(rows, folds_of(asked.sites[rows], 5, rng))
            scores.append(float(scored(part, np.arange(size)[None], part.folds)[0][0]))
        means.append(float(np.mean(scores)))
        errors.append(float(np.std(scores, ddof=1) / np.sqrt(_DRAWS)))
    scores_at = (*means, whole)
    told = _curve_told(sizes.astype(float), np.array(scores_at), p)
    return LearningCurve(tuple(sizes.tolist()), scores_at, (*errors, 0.0), told)


def _subset(sites: Ints, size: int, rng: np.random.Generator) -> Ints:
    """So many patients, of each site the same share."""
    order = rng.permutation(len(sites))
    order = order[np.argsort(sites[order], kind="stable")]
    return np.asarray(order[np.linspace(0, len(sites) - 1, size).round().astype(int)])


def _curve_told(sizes: Floats, scores: Floats, p: float) -> str:
    """Score by one over the number of patients: what twice as many would give."""
    if p > 0.05 or len(sizes) < 3:
        return "Nothing is predicted better than by chance, so there is no curve to follow."
    slope, at_infinity = np.polyfit(1 / sizes, scores, 1)
    twice = at_infinity + slope / (2 * sizes[-1])
    gain = float(twice - (at_infinity + slope / sizes[-1]))
    if gain > _WORTH:
        return (
            f"More patients would help: with {2 * sizes[-1]:.0f} the concordance would be about "
            f"{min(twice, 1.0):.2f}, not {scores[-1]:.2f}."
        )
    return f"More patients would hardly help: the curve is flat at {scores[-1]:.2f}."
