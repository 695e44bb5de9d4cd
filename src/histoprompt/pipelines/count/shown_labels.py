"""Labels of a count as they are shown: corrected where one looks, at every level of detail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.pipelines.count.hand_work import HandWork

Index = int | slice | tuple[int | slice, ...]


class ShownLabels:
    """One level of the labels, sliced like an array; what is corrected since is in what is read.

    Parameters
    ----------
    level : (h, w) uint32
        As counted.
    step : int
        Level-0 pixels a pixel.
    origin : (row, col)
        Level-0 position of the first pixel.
    now : callable
        Gives the corrections that hold; None for none.
    """

    def __init__(
        self, level: Any, step: int, origin: tuple[int, int], now: Callable[[], HandWork | None]
    ) -> None:
        self._level, self._step, self._origin, self._now = level, step, origin, now
        self.shape: tuple[int, int] = tuple(level.shape)
        self.dtype = np.dtype(np.uint32)
        self.ndim = 2

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """Pixels."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of all of it."""
        return self.size * self.dtype.itemsize

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:, :], dtype)

    def __getitem__(self, index: Any) -> Any:
        """A part, (h, w) uint32, or one pixel; steps of slices are positive."""
        whole, steps = ranged(index, self.shape)
        ids = np.asarray(self._level[whole])
        now = self._now()
        if now is not None:
            row, col = (
                o + part.start * self._step for o, part in zip(self._origin, whole, strict=True)
            )
            ids = now.onto(ids, (row, col), self._step)
        return ids[steps]


def ranged(
    index: Any, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[int | slice, int | slice]]:
    """What an index of an array (h, w) reads: a block without steps, and what is taken of that.

    Raises
    ------
    IndexError
        If a pixel lies outside.
    """
    parts = index if isinstance(index, tuple) else (index,)
    if Ellipsis in [p for p in parts if p is Ellipsis]:
        at = next(i for i, p in enumerate(parts) if p is Ellipsis)
        parts = (*parts[:at], *(slice(None),) * (3 - len(parts)), *parts[at + 1 :])
    parts = (*parts, *[slice(None)] * (2 - len(parts)))
    ranges = [_range(part, n) for part, n in zip(parts, shape, strict=True)]
    rows, cols = (slice(r.start, max(r.stop, r.start)) for r in ranges)
    down, across = (
        slice(None, None, r.step) if isinstance(p, slice) else 0
        for p, r in zip(parts, ranges, strict=True)
    )
    return (rows, cols), (down, across)


def _range(part: Any, size: int) -> range:
    """Which rows or columns an index names, as a range whose stop is that of the block to read."""
    if isinstance(part, slice):
        return range(*part.indices(size))
    number = int(part)
    if not -size <= number < size:
        raise IndexError(f"{number} lies outside of {size} pixels")
    number %= size
    return range(number, number + 1)
