"""Cox's proportional hazards within sites, for many features at once.

Ties are Breslow's. Each site has its own baseline hazard, so that a site whose patients live longer
says nothing of the features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_STEPS = 25
# A hazard ratio beyond this per standard deviation means that the likelihood has no maximum.
_LARGEST = 15.0


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


def hazards(
    x: Floats, time: Floats, event: Floats, sites: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Log hazard ratio of each feature by itself, and its standard error.

    Parameters
    ----------
    x : (n, features) float64
    time, event : (n,) float64
    sites : (n,) int
        Strata.

    Returns
    -------
    effect, error : (features,) float64
        nan where the likelihood has no maximum, as where all events are of the highest values.
    """
    strata = [_ordered(x, time, event, sites == site) for site in np.unique(sites)]
    beta = np.zeros(x.shape[1])
    information = np.zeros_like(beta)
    for _ in range(_STEPS):
        score = np.zeros_like(beta)
        information = np.zeros_like(beta)
        for stratum in strata:
            gain, bend = _derivatives(beta, *stratum)
            score += gain
            information += bend
        step = np.divide(score, information, out=np.zeros_like(score), where=information > 1e-12)
        beta = np.clip(beta + np.clip(step, -1.0, 1.0), -2 * _LARGEST, 2 * _LARGEST)
        if np.abs(step).max(initial=0.0) < 1e-9:
            break
    sound = (np.abs(beta) < _LARGEST) & (information > 1e-9)
    error = np.sqrt(1 / np.where(sound, information, 1.0))
    return np.where(sound, beta, np.nan), np.where(sound, error, np.nan)


def _ordered(
    x: Floats, time: Floats, event: Floats, rows: NDArray[np.bool_]
) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """A site from the longest time to the shortest, with the last row of each one's risk set."""
    order = np.argsort(-time[rows], kind="stable")
    t = time[rows][order]
    last = np.searchsorted(-t, -t, side="right") - 1
    return x[rows][order], event[rows][order], last


def _derivatives(
    beta: Floats, x: Floats, event: Floats, last: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    eta = x * beta
    weight = np.exp(eta - eta.max(axis=0, initial=0.0))
    risk = np.maximum(np.cumsum(weight, axis=0)[last], 1e-300)
    mean = np.cumsum(weight * x, axis=0)[last] / risk
    square = np.cumsum(weight * x**2, axis=0)[last] / risk
    at = event[:, None]
    return (at * (x - mean)).sum(axis=0), (at * (square - mean**2)).sum(axis=0)
