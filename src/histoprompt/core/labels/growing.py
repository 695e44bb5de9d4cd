"""Rows of numbers that grow, in little more memory than they take at the end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_FIRST = 1024


class GrowingRows:
    """An array that rows are added to.

    Parameters
    ----------
    dtype : dtype
        Of a row, which may have fields.
    """

    def __init__(self, dtype: Any) -> None:
        self._array = np.zeros(_FIRST, dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, rows: NDArray[Any]) -> None:
        """Append rows of the same type."""
        end = self._count + len(rows)
        if end > len(self._array):
            # in place where the system can: no second copy of what is there
            self._array.resize(max(end, len(self._array) * 3 // 2), refcheck=False)
        self._array[self._count : end] = rows
        self._count = end

    @property
    def rows(self) -> NDArray[Any]:
        """All rows so far: a view, to be let go before more are added."""
        return self._array[: self._count]
