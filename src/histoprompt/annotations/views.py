"""A level of the pyramid as napari and numpy take it: lazy, checked and mended as it is read."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.chunks import ChunkFiles


class LevelView:
    """One level of a plane, (rows, cols) uint32, to slice.

    Attributes
    ----------
    shape : (rows, cols)
    chunks : (rows, cols)
        Of a chunk.
    """

    dtype = np.dtype(np.uint32)
    ndim = 2

    def __init__(
        self, files: ChunkFiles, level: int, plane: int, threads: AbstractContextManager[Any]
    ) -> None:
        self._files, self._level, self._plane, self._threads = files, level, plane, threads
        self.shape = files.shapes[level]
        self.chunks = (files.chunk, files.chunk)

    def __getitem__(self, index: Any) -> NDArray[np.uint32]:
        """The pixels of a numpy index of numbers and slices with positive steps."""
        given = index if isinstance(index, tuple) else (index,)
        if any(i is Ellipsis for i in given):
            at = next(n for n, i in enumerate(given) if i is Ellipsis)
            given = (*given[:at], *[slice(None)] * (3 - len(given)), *given[at + 1 :])
        both = [*given, slice(None), slice(None)][:2]
        spans = [_span(i, n) for i, n in zip(both, self.shape, strict=True)]
        with self._threads:
            block = self._files.block(self._level, spans[0], spans[1], self._plane)
        local = tuple(slice(None, None, i.step) if isinstance(i, slice) else 0 for i in both)
        return np.asarray(block[local])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)


def _span(index: Any, size: int) -> tuple[int, int]:
    """First and last but one of the pixels an index asks for along an axis."""
    if isinstance(index, slice):
        start, stop, _ = index.indices(size)
        return start, max(start, stop)
    at = int(index) + (size if index < 0 else 0)
    if not 0 <= at < size:
        raise IndexError(f"Pixel {index} is beyond {size}.")
    return at, at + 1
