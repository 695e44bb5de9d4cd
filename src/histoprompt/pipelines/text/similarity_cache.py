"""Cosines of tiles with texts that were asked before: only new texts take reading of vectors."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

LARGEST = 128 * 2**20


class CosineCache:
    """Columns of cosines of one set of tiles, the latest used ones; shared by threads.

    Most of the texts of a question are its contrasts, and these are the same for every question.

    Parameters
    ----------
    compute : callable
        From (m, d) texts to (n, m) cosines.
    largest : int
        Bytes to keep; the columns asked for last are kept whatever they take.
    """

    def __init__(
        self,
        compute: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        largest: int = LARGEST,
    ) -> None:
        self._compute, self._largest = compute, largest
        self._kept: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def n_bytes(self) -> int:
        """Taken by what is kept."""
        return sum(column.nbytes for column in self._kept.values())

    def of(self, texts: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosines (n, m) with (m, d) texts; columns are contiguous (Fortran order)."""
        keys = [text.tobytes() for text in texts]
        with self._lock:
            new = [i for i, key in enumerate(keys) if key not in self._kept]
            if new:
                found = self._compute(texts[new])
                for i, column in zip(new, found.T, strict=True):
                    self._kept[keys[i]] = np.ascontiguousarray(column)
            columns = np.stack([self._kept[key] for key in keys])
            self._forget(keys)
        return columns.T

    def _forget(self, used: list[bytes]) -> None:
        """Let the columns that were not used for longest go."""
        for key in used:
            self._kept.move_to_end(key)
        while self.n_bytes > self._largest and next(iter(self._kept)) not in used:
            self._kept.popitem(last=False)
