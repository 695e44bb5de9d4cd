"""Labels numbered anew, without gaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def renumbered(labels: NDArray[np.int32], keep: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Some of the objects of a label image, numbered from 1 in the same order.

    Parameters
    ----------
    labels : (h, w) int32
        0 background, objects 1 ... n.
    keep : (n,) bool
        Which of them stay; the rest becomes background.
    """
    numbers = np.concatenate([[0], np.cumsum(keep) * keep]).astype(np.int32)
    return np.asarray(numbers[labels])
