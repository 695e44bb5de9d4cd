"""Which objects of two label images share pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LOW = np.uint64(2**32 - 1)


def shared_pixels(
    first: NDArray[np.uint32], second: NDArray[np.uint32]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.int64]]:
    """The pairs of objects that share pixels, and how many.

    Parameters
    ----------
    first, second : (h, w) uint32
        Of the same place; 0 background.

    Returns
    -------
    (n,) uint32, (n,) uint32, (n,) int64
        Ids in each, ascending by the first, then the second; pixels they share.
    """
    both = (first > 0) & (second > 0)
    code = first[both].astype(np.uint64) << np.uint64(32) | second[both]
    pairs, pixels = np.unique(code, return_counts=True)
    one, other = pairs >> np.uint64(32), pairs & _LOW
    return one.astype(np.uint32), other.astype(np.uint32), pixels.astype(np.int64)
