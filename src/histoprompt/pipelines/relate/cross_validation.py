"""Cross-validation of many outcomes at once, with whatever predicts.

The whole of it, with what is chosen inside of each fold, can be done again for every permutation of
the outcome: what comes of chance is then measured, not assumed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from histoprompt.pipelines.relate.permute import centred

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
# Products of those learnt from (m, m), of those predicted with them (t, m), outcomes (m, k) of
# those learnt from and their sites (m,) -> predictions (t, k).
Fit = Callable[[Floats, Floats, Floats, Ints], Floats]


def kernel_of(x: Floats, sites: Ints) -> Floats:
    """Products of patients (n, n) by features less the mean of their site.

    The mean needs no outcome, so it may be of all patients of a site, also of those predicted.
    """
    x = centred(x, sites)
    return np.asarray(x @ x.T / max(x.shape[1], 1))


def cross_validated(kernel: Floats, outcomes: Floats, sites: Ints, folds: Ints, fit: Fit) -> Floats:
    """Predict each patient from the patients of all other folds.

    Parameters
    ----------
    kernel : (n, n) float64
        Of `kernel_of`.
    outcomes : (n, k) float64
        One or many (permuted) outcomes.
    sites, folds : (n,) int
        Each site has a level of its own, among patients that are learnt from.
    fit : Fit

    Returns
    -------
    (n, k) float64
        Predictions less the level of the site; those of a fold are on one scale within a site.
    """
    out = np.zeros(outcomes.shape)
    for fold in np.unique(folds):
        test, learn = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if len(learn) < 2:
            continue
        within, across = kernel[np.ix_(learn, learn)], kernel[np.ix_(test, learn)]
        out[test] = fit(within, across, outcomes[learn], sites[learn])
    return out


def both_centred(within: Floats, across: Floats, sites: Ints) -> tuple[Floats, Floats]:
    """Products by features less the mean of each site among those learnt from."""
    within = centred(centred(within, sites).T, sites)
    return within, centred(across.T, sites).T
