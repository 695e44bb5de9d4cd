"""Vectors of many tiles that are read when they are needed, and left on disk else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
# Vectors that are read at once.
BLOCK = 8192


@dataclass(frozen=True, eq=False)
class StoredVectors:
    """n vectors that are not in memory.

    Attributes
    ----------
    read : callable
        From rows of what is stored to their (k, d) float32 vectors.
    rows : (n,) intp
        The row of each.
    width : int
        Length of a vector.
    """

    read: Callable[[NDArray[np.intp]], Float]
    rows: NDArray[np.intp]
    width: int

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Float:
        """Some of them, read now."""
        return self.read(np.atleast_1d(self.rows[index]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of them, read now: for what cannot do with less."""
        found = self[:]
        return found if dtype is None else found.astype(dtype, copy=False)


Vectors: TypeAlias = NDArray[np.floating] | StoredVectors


def picked(vectors: Vectors, index: NDArray[np.intp] | NDArray[np.bool_]) -> Vectors:
    """Some of the vectors, as far in memory as all are."""
    if isinstance(vectors, StoredVectors):
        return StoredVectors(vectors.read, vectors.rows[index], vectors.width)
    return vectors[index]


def in_blocks(vectors: Vectors) -> Iterator[tuple[slice, Float]]:
    """All vectors, a block at a time, float32."""
    for start in range(0, len(vectors), BLOCK):
        part = slice(start, min(start + BLOCK, len(vectors)))
        yield part, np.asarray(vectors[part], np.float32)


def all_finite(vectors: Vectors) -> bool:
    """Whether all hold numbers."""
    return all(bool(np.isfinite(block).all()) for _, block in in_blocks(vectors))


def mean_and_deviation(vectors: Vectors) -> tuple[Float, Float]:
    """Of each of the d numbers, (d,) float32 each; 0 of no vectors."""
    total: Any = 0.0
    squares: Any = 0.0
    for _, block in in_blocks(vectors):
        total = total + block.sum(axis=0, dtype=np.float64)
        squares = squares + np.square(block, dtype=np.float64).sum(axis=0)
    mean = total / max(len(vectors), 1)
    spread = np.sqrt(np.maximum(squares / max(len(vectors), 1) - mean**2, 0))
    return np.asarray(mean, np.float32), np.asarray(spread, np.float32)
