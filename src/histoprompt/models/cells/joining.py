"""Which touching pieces of a watershed are one nucleus: a rule learnt from people's outlines.

Texture within a nucleus makes several peaks, and a watershed then cuts it, often straight across.
A single bound on how far a peak must rise cannot tell such a cut from a border, so more is looked
at: the pass, the boundary seen along the cut, and whether both together are an oval. numpy only.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

# Raise it when the same pieces are joined otherwise: counts do not go on then.
ALGORITHM = 1
# How far a peak must rise above the pass to a higher one to begin a piece.
PIECE = 0.02
# What is looked at of two pieces that touch, in this order.
SIGNS = ("prominence", "relative", "border", "boundary", "oval", "less_oval", "size")


class Saddle(NamedTuple):
    """The border of two pieces: its highest pass, its length, and the boundary summed along it."""

    a: int
    b: int
    height: float
    border: float
    boundary: float


@dataclass(frozen=True, slots=True)
class Joining:
    """A logistic rule: two pieces are one nucleus if their score is above zero.

    Attributes
    ----------
    intercept : float
    weights : tuple of float
        One for each of `SIGNS`.
    """

    intercept: float
    weights: tuple[float, ...]

    def score(self, signs: Float) -> Float:
        """Log odds, (n,), that n pairs are one nucleus, from their (n, k) signs."""
        return np.asarray(signs @ np.array(self.weights) + self.intercept)


def saddles(
    basins: NDArray[np.int32], height: NDArray[np.float32], boundary: NDArray[np.float32]
) -> list[Saddle]:
    """The borders between neighbours of an (h, w) image of basins, the highest pass first.

    Parameters
    ----------
    basins : (h, w) int32
    height, boundary : (h, w) float32
        A pass is as high as the lower of the two pixels that meet, its boundary the greater of
        theirs.
    """
    pairs, passes, edges = [], [], []
    for axis in (0, 1):
        a, b = (np.delete(basins, end, axis) for end in (-1, 0))
        low = np.minimum(*(np.delete(height, end, axis) for end in (-1, 0)))
        edge = np.maximum(*(np.delete(boundary, end, axis) for end in (-1, 0)))
        meet = (a != b) & (a > 0) & (b > 0)
        pairs.append(np.sort(np.stack([a[meet], b[meet]], axis=1), axis=1))
        passes.append(low[meet])
        edges.append(edge[meet])
    neighbours, heights = np.concatenate(pairs), np.concatenate(passes)
    order = np.argsort(-heights, kind="stable")
    _, first, pair, border = np.unique(
        neighbours[order], axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    along = np.bincount(pair.ravel(), np.concatenate(edges)[order], minlength=len(first))
    ranks = np.argsort(first)
    best = order[first[ranks]]
    rows = zip(
        neighbours[best].tolist(),
        heights[best].tolist(),
        border[ranks].tolist(),
        along[ranks].tolist(),
        strict=True,
    )
    return [Saddle(a, b, level, length, seen) for (a, b), level, length, seen in rows]


@dataclass(frozen=True, eq=False)
class Pieces:
    """Pieces of the foreground, with what adds up when they are joined.

    Attributes
    ----------
    moments : (n + 1, 6) float64
        Pixels, and the sums of r, c, r², rc and c² over them.
    peaks : (n + 1,) float64
    saddles : list of Saddle
    """

    moments: Float
    peaks: Float
    saddles: list[Saddle]

    @classmethod
    def of(
        cls,
        basins: NDArray[np.int32],
        height: NDArray[np.float32],
        boundary: NDArray[np.float32],
    ) -> Pieces:
        """Measure the pieces of an (h, w) image, numbered from 1."""
        rows, cols = np.nonzero(basins)
        names, count = basins[rows, cols], int(basins.max(initial=0)) + 1
        r, c = rows.astype(float), cols.astype(float)
        sums = [np.ones_like(r), r, c, r * r, r * c, c * c]
        added = [np.bincount(names, s, minlength=count) for s in sums]
        moments = np.stack(added, axis=1).astype(np.float64)
        peaks = np.full(count, -np.inf)
        np.maximum.at(peaks, names, height[rows, cols])
        return cls(moments, peaks, saddles(basins, height, boundary))

    def signs(self, borders: Sequence[Saddle]) -> Float:
        """What is seen of some pairs, (n, k), as `SIGNS` names it."""
        return _signs(self.moments, self.peaks, borders)

    def joined(self, rule: Joining) -> NDArray[np.intp]:
        """For each piece the one it belongs to; the likeliest pairs are joined first."""
        return _Joiner(self, rule).owners()


def _signs(moments: Float, peaks: Float, borders: Sequence[Saddle]) -> Float:
    if not borders:
        return np.zeros((0, len(SIGNS)))
    ends = np.array([(s.a, s.b) for s in borders])
    passes, border, boundary = np.array([s[2:] for s in borders]).T
    one, other = moments[ends[:, 0]], moments[ends[:, 1]]
    lower = peaks[ends].min(axis=1)
    small = np.minimum(one[:, 0], other[:, 0])
    both = one + other
    oval = ovalness(both)
    apart = (ovalness(one) * one[:, 0] + ovalness(other) * other[:, 0]) / both[:, 0]
    return np.stack(
        [
            np.minimum(lower - passes, 1),
            (lower - passes) / np.maximum(lower, 0.05),
            border / (2 * np.sqrt(small / np.pi)),
            boundary / border,
            oval,
            apart - oval,
            np.log(small),
        ],
        axis=1,
    )


def ovalness(moments: Float) -> Float:
    """Area over that of the ellipse of equal second moments, (n,): 1 for an ellipse, else less.

    Parameters
    ----------
    moments : (n, 6) float64
        As `Pieces` has them; each pixel is a square.
    """
    area, r, c, rr, rc, cc = moments.T
    rows = rr / area - (r / area) ** 2 + 1 / 12
    cols = cc / area - (c / area) ** 2 + 1 / 12
    mixed = rc / area - r * c / area**2
    spread = np.sqrt(np.maximum(rows * cols - mixed**2, 1e-6))
    return np.asarray(area / (4 * np.pi * spread))


class _Joiner:
    """Pieces while they are joined; pairs in the queue that have changed since are passed over."""

    def __init__(self, pieces: Pieces, rule: Joining) -> None:
        self._rule = rule
        self._moments, self._peaks = pieces.moments.copy(), pieces.peaks.copy()
        self._owner = list(range(len(self._peaks)))
        self._age = [0] * len(self._peaks)
        self._near: dict[int, dict[int, Saddle]] = {}
        self._queue: list[tuple[float, int, int, int, int]] = []
        for saddle in pieces.saddles:
            self._near.setdefault(saddle.a, {})[saddle.b] = saddle
            self._near.setdefault(saddle.b, {})[saddle.a] = saddle
        self._offer(pieces.saddles)

    def owners(self) -> NDArray[np.intp]:
        """Join all that are one nucleus; for each piece the one it belongs to."""
        while self._queue:
            _, a, b, age, other = heapq.heappop(self._queue)
            if self._age[a] == age and self._age[b] == other:
                self._join(a, b)
        for piece in range(len(self._owner)):
            top = piece
            while self._owner[top] != top:
                top = self._owner[top]
            self._owner[piece] = top
        return np.array(self._owner, np.intp)

    def _offer(self, borders: Sequence[Saddle]) -> None:
        scores = self._rule.score(_signs(self._moments, self._peaks, borders))
        for score, s in zip(scores.tolist(), borders, strict=True):
            if score > 0:
                item = (-score, s.a, s.b, self._age[s.a], self._age[s.b])
                heapq.heappush(self._queue, item)

    def _join(self, a: int, b: int) -> None:
        """Make b a part of a."""
        self._owner[b] = a
        self._moments[a] += self._moments[b]
        self._peaks[a] = max(self._peaks[a], self._peaks[b])
        self._age[a] += 1
        self._age[b] += 1
        del self._near[a][b]
        for far, saddle in self._near.pop(b).items():
            if far == a:
                continue
            del self._near[far][b]
            merged = _one_border(a, far, saddle, self._near[a].get(far))
            self._near[a][far] = self._near[far][a] = merged
        self._offer(list(self._near[a].values()))


def _one_border(a: int, b: int, first: Saddle, second: Saddle | None) -> Saddle:
    """The border of a and b, of one part or two."""
    if second is None:
        return Saddle(a, b, *first[2:])
    length, boundary = first.border + second.border, first.boundary + second.boundary
    return Saddle(a, b, max(first.height, second.height), length, boundary)
