"""The indexes of several slides as one, if they can be compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import ModelError, RegionError
from histoprompt.pipelines.explore.index import SlideIndex

# Microns a pixel of two slides are the same down to this share.
_SAME_SCALE = 0.95


@dataclass(frozen=True, eq=False)
class ProjectIndex:
    """The indexes of several slides as one.

    Attributes
    ----------
    slides : tuple of SlideIndex
        At least one, of one encoder with one set of weights.

    Raises
    ------
    ModelError
        If they were made with different encoders, weights or magnifications.
    """

    slides: tuple[SlideIndex, ...]

    def __post_init__(self) -> None:
        if not self.slides:
            raise RegionError("No slide is indexed. Index one first.")
        first = self.slides[0]
        for other in self.slides[1:]:
            _check_same(first, other)

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def starts(self) -> NDArray[np.int64]:
        """(slides + 1,) first row of each slide, and the number of all rows."""
        return np.concatenate([[0], np.cumsum([len(s) for s in self.slides])]).astype(np.int64)

    @property
    def width(self) -> int:
        """Length of a vector."""
        return self.slides[0].width

    @property
    def slide_of(self) -> NDArray[np.int32]:
        """(n,) position in `slides` of each row's slide."""
        return np.repeat(np.arange(len(self.slides), dtype=np.int32), [len(s) for s in self.slides])

    @property
    def boxes(self) -> NDArray[np.int64]:
        """(n, 4) of all rows, each on its own slide."""
        return np.concatenate([s.boxes for s in self.slides])

    def take(self, index: NDArray[np.intp]) -> NDArray[np.float32]:
        """(k, d) float32 vectors of some rows, in the order asked for."""
        out = np.empty((len(index), self.width), np.float32)
        starts = self.starts
        of = np.searchsorted(starts, index, side="right") - 1
        for k in np.unique(of):
            here = of == k
            out[here] = self.slides[k].vectors.take(np.asarray(index)[here] - starts[k])
        return out

    def all_vectors(self) -> NDArray[np.float32]:
        """(n, d) float32 of all rows."""
        return self.take(np.arange(len(self)))


def _check_same(first: SlideIndex, other: SlideIndex) -> None:
    """Refuse two indexes whose vectors cannot be compared."""
    differ = [
        ("encoders", first.encoder, other.encoder),
        ("weights", first.digest, other.digest),
        ("kinds of things", _kind(first), _kind(other)),
    ]
    seen = _seen_at(first), _seen_at(other)
    if min(seen) < _SAME_SCALE * max(seen):
        differ.append(("magnifications", f"{seen[0]:.2f} µm/px", f"{seen[1]:.2f} µm/px"))
    for what, a, b in differ:
        if a != b:
            raise ModelError(
                f"{first.name} and {other.name} were indexed with different {what} ({a[:40]} and "
                f"{b[:40]}), whose vectors cannot be compared. Index both in the same way."
            )


def _kind(index: SlideIndex) -> str:
    return "cells" if index.of_cells else "tiles"


def _seen_at(index: SlideIndex) -> float:
    """Microns a pixel of the pictures; 1 where it is given none. A side's rounding moves it."""
    return index.side * (index.mpp or 1.0) / index.pixels if index.pixels else 1.0
