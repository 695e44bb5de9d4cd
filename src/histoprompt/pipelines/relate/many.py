"""Many at once: a column predicted from all features, for patients not learnt from.

The score is the concordance within sites: of two patients of one site with different outcomes, how
often the one with more is predicted to have more (0.5 is chance). It is the area under the ROC
curve of two groups, and Harrell's C of time to event. Its null is the same cross-validation with
the outcome permuted within blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.task import Task
from histoprompt.pipelines.relate.columns import Column
from histoprompt.pipelines.relate.cox import log_rank_residuals
from histoprompt.pipelines.relate.folds import folds_of
from histoprompt.pipelines.relate.guard import standardised
from histoprompt.pipelines.relate.one_column import Tested
from histoprompt.pipelines.relate.params import FEWEST
from histoprompt.pipelines.relate.permute import shuffles
from histoprompt.pipelines.relate.ridge import cross_validated, kernel_of
from histoprompt.pipelines.relate.study import Study

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

ALL_FEATURES = "(all features)"
TEST = "cross-validated ridge"
_LEAST, _ENOUGH, _MOST = 1000, 10, 5_000
_AT_ONCE = 250
_BOOTSTRAPS = 500
_SIZES, _DRAWS = 5, 12
# A gain in concordance that is worth more patients.
_WORTH = 0.02


@dataclass(frozen=True)
class Curve:
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


@dataclass(frozen=True)
class Model:
    """A column predicted from all features.

    Attributes
    ----------
    tested : Tested
        As a line of ``relate.csv``: the effect is twice the concordance less 1.
    concordance : float
        Of patients that were not learnt from.
    null, null_high : float
        Mean of the permutations, and what 95 in 100 stay below.
    by_site : float
        Concordance in sites that were not learnt from; nan with one site.
    p_by_site : float
    patients : tuple of int
        Rows of the study.
    predicted : (n,) float64
        Of these patients, from the other folds, less the mean of their site.
    curve : Curve or None
        None where nothing is told.
    """

    tested: Tested
    concordance: float
    null: float
    null_high: float
    by_site: float
    p_by_site: float
    patients: tuple[int, ...]
    predicted: Floats
    curve: Curve | None


@dataclass(frozen=True)
class _Asked:
    """A column as it is predicted: (n, d) numbers, and which patient has more than which."""

    y: Floats
    more: NDArray[np.bool_]
    kernel: Floats
    sites: Ints
    blocks: Ints
    folds: Ints


def predicted_column(
    study: Study, column: Column, *, blocks: Ints, folds: Ints | int, permutations: int,
    finest: float, seed: int, task: Task,
) -> Model | None:  # fmt: skip
    """Predict a column from all features.

    Parameters
    ----------
    study : Study
    column : Column
    blocks : (patients,) int
        In which outcomes change places.
    folds : (patients,) int, or how many
    permutations : int
        At least 1,000 are made.
    finest : float
        The smallest p that matters.
    seed : int
    task : Task

    Returns
    -------
    Model or None
        None below 20 patients, or where nothing varies within a site.
    """
    rows = np.flatnonzero(column.known)
    if len(rows) < FEWEST:
        return None
    rng = np.random.default_rng([seed, 7, *column.name.encode()])
    sites = study.site[rows]
    drawn = folds_of(sites, folds, rng) if isinstance(folds, int) else folds[rows]
    asked = _asked(study, column, rows, blocks[rows], drawn)
    if not (asked.more & (sites[:, None] == sites)).any():
        return None
    seen, predicted = _score(asked, np.arange(len(rows))[None], asked.folds)
    apart = (
        _score(asked, np.arange(len(rows))[None], sites)[0] if len(np.unique(sites)) > 1 else None
    )
    null, null_apart = _null(asked, float(seen[0]), permutations, finest=finest, rng=rng, task=task)
    p = _p(null, float(seen[0]))
    by_site = np.nan if apart is None else float(apart[0])
    p_by_site = np.nan if apart is None else _p(null_apart, by_site)
    low, high = _interval(asked, predicted[0], rng)
    together = asked.more.any(axis=0) & (sites[:, None] == sites)
    telling = tuple(study.sites[s] for s in np.unique(sites) if together[sites == s].any())
    effect = 2 * float(seen[0]) - 1
    tested = Tested(
        ALL_FEATURES, column.name, TEST, len(rows), len(np.unique(sites)), telling, effect,
        min(2 * low - 1, effect), max(2 * high - 1, effect), p, len(null),
        {} if apart is None else {"left out": (2 * by_site - 1, p_by_site)}, True, transfer=True,
    )  # fmt: skip
    curve = _curve(asked, float(seen[0]), p, rng, task) if len(rows) > FEWEST else None
    return Model(
        tested, float(seen[0]), float(np.mean(null)), float(np.quantile(null, 0.95)), by_site,
        p_by_site, tuple(rows.tolist()), predicted[0][:, 0], curve,
    )  # fmt: skip


def _asked(study: Study, column: Column, rows: Ints, blocks: Ints, folds: Ints) -> _Asked:
    sites, y = study.site[rows], column.values[rows]
    kernel = kernel_of(standardised(study)[rows], sites)
    if column.event is not None:
        event = column.event[rows]
        # more hazard: the event came before the other's time
        more = (event[:, None] > 0) & (y[:, None] < y)
        numbers = log_rank_residuals(y, event, sites)[:, None]
        return _Asked(numbers, more[None], kernel, sites, blocks, folds)
    if column.kind == "category":
        levels = np.unique(y)
        numbers = (y[:, None] == levels).astype(float)
    else:
        numbers = y[:, None]
    more = numbers.T[:, :, None] > numbers.T[:, None, :]
    return _Asked(numbers, more, kernel, sites, blocks, folds)


def _score(asked: _Asked, order: Ints, folds: Ints) -> tuple[Floats, Floats]:
    """Concordance (k,) and predictions (k, n, d) of outcomes in (k, n) orders."""
    k, n = order.shape
    d = asked.y.shape[1]
    outcomes = asked.y[order].transpose(1, 0, 2).reshape(n, k * d)
    made = cross_validated(asked.kernel, outcomes, asked.sites, folds)
    predicted = made.reshape(n, k, d).transpose(1, 0, 2)
    # predictions for two sites are on two scales
    one, other = np.nonzero(asked.sites[:, None] == asked.sites)
    scores = np.empty(k)
    for i, turned in enumerate(order):
        more = asked.more[:, turned[one], turned[other]]
        scores[i] = _concordance(more, predicted[i][one] - predicted[i][other])
    return scores, predicted


def _concordance(more: NDArray[np.bool_], gaps: Floats) -> float:
    """Of (d, pairs) where the first has more, how often (pairs, d) gaps say so; ties are half."""
    right = pairs = 0.0
    for m, gap in zip(more, gaps.T, strict=True):
        told = gap[m]
        right += (told > 1e-12).sum() + 0.5 * (np.abs(told) <= 1e-12).sum()
        pairs += len(told)
    return float(right / pairs) if pairs else 0.5


def _null(
    asked: _Asked, seen: float, permutations: int, *, finest: float, rng: np.random.Generator,
    task: Task,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Concordances of permuted outcomes, by folds and by sites."""
    goal = max(_LEAST, permutations)
    found: list[Floats] = []
    apart: list[Floats] = []
    several = len(np.unique(asked.sites)) > 1
    done = extreme = 0
    while done < goal:
        task.step(done, goal, "Permuting all features", "permutation")
        order = shuffles(asked.blocks, min(_AT_ONCE, goal - done), rng)
        found.append(_score(asked, order, asked.folds)[0])
        if several and done < max(_LEAST, permutations):
            apart.append(_score(asked, order, asked.sites)[0])
        done += len(order)
        extreme += int((found[-1] >= seen - 1e-12).sum())
        if done >= goal and extreme < _ENOUGH and goal < min(_MOST, 4 / finest):
            goal = min(_MOST, int(4 / finest) + 1)
    task.step(goal, goal, "Permuting all features", "permutation")
    return np.concatenate(found), np.concatenate(apart) if apart else np.zeros(0)


