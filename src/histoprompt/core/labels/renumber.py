"""Labels numbered anew: without gaps, or under ids that are given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.labels.table import compacted

# Ids up to here are looked up in a table.
_DENSE = 1 << 24


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


class Renumbering:
    """Labels under other ids, 0 where there is none.

    Parameters
    ----------
    old, new : (n,) uint32
        Ids, the old ones each once, and what becomes of each.
    """

    def __init__(self, old: NDArray[np.uint32], new: NDArray[np.uint32]) -> None:
        order = np.argsort(old, kind="stable")
        self._old, self._new = old[order], new[order]
        self._table: NDArray[np.uint32] | None = None
        most = int(self._old[-1]) if len(self._old) else 0
        if most < _DENSE:
            self._table = np.zeros(most + 2, np.uint32)
            self._table[self._old] = self._new

    def of(self, labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """The labels, renumbered."""
        if self._table is not None:
            last = np.uint32(len(self._table) - 1)  # which is nobody's
            return self._table[np.minimum(labels, last)]
        present, compact, _ = compacted(labels)
        rows = np.searchsorted(self._old, present).clip(max=len(self._old) - 1)
        values = np.where(self._old[rows] == present, self._new[rows], 0)
        return np.concatenate([[0], values]).astype(np.uint32)[compact]
