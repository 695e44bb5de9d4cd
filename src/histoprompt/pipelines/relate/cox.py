"""Cox's proportional hazards within sites, for many features at once.

Ties are Efron's. Each site has its own baseline hazard, so that a site whose patients live longer
says nothing of the features. Where the likelihood has no maximum (all events are of the highest
values, or of one group), it is Firth's: penalised by the information, it always has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_STEPS = 25
# A log hazard ratio beyond this means that the likelihood has no maximum; information below this,
# that there is nothing to estimate from.
_LARGEST, _LEAST = 15.0, 1e-9


def log_rank_residuals(time: Floats, event: Floats, sites: NDArray[np.intp]) -> Floats:
    """Martingale residuals without features: events seen less events expected.

    Their sum of products with a feature is the score of Cox's model at no effect; with groups it is
    the log-rank test.

    Parameters
    ----------
    time : (n,) float64
    event : (n,) float64
        1 where the event was seen, 0 where the patient was censored.
    sites : (n,) int

    Returns
    -------
    (n,) float64
        Their sum is 0 in each site.
    """
    out = np.empty(len(time))
    for site in np.unique(sites):
        rows = np.flatnonzero(sites == site)
        t, e = time[rows], event[rows]
        moments = np.unique(t[e > 0])
        at_risk = (t[:, None] >= moments).sum(axis=0)
        events = ((t[:, None] == moments) & (e[:, None] > 0)).sum(axis=0)
        hazard = np.append(0.0, np.cumsum(events / at_risk))
        out[rows] = e - hazard[np.searchsorted(moments, t, side="right")]
    return out


@dataclass(frozen=True)
class _Stratum:
    """A site from the longest time to the shortest.

    Attributes
    ----------
    x : (n, features) float64
    event : (n,) float64
    first, last : (n,) int
        Rows of the same time; the risk set of each is all rows up to the last.
    share : (n,) float64
        What part of the events of its time come before each, by Efron.
    """

    x: Floats
    event: Floats
    first: NDArray[np.intp]
    last: NDArray[np.intp]
    share: Floats


def hazards(
    x: Floats, time: Floats, event: Floats, sites: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Log hazard ratio of each feature by itself, and its standard error.

    Parameters
    ----------
    x : (n, features) float64
        Of the order of 1: a log hazard ratio beyond 15 is taken to be infinite.
    time, event : (n,) float64
    sites : (n,) int
        Strata.

    Returns
    -------
    effect, error : (features,) float64
        nan where no risk set has two values.
    """
    strata = [_stratum(x, time, event, sites == site) for site in np.unique(sites)]
    beta, information = _highest(strata, x.shape[1], firth=False)
    sound = (np.abs(beta) < _LARGEST) & (information > _LEAST)
    rest = np.flatnonzero(~sound)
    if len(rest):
        part = [replace(s, x=s.x[:, rest]) for s in strata]
        beta[rest], information[rest] = _highest(part, len(rest), firth=True)
        sound = (np.abs(beta) < _LARGEST) & (information > _LEAST)
    error = np.sqrt(1 / np.where(sound, information, 1.0))
    return np.where(sound, beta, np.nan), np.where(sound, error, np.nan)


def _highest(strata: Sequence[_Stratum], many: int, *, firth: bool) -> tuple[Floats, Floats]:
    """Where the (penalised) likelihood is highest, by Newton's steps, and the information there."""
    beta, information = np.zeros(many), np.zeros(many)
    for _ in range(4 * _STEPS if firth else _STEPS):
        score, information, bend = (np.zeros(many) for _ in range(3))
        for stratum in strata:
            gain, second, third = _derivatives(beta, stratum, firth=firth)
            score += gain
            information += second
            bend += third
        known = information > 1e-12
        if firth:
            score += np.divide(bend, 2 * information, out=np.zeros(many), where=known)
        step = np.divide(score, information, out=np.zeros(many), where=known)
        beta = np.clip(beta + np.clip(step, -1.0, 1.0), -2 * _LARGEST, 2 * _LARGEST)
        if np.abs(step).max(initial=0.0) < 1e-9:
            break
    return beta, information


def _stratum(x: Floats, time: Floats, event: Floats, rows: NDArray[np.bool_]) -> _Stratum:
    order = np.argsort(-time[rows], kind="stable")
    t, e = time[rows][order], event[rows][order]
    first = np.searchsorted(-t, -t, side="left")
    last = np.searchsorted(-t, -t, side="right") - 1
    seen = np.append(0.0, np.cumsum(e))
    of_time = np.maximum(seen[last + 1] - seen[first], 1.0)
    share = np.where(e > 0, (seen[:-1] - seen[first]) / of_time, 0.0)
    return _Stratum(x[rows][order], e, first, last, share)


def _derivatives(beta: Floats, of: _Stratum, *, firth: bool) -> tuple[Floats, Floats, Floats]:
    """Score, information, and (for Firth) the derivative of the information."""
    eta = of.x * beta
    weight = np.exp(eta - eta.max(axis=0, initial=0.0))
    at = of.event[:, None]

    def sums(values: Floats) -> Floats:
        """Over each risk set, less Efron's share of those whose event is at the same time."""
        gone = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(at * values, axis=0)])
        tied = gone[of.last + 1] - gone[of.first]
        return np.asarray(np.cumsum(values, axis=0)[of.last] - of.share[:, None] * tied)

    risk = np.maximum(sums(weight), 1e-300)
    mean = sums(weight * of.x) / risk
    square = sums(weight * of.x**2) / risk
    score, information = (at * (of.x - mean)).sum(axis=0), (at * (square - mean**2)).sum(axis=0)
    if not firth:
        return score, information, np.zeros_like(score)
    cube = sums(weight * of.x**3) / risk
    return score, information, (at * (cube - 3 * mean * square + 2 * mean**3)).sum(axis=0)
