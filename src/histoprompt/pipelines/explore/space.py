"""The space in which vectors of an index are compared.

An encoder's raw features share a large common part: everything on a slide points nearly the same
way, and a few channels outweigh all others. Taking off the mean, dividing by the spread of each
channel, and weighing main directions more alike, as they are over the indexed tissue, makes cosines
tell tissues apart. Vectors that lie in a space of texts stay as they are, or words would not fit
them any more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.vectors import unit_rows
from histoprompt.pipelines.explore.directions import whitening
from histoprompt.pipelines.explore.project_index import ProjectIndex

# So many vectors tell mean and spread of each channel.
ENOUGH = 20_000
# Spread below this share of the largest is none: a channel that is always the same says nothing.
_NONE = 1e-4
# With fewer vectors there are no main directions to speak of.
_FEWEST = 20
# Of whitening: weighed alike, directions find more within slides, and less on cases never seen;
# this gains the former and keeps the latter (osteosarcoma by case and picture, organs of NuInsSeg).
_SHRINK = 5.0
_CUT = 5.0


@dataclass(frozen=True, eq=False)
class Space:
    """Where vectors are compared by their cosine.

    Attributes
    ----------
    mean, scale : (d,) float32
        Taken off each vector, and what the rest is multiplied by.
    axes : (d, k) float32 or None
        Main directions of what is left, each divided by its weight; None leaves it as it is.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    axes: NDArray[np.float32] | None = None

    @property
    def width(self) -> int:
        """Length of a vector in this space."""
        return len(self.mean) if self.axes is None else self.axes.shape[1]

    @classmethod
    def of(cls, index: ProjectIndex, seed: int = 0) -> Space:
        """The space of an index: standardised over its tissue, or as it is where words lie too."""
        width = index.width
        if index.slides[0].words or not len(index):
            return cls(np.zeros(width, np.float32), np.ones(width, np.float32))
        rows = np.arange(len(index))
        if len(rows) > ENOUGH:
            rows = np.sort(np.random.default_rng(seed).choice(rows, ENOUGH, replace=False))
        return cls.fitted(index.take(rows))

    @classmethod
    def fitted(cls, vectors: NDArray[np.float32]) -> Space:
        """Standardises and whitens as (n, d) vectors are spread."""
        spread = vectors.std(axis=0, dtype=np.float64)
        told = spread > _NONE * max(float(spread.max(initial=0.0)), 1e-12)
        scale = np.where(told, 1 / np.where(told, spread, 1), 0)
        mean = vectors.mean(axis=0, dtype=np.float64)
        if not told.any():  # one vector, or all alike: there is nothing to standardise by
            return cls(np.zeros(len(mean), np.float32), np.ones(len(mean), np.float32))
        plain = cls(mean.astype(np.float32), scale.astype(np.float32))
        if len(vectors) < _FEWEST:
            return plain
        return replace(plain, axes=whitening(plain.standardised(vectors), shrink=_SHRINK))

    def standardised(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) vectors in standard deviations, as far as five."""
        return np.asarray(np.clip((vectors - self.mean) * self.scale, -_CUT, _CUT), np.float32)

    def unit(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) vectors in this space, at unit length."""
        if self.axes is None:
            return unit_rows((vectors - self.mean) * self.scale)
        return unit_rows(self.standardised(vectors) @ self.axes)
