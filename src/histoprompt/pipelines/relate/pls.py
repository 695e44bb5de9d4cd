"""Partial least squares, for many outcomes at once.

Each outcome has components of its own (PLS1), made of the products of patients (Rannar and others,
1994), so that it costs the same by ten features and by ten thousand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.pipelines.relate.cross_validation import both_centred
from histoprompt.pipelines.relate.permute import centred

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
_MOST, _INNER = 4, 4
_NONE = 1e-10


def pls(within: Floats, across: Floats, outcomes: Floats, sites: Ints) -> Floats:
    """With as many components as predict best in folds of those learnt from; a `Fit`."""
    within, across = both_centred(within, across, sites)
    y = centred(outcomes, sites)
    part = np.random.default_rng(0).permutation(len(y)) % _INNER
    error = np.zeros((_MOST, y.shape[1]))
    for fold in range(_INNER):
        test, learn = np.flatnonzero(part == fold), np.flatnonzero(part != fold)
        if not len(test) or len(learn) < 2:
            continue
        made = by_components(within[np.ix_(learn, learn)], within[np.ix_(test, learn)], y[learn])
        error += ((made - y[test]) ** 2).sum(axis=1)
    best = error.argmin(axis=0)
    return np.asarray(by_components(within, across, y)[best, :, np.arange(y.shape[1])].T)


def by_components(within: Floats, across: Floats, y: Floats, most: int = _MOST) -> Floats:
    """Predictions with 1, 2, ... components.

    Parameters
    ----------
    within : (m, m) float64
        Products of centred features.
    across : (t, m) float64
    y : (m, k) float64
        Centred.
    most : int

    Returns
    -------
    (most, t, k) float64
    """
    k = y.shape[1]
    left = y.copy()
    scores: list[Floats] = []
    turned: list[Floats] = []
    ahead: list[Floats] = []
    system, right = np.tile(np.eye(most), (k, 1, 1)), np.zeros((k, most))
    out = np.zeros((most, len(across), k))
    floor = _NONE * max(float(np.trace(within)), _NONE) * np.sqrt((y**2).sum(axis=0))
    for a in range(most):
        turned.append(within @ left)
        ahead.append(across @ left)
        score = turned[-1].copy()
        for before in scores:
            score -= before * (before * score).sum(axis=0)
        length = np.sqrt((score**2).sum(axis=0))
        real = length > floor
        score = np.where(real, score / np.where(real, length, 1.0), 0.0)
        scores.append(score)
        right[:, a] = (score * y).sum(axis=0)
        left = left - score * right[:, a]
        for b in range(a + 1):
            system[:, b, a] = (scores[b] * turned[a]).sum(axis=0)
        system[:, a, a] = np.where(real, system[:, a, a], 1.0)
        held = system[:, : a + 1, : a + 1]
        weights = np.linalg.solve(held, right[:, : a + 1, None])[:, :, 0]
        weights[~real, a] = 0.0
        out[a] = sum(ahead[b] * weights[:, b] for b in range(a + 1))
    return out
