"""Exact search among vectors, in blocks: the whole bank is never copied.

What fits is kept in memory as unit vectors (float32), so that a question is one product of a matrix
and a vector; what does not is read from disk a block at a time for each question.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from histoprompt.pipelines.explore.project_index import ProjectIndex
from histoprompt.pipelines.explore.space import Space

# Bytes of unit vectors that are kept in memory: two million of 512 numbers.
LARGEST = 2**32
# Vectors that are turned into unit vectors, or held against a question, at once.
BLOCK = 16_384


class Bank:
    """The unit vectors of an index, ready for questions.

    Parameters
    ----------
    index : ProjectIndex
    space : Space, optional
        That of the index if not given.
    largest : int
        Bytes to keep in memory.
    """

    def __init__(
        self, index: ProjectIndex, space: Space | None = None, largest: int = LARGEST
    ) -> None:
        self.index = index
        self.space = Space.of(index) if space is None else space
        self._unit: NDArray[np.float32] | None = None
        if len(index) * self.width * 4 <= largest:
            self._unit = np.empty((len(index), self.width), np.float32)
            for start, block in self._read():
                self._unit[start : start + len(block)] = block

    def __len__(self) -> int:
        return len(self.index)

    @property
    def width(self) -> int:
        """Length of a vector that is compared."""
        return self.space.width

    def scores(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,) float32 cosines of all rows with a (d,) unit vector."""
        if self._unit is not None:
            return np.asarray(self._unit @ query, np.float32)
        out = np.empty(len(self), np.float32)
        for start, block in self._read():
            out[start : start + len(block)] = block @ query
        return out

    def take(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """(k, d) float32 unit vectors of some rows."""
        if self._unit is not None:
            return self._unit[rows]
        return self.space.unit(self.index.take(rows))

    def _read(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        for first, part in zip(self.index.starts, self.index.slides, strict=False):
            for start, block in part.vectors.blocks():
                yield int(first) + start, self.space.unit(block)


def best(scores: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """The rows of the `count` highest scores, highest first; of equal ones the first rows."""
    count = min(count, len(scores))
    if count <= 0:
        return np.zeros(0, np.intp)
    cut = np.partition(scores, len(scores) - count)[len(scores) - count]
    above = np.flatnonzero(scores > cut)
    level = np.flatnonzero(scores == cut)[: count - len(above)]
    rows = np.concatenate([above, level])
    return np.asarray(rows[np.lexsort((rows, -scores[rows]))], np.intp)
