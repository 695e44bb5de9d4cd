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
from histoprompt.pipelines.relate.columns import PatientColumn
from histoprompt.pipelines.relate.concordance import OutcomeColumn, interval, scored
from histoprompt.pipelines.relate.cox import log_rank_residuals
from histoprompt.pipelines.relate.cross_validation import Fit, kernel_of
from histoprompt.pipelines.relate.folds import folds_of
from histoprompt.pipelines.relate.guard import standardised
from histoprompt.pipelines.relate.learning_curve import LearningCurve, learning_curve
from histoprompt.pipelines.relate.logistic import logistic
from histoprompt.pipelines.relate.one_column import Tested
from histoprompt.pipelines.relate.params import FEWEST
from histoprompt.pipelines.relate.permute import shuffles
from histoprompt.pipelines.relate.pls import pls
from histoprompt.pipelines.relate.ridge import ridge
from histoprompt.pipelines.relate.study import Study

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

ALL_FEATURES = "(all features)"
_LEAST, _ENOUGH, _MOST = 1000, 10, 5_000
_AT_ONCE = 250


@dataclass(frozen=True)
class PredictionMethod:
    """What predicts.

    Attributes
    ----------
    name : str
        As `RelateParams` has it.
    test : str
        As ``relate.csv`` has it.
    fit : Fit
    """

    name: str
    test: str
    fit: Fit


RIDGE = PredictionMethod("ridge", "cross-validated ridge", ridge)
LOGISTIC = PredictionMethod("logistic", "cross-validated logistic regression", logistic)
PLS = PredictionMethod("PLS", "cross-validated PLS", pls)
METHODS = {m.name: m for m in (RIDGE, LOGISTIC, PLS)}


def method_for(name: str, column: PatientColumn) -> PredictionMethod:
    """Logistic regression is for two groups; other columns are predicted by ridge regression."""
    return RIDGE if name == LOGISTIC.name and column.kind != "binary" else METHODS[name]


@dataclass(frozen=True)
class PredictedOutcome:
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
    curve : LearningCurve or None
        None where nothing is told.
    how : PredictionMethod
    """

    tested: Tested
    concordance: float
    null: float
    null_high: float
    by_site: float
    p_by_site: float
    patients: tuple[int, ...]
    predicted: Floats
    curve: LearningCurve | None
    how: PredictionMethod


def predicted_column(
    study: Study, column: PatientColumn, *, blocks: Ints, folds: Ints | int, permutations: int,
    finest: float, seed: int, task: Task, method: str = RIDGE.name,
) -> PredictedOutcome | None:  # fmt: skip
    """Predict a column from all features.

    Parameters
    ----------
    study : Study
    column : PatientColumn
    blocks : (patients,) int
        In which outcomes change places.
    folds : (patients,) int, or how many
    permutations : int
        At least 1,000 are made.
    finest : float
        The smallest p that matters.
    seed : int
    task : Task
    method : str
        One of `METHODS`.

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
    how = method_for(method, column)
    asked = _asked(study, column, rows, (blocks[rows], drawn), how.fit)
    if not (asked.more & (sites[:, None] == sites)).any():
        return None
    seen, predicted = scored(asked, np.arange(len(rows))[None], asked.folds)
    apart = (
        scored(asked, np.arange(len(rows))[None], sites)[0] if len(np.unique(sites)) > 1 else None
    )
    null, null_apart = _null(asked, float(seen[0]), permutations, finest=finest, rng=rng, task=task)
    p = _p(null, float(seen[0]))
    by_site = np.nan if apart is None else float(apart[0])
    p_by_site = np.nan if apart is None else _p(null_apart, by_site)
    low, high = interval(asked, predicted[0], float(seen[0]), float(np.std(null)), rng)
    together = asked.more.any(axis=0) & (sites[:, None] == sites)
    telling = tuple(study.sites[s] for s in np.unique(sites) if together[sites == s].any())
    effect = 2 * float(seen[0]) - 1
    tested = Tested(
        ALL_FEATURES, column.name, how.test, len(rows), len(np.unique(sites)), telling, effect,
        min(2 * low - 1, effect), max(2 * high - 1, effect), p, len(null),
        {} if apart is None else {"left out": (2 * by_site - 1, p_by_site)}, True, transfer=True,
    )  # fmt: skip
    curve = learning_curve(asked, float(seen[0]), p, rng, task) if len(rows) > FEWEST else None
    return PredictedOutcome(
        tested, float(seen[0]), float(np.mean(null)), float(np.quantile(null, 0.95)), by_site,
        p_by_site, tuple(rows.tolist()), predicted[0][:, 0], curve, how,
    )  # fmt: skip


def _asked(
    study: Study, column: PatientColumn, rows: Ints, parts: tuple[Ints, Ints], fit: Fit
) -> OutcomeColumn:
    sites, y, (blocks, folds) = study.site[rows], column.values[rows], parts
    kernel = kernel_of(standardised(study)[rows], sites)
    if column.event is not None:
        event = column.event[rows]
        # more hazard: the event came before the other's time
        more = (event[:, None] > 0) & (y[:, None] < y)
        numbers = log_rank_residuals(y, event, sites)[:, None]
        return OutcomeColumn(numbers, more[None], kernel, sites, blocks, folds, fit)
    if column.kind == "category":
        levels = np.unique(y)
        numbers = (y[:, None] == levels).astype(float)
    else:
        numbers = y[:, None]
    more = numbers.T[:, :, None] > numbers.T[:, None, :]
    return OutcomeColumn(numbers, more, kernel, sites, blocks, folds, fit)


def _null(
    asked: OutcomeColumn, seen: float, permutations: int, *, finest: float,
    rng: np.random.Generator, task: Task,
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
        found.append(scored(asked, order, asked.folds)[0])
        if several and done < max(_LEAST, permutations):
            apart.append(scored(asked, order, asked.sites)[0])
        done += len(order)
        extreme += int((found[-1] >= seen - 1e-12).sum())
        if done >= goal and extreme < _ENOUGH and goal < min(_MOST, 4 / finest):
            goal = min(_MOST, int(4 / finest) + 1)
    task.step(goal, goal, "Permuting all features", "permutation")
    return np.concatenate(found), np.concatenate(apart) if apart else np.zeros(0)


def _p(null: Floats, seen: float) -> float:
    return float((1 + (null >= seen - 1e-12).sum()) / (1 + len(null)))
