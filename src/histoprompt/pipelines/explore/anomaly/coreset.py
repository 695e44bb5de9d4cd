"""A few vectors that stand for many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.vectors import unit_rows
from histoprompt.pipelines.explore.stored_vectors import Vectors, in_blocks

MOST = 20_000


def coreset(vectors: Vectors, most: int = MOST, seed: int = 0) -> NDArray[np.intp]:
    """Rows that leave no vector far from one of them: greedy k-center on cosines.

    T. Gonzalez, "Clustering to minimize the maximum intercluster distance", Theor. Comput. Sci. 38
    (1985) 293-306; used for memory banks by K. Roth et al., "Towards total recall in industrial
    anomaly detection", CVPR 2022. As there, distances are looked at in a random projection.

    Parameters
    ----------
    vectors : (n, d)
    most : int
        Rows to keep; all of them, in their order, where there are no more.
    seed : int
        Of the projection.

    Returns
    -------
    (min(n, most),) intp
        Sorted.
    """
    n = len(vectors)
    if n <= most:
        return np.arange(n)
    d = vectors[:1].shape[1]
    rng = np.random.default_rng(seed)
    project = rng.standard_normal((d, min(d, 64))).astype(np.float32)
    points = np.empty((n, project.shape[1]), np.float32)
    for part, block in in_blocks(vectors):
        points[part] = unit_rows(block @ project)
    chosen = np.empty(most, np.intp)
    chosen[0] = int(rng.integers(n))
    nearest = points @ points[chosen[0]]
    for i in range(1, most):
        chosen[i] = int(nearest.argmin())
        np.maximum(nearest, points @ points[chosen[i]], out=nearest)
    return np.sort(chosen)
