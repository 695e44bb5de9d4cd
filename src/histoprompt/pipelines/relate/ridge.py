"""Ridge regression cross-validated for many outcomes at once.

Predictions are linear in the outcome, so the whole of cross-validation, with the strength chosen
inside of each fold, can be done again for every permutation of the outcome: what comes of chance
is then measured, not assumed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.pipelines.relate.permute import centred

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# In units of the mean eigenvalue of the kernel.
STRENGTHS = (0.1, 1.0, 10.0, 100.0)


def kernel_of(x: Floats, sites: Ints) -> Floats:
    """Products of patients (n, n) by features less the mean of their site.

    The mean needs no outcome, so it may be of all patients of a site, also of those predicted.
    """
    x = centred(x, sites)
    return np.asarray(x @ x.T / max(x.shape[1], 1))


def cross_validated(kernel: Floats, outcomes: Floats, sites: Ints, folds: Ints) -> Floats:
    """Predict each patient from the patients of all other folds.

    Parameters
    ----------
    kernel : (n, n) float64
        Of `kernel_of`.
    outcomes : (n, k) float64
        One or many (permuted) outcomes.
    sites, folds : (n,) int
        Outcomes are taken less their mean in the site, among patients that are learnt from.

    Returns
    -------
    (n, k) float64
        Predictions; those of a fold are on one scale within a site.
    """
    out = np.zeros(outcomes.shape)
    for fold in np.unique(folds):
        test, learn = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if len(learn) < 2:
            continue
        out[test] = _predicted(kernel, test, learn, centred(outcomes[learn], sites[learn]))
    return out


def _predicted(kernel: Floats, test: Ints, learn: Ints, y: Floats) -> Floats:
    """With the strength that predicts those learnt from best, each left out by itself."""
    values, vectors = np.linalg.eigh(kernel[np.ix_(learn, learn)])
    values = np.maximum(values, 0.0)
    turned = vectors.T @ y
    across = kernel[np.ix_(test, learn)] @ vectors
    best = np.full(y.shape[1], np.inf)
    out = np.zeros((len(test), y.shape[1]))
    scale = max(float(values.mean()), 1e-12)
    for strength in STRENGTHS:
        shrink = 1 / (values + strength * scale)
        own = np.einsum("ij,j,ij->i", vectors, values * shrink, vectors)
        rest = y - vectors @ ((values * shrink)[:, None] * turned)
        error = ((rest / np.maximum(1 - own, 1e-6)[:, None]) ** 2).sum(axis=0)
        better = error < best
        best = np.where(better, error, best)
        out[:, better] = across @ (shrink[:, None] * turned[:, better])
    return out
