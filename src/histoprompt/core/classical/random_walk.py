"""Random walker with priors: what is near, alike and already believed decides each pixel.

The recipe is published in L. Grady, "Multilabel random walker image segmentation using prior
models", CVPR 2005: beliefs are spread over a graph whose edges are weak where pixels differ.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import LinearOperator, cg


def spread(
    image: NDArray[np.float32],
    belief: NDArray[np.float64],
    confidence: NDArray[np.float64],
    beta: float = 2.0,
) -> NDArray[np.float64]:
    """Spread beliefs over an image without crossing its edges.

    Minimises ``sum_ij w_ij (x_i - x_j)^2 + sum_i confidence_i (x_i - belief_i)^2`` over the pixels
    of a 4-connected grid, with ``w_ij = exp(-beta (image_i - image_j)^2 / mean square)``.

    Parameters
    ----------
    image : (h, w) float
        What makes an edge; any unit.
    belief : (h, w) float in [0, 1]
        1 inside the object, 0 outside.
    confidence : (h, w) float, not negative
        Weight of the belief against that of one edge; at least one must be positive.
    beta : float
        How much an edge holds back.

    Returns
    -------
    (h, w) float in [0, 1]
    """
    weights = np.concatenate([_edges(image, axis) for axis in (0, 1)])
    index = np.arange(image.size).reshape(image.shape)
    left = np.concatenate([index[:-1].ravel(), index[:, :-1].ravel()])
    right = np.concatenate([index[1:].ravel(), index[:, 1:].ravel()])
    mean = float(weights.sum()) / max(1, weights.size) or 1.0
    weights = np.exp(-beta * weights / mean) + 1e-4
    near = csr_array((weights, (left, right)), shape=(image.size, image.size))
    near = near + near.T
    trust = confidence.ravel() + 1e-6
    total = near.sum(axis=0).ravel() + trust
    start = belief.ravel()
    scale = LinearOperator(near.shape, matvec=lambda v: v / total)
    # Relative to the right-hand side, which is nearly all of what was said: so a small tolerance.
    system, target = diags_array(total) - near, trust * start
    found, _ = cg(system, target, x0=start, rtol=1e-5, maxiter=200, M=scale)
    spread_: NDArray[np.float64] = np.clip(found, 0, 1).reshape(image.shape)
    return spread_


def _edges(image: NDArray[np.float32], axis: int) -> NDArray[np.float64]:
    return np.diff(image.astype(float), axis=axis).ravel() ** 2
