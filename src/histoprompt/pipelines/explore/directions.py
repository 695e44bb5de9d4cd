"""Main directions of vectors, made more alike: where tissues lie apart.

A few directions of stain and brightness outweigh all others in what an encoder sees. Weighing
directions by their spread (whitening) takes that away; the mean variance is added to each, or the
weakest directions, which are noise, would count as much as the strongest.
`benchmarks/bench_explore.py` says what it is worth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

# Directions that are kept, and vectors for each at the least.
DIRECTIONS, EACH = 32, 5


def directions(scaled: Float) -> tuple[NDArray[np.float64], Float]:
    """Variances and directions (d, k) of (n, d) centred vectors, largest first."""
    n, d = scaled.shape
    covariance = np.asarray(scaled.T @ scaled, np.float64) / max(n - 1, 1)
    value, vector = np.linalg.eigh(covariance)
    kept = max(1, min(n - 1, d))
    order = np.argsort(-value, kind="stable")[:kept]
    vector = vector[:, order]
    # a direction has no sign of its own: the largest entry is made positive
    sign = np.sign(vector[np.abs(vector).argmax(axis=0), np.arange(kept)])
    return np.maximum(value[order], 0), np.asarray(vector * sign, np.float32)


def whitening(scaled: Float, most: int = DIRECTIONS, shrink: float = 1.0) -> Float:
    """Axes (d, k) that take (n, d) centred vectors into main directions of like weight.

    Parameters
    ----------
    scaled : (n, d) float32
    most : int
        Directions at most.
    shrink : float
        How often the mean variance is added to each: less weighs directions more alike.
    """
    value, axes = directions(scaled)
    kept = max(2, min(most, len(value), len(scaled) // EACH))
    value, axes = value[:kept], axes[:, :kept]
    return np.asarray(axes / np.sqrt(value + shrink * max(float(value.mean()), 1e-9)), np.float32)
