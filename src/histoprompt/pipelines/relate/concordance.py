"""How well predictions order patients of one site, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.pipelines.relate.cross_validation import Fit, cross_validated

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
_BOOTSTRAPS = 500
Z = 1.959964
# What part of the variance of chance is that of models learnt from other patients.
OF_MODELS = 0.5
# How far from a half errors are not yet those of models that tell something.
_NEAR = 0.1
# Between 0 and 1, of concordances that are tried.
_STEPS = 4000


@dataclass(frozen=True)
class OutcomeColumn:
    """A column as it is predicted.

    Attributes
    ----------
    y : (n, d) float64
        Its numbers; one per level of a category.
    more : (d, n, n) bool
        Which patient has more than which.
    kernel : (n, n) float64
    sites, blocks, folds : (n,) int
    fit : Fit
        What predicts.
    """

    y: Floats
    more: NDArray[np.bool_]
    kernel: Floats
    sites: Ints
    blocks: Ints
    folds: Ints
    fit: Fit

    def part(self, rows: Ints, folds: Ints) -> OutcomeColumn:
        """Some of the patients, in folds of their own."""
        more, kernel = self.more[:, rows][:, :, rows], self.kernel[np.ix_(rows, rows)]
        sites, blocks = self.sites[rows], self.blocks[rows]
        return OutcomeColumn(self.y[rows], more, kernel, sites, blocks, folds, self.fit)


def scored(asked: OutcomeColumn, order: Ints, folds: Ints) -> tuple[Floats, Floats]:
    """Concordance (k,) and predictions (k, n, d) of outcomes in (k, n) orders."""
    k, n = order.shape
    d = asked.y.shape[1]
    outcomes = asked.y[order].transpose(1, 0, 2).reshape(n, k * d)
    made = cross_validated(asked.kernel, outcomes, asked.sites, folds, asked.fit)
    predicted = made.reshape(n, k, d).transpose(1, 0, 2)
    # predictions for two sites are on two scales
    one, other = np.nonzero(asked.sites[:, None] == asked.sites)
    scores = np.empty(k)
    for i, turned in enumerate(order):
        more = asked.more[:, turned[one], turned[other]]
        scores[i] = concordance(more, predicted[i][one] - predicted[i][other])
    return scores, predicted


def concordance(more: NDArray[np.bool_], gaps: Floats) -> float:
    """Of (d, pairs) where the first has more, how often (pairs, d) gaps say so; ties are half."""
    right = pairs = 0.0
    for m, gap in zip(more, gaps.T, strict=True):
        told = gap[m]
        right += (told > 1e-12).sum() + 0.5 * (np.abs(told) <= 1e-12).sum()
        pairs += len(told)
    return float(right / pairs) if pairs else 0.5


def interval(
    asked: OutcomeColumn, predicted: Floats, seen: float, chance: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Of the concordance that such studies have.

    Patients are drawn again within their site, which leaves predictions as they are. That models
    learnt from other patients differ is added as half of the variance that permuted outcomes have.
    A concordance is in the interval if the one that was seen is no farther from it than its own
    error allows (a score interval, as Wilson's of a share). At a half that error is the one of
    permuted outcomes, so that interval and p agree; in made studies the interval then holds the
    mean of studies in 92 to 99 of 100, also where all pairs are right.

    Parameters
    ----------
    asked : OutcomeColumn
    predicted : (n, d) float64
    seen : float
        The concordance.
    chance : float
        The standard deviation of it where outcomes are permuted.
    rng : Generator
    """
    n = len(asked.sites)
    together = asked.sites[:, None] == asked.sites
    agrees = np.zeros((n, n))
    pairs = np.zeros((n, n))
    for m, p in zip(asked.more, predicted.T, strict=True):
        gap = p[:, None] - p
        agrees += (m & together) * ((gap > 1e-12) + 0.5 * (np.abs(gap) <= 1e-12))
        pairs += m & together
    drawn = []
    for _ in range(_BOOTSTRAPS):
        weight = np.zeros(n)
        for site in np.unique(asked.sites):
            rows = np.flatnonzero(asked.sites == site)
            weight += np.bincount(rng.choice(rows, len(rows)), minlength=n)
        total = weight @ pairs @ weight
        if total > 0:
            drawn.append(weight @ agrees @ weight / total)
    return _score_interval(seen, float(np.var(drawn)) if drawn else 0.0, chance**2, n)


def _score_interval(seen: float, drawn: float, chance: float, n: int) -> tuple[float, float]:
    """Concordances from which the seen one is no farther than `Z` of their errors.

    Parameters
    ----------
    seen : float
    drawn, chance : float
        Variances: of patients drawn again, and of permuted outcomes.
    n : int
        Patients.
    """
    # variances as they would be at a half: a share varies less near 0 and 1
    middle = min(max(seen, 0.5 / n), 1 - 0.5 / n)
    # where all pairs are right, none is seen: that of half as many patients
    own = 0.25 * drawn / (middle * (1 - middle)) if drawn > 1e-12 else 0.5 / n
    more = max(own + OF_MODELS * chance - chance, 0.0)
    at = np.linspace(0, 1, _STEPS + 1)
    # chance alone decides at a half, as it does of p; the rest is added within a tenth of it
    share = np.minimum(np.abs(at - 0.5) / _NEAR, 1.0)
    error = np.sqrt(4 * at * (1 - at) * (chance + more * share))
    out = at[np.abs(seen - at) > Z * error]
    below, above = out[out < seen], out[out > seen]
    return (
        float(below.max() if len(below) else 0.0),
        float(above.min() if len(above) else 1.0),
    )
