"""Ridge regression: predictions are linear in the outcome."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.pipelines.relate.permute import centred

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# In units of the mean eigenvalue of the kernel.
STRENGTHS = (0.1, 1.0, 10.0, 100.0)


def ridge(within: Floats, across: Floats, outcomes: Floats, sites: Ints) -> Floats:
    """With the strength that predicts those learnt from best, each left out by itself; a `Fit`."""
    y = centred(outcomes, sites)
    values, vectors = eigen(within)
    turned = vectors.T @ y
    ahead = across @ vectors
    out = np.zeros((len(across), y.shape[1]))
    chosen = best_strengths(values, vectors, y)
    for strength in np.unique(chosen):
        at = chosen == strength
        out[:, at] = ahead @ (turned[:, at] / (values + strength)[:, None])
    return out


def eigen(kernel: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues (m,), none below 0, and vectors (m, m)."""
    values, vectors = np.linalg.eigh(kernel)
    return np.maximum(values, 0.0), vectors


def best_strengths(values: Floats, vectors: Floats, y: Floats) -> Floats:
    """What is added to the eigenvalues, per outcome, that predicts those learnt from best.

    Parameters
    ----------
    values : (m,) float64
    vectors : (m, m) float64
    y : (m, k) float64
        Outcomes less the mean of their site.

    Returns
    -------
    (k,) float64
        By the squares of the errors where each is left out by itself.
    """
    turned = vectors.T @ y
    best = np.full(y.shape[1], np.inf)
    scale = max(float(values.mean()), 1e-12)
    out = np.full(y.shape[1], STRENGTHS[0] * scale)
    for strength in STRENGTHS:
        shrink = 1 / (values + strength * scale)
        own = np.einsum("ij,j,ij->i", vectors, values * shrink, vectors)
        rest = y - vectors @ ((values * shrink)[:, None] * turned)
        error = ((rest / np.maximum(1 - own, 1e-6)[:, None]) ** 2).sum(axis=0)
        out = np.where(error < best, strength * scale, out)
        best = np.minimum(error, best)
    return out