def _p(null: Floats, seen: float) -> float:
    return float((1 + (null >= seen - 1e-12).sum()) / (1 + len(null)))


def _interval(asked: _Asked, predicted: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """Of the concordance, by drawing patients again within their site; predictions stay."""
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
    low, high = float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))
    if high - low < 1e-9:  # all pairs are right: that of half as many patients, by Wilson
        half = n / 2
        low = min(low, half / (half + 1.959964**2))
    return low, high


def _curve(asked: _Asked, whole: float, p: float, rng: np.random.Generator, task: Task) -> Curve:
    n = len(asked.sites)
    sizes = np.unique(np.linspace(max(FEWEST, 0.4 * n), n, _SIZES).round().astype(int))
    means, errors = [], []
    for size in sizes[:-1]:
        task.repeat()
        scores = []
        for _ in range(_DRAWS):
            rows = np.sort(_subset(asked.sites, int(size), rng))
            part = _Asked(asked.y[rows], asked.more[:, rows][:, :, rows],
                          asked.kernel[np.ix_(rows, rows)], asked.sites[rows], asked.blocks[rows],
                          folds_of(asked.sites[rows], 5, rng))  # fmt: skip
            scores.append(float(_score(part, np.arange(size)[None], part.folds)[0][0]))
        means.append(float(np.mean(scores)))
        errors.append(float(np.std(scores, ddof=1) / np.sqrt(_DRAWS)))
    scores_at = (*means, whole)
    told = _curve_told(sizes.astype(float), np.array(scores_at), p)
    return Curve(tuple(sizes.tolist()), scores_at, (*errors, 0.0), told)


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
