"""How far tiles are from a reference: three scores on one set of vectors, larger is stranger.

No score is best everywhere (`benchmarks/bench_explore.py`), so all three are made and shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.vectors import unit_rows
from histoprompt.pipelines.explore.directions import directions, whitening
from histoprompt.pipelines.explore.stored_vectors import Vectors

Float = NDArray[np.float32]
Score = Literal["knn", "mahalanobis", "reconstruction"]
SCORES: Final[tuple[Score, ...]] = ("knn", "mahalanobis", "reconstruction")

NEIGHBOURS = 3
# How much the view as the encoder gives it counts beside the whitened one.
_PLAIN = 0.25
# More numbers than this are first brought down to so many by PCA.
_WIDEST = 256
_CLUSTERS, _TILES_EACH = 5, 40
_KEPT_VARIANCE = 0.95
_CUT = 5.0
_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class Scaled:
    """Vectors in standard deviations of the reference.

    Attributes
    ----------
    mean, deviation : (d,) float32
    """

    mean: Float
    deviation: Float

    @classmethod
    def of(cls, reference: Float) -> Scaled:
        """Of the (n, d) vectors of a reference."""
        deviation = reference.std(axis=0)
        usual = float(np.median(deviation)) or 1.0
        return cls(reference.mean(axis=0), np.maximum(deviation, 1e-3 * usual))

    def __call__(self, vectors: Float) -> Float:
        """(n, d), cut at 5 standard deviations."""
        return np.asarray(np.clip((vectors - self.mean) / self.deviation, -_CUT, _CUT))


@dataclass(frozen=True, eq=False)
class ReferenceView:
    """A reference in one view, with how far apart it is around each of its vectors.

    Attributes
    ----------
    unit : (n, d) float32
        Unit length.
    usual : (n,) float32
        Mean distance of each to its nearest others, and the middle of these added: what is far in a
        dense part of the reference is near in a sparse one.
    """

    unit: Float
    usual: Float

    @classmethod
    def of(cls, vectors: Float) -> ReferenceView:
        """Of the (n, d) vectors of a reference, at least two."""
        unit = unit_rows(vectors)
        k = min(NEIGHBOURS, len(unit) - 1)
        own = np.concatenate(
            [
                np.partition(1 - unit[part] @ unit.T, k, axis=1)[:, : k + 1].sum(axis=1) / k
                for part in blocks(len(unit))
            ]
        )  # the nearest of all is the vector itself, at 0
        return cls(unit, np.asarray(own + max(float(np.median(own)), 1e-6), np.float32))

    def far(self, vectors: Float) -> Float:
        """How far (m, d) vectors are from the nearest three, in units of what is usual there."""
        away = 1 - unit_rows(vectors) @ self.unit.T
        k = min(NEIGHBOURS, len(self.unit))
        near = np.argpartition(away, k - 1, axis=1)[:, :k]
        return np.asarray(
            (np.take_along_axis(away, near, axis=1) / self.usual[near]).mean(axis=1), np.float32
        )


@dataclass(frozen=True, eq=False)
class Nearest:
    """Distance to the nearest reference tiles.

    1 - cosine, averaged over the nearest three, as AnomalyDINO (S. Damm et al., WACV 2025) does, in
    two views: whitened, where what all of the reference has in common says nothing, and a quarter
    as the encoder gave the vectors.

    Attributes
    ----------
    scaled : Scaled
    axes : (d, k) float32
        From scaled to whitened vectors.
    white, plain : ReferenceView
        The reference in both views.
    """

    scaled: Scaled
    axes: Float
    white: ReferenceView
    plain: ReferenceView

    @classmethod
    def of(cls, reference: Float) -> Nearest:
        """Learn from the (n, d) vectors of a reference, at least four."""
        scaled = Scaled.of(reference)
        axes = whitening(scaled(reference))
        return cls(
            scaled, axes, ReferenceView.of(scaled(reference) @ axes), ReferenceView.of(reference)
        )

    def __call__(self, vectors: Float) -> Float:
        """(n,) float32."""
        white = self.white.far(self.scaled(vectors) @ self.axes)
        return np.asarray(white + _PLAIN * self.plain.far(vectors), np.float32)


@dataclass(frozen=True, eq=False)
class Clustered:
    """Mahalanobis distance to the nearest of a few clusters.

    The clusters share one covariance, shrunk as O. Ledoit and M. Wolf do ("A well-conditioned
    estimator for large-dimensional covariance matrices", J. Multivar. Anal. 88 (2004) 365-411).

    Attributes
    ----------
    scaled : Scaled
    axes : (d, k) float32
    centres : (c, k) float32
    root : (k, k) float32
        Distances are lengths after it.
    """

    scaled: Scaled
    axes: Float
    centres: Float
    root: Float

    @classmethod
    def of(cls, reference: Float) -> Clustered:
        """Learn from the (n, d) vectors of a reference."""
        from sklearn.cluster import KMeans
        from sklearn.covariance import LedoitWolf

        scaled = Scaled.of(reference)
        axes = _narrow(scaled(reference))
        seen = scaled(reference) @ axes
        clusters = max(1, min(_CLUSTERS, len(seen) // _TILES_EACH))
        found = KMeans(clusters, n_init=3, random_state=0).fit(seen)
        centres = np.asarray(found.cluster_centers_, np.float32)
        covariance = LedoitWolf(assume_centered=True).fit(seen - centres[found.labels_])
        value, vector = np.linalg.eigh(covariance.covariance_.astype(np.float64))
        root = vector / np.sqrt(np.maximum(value, 1e-6 * value.max()))
        return cls(scaled, axes, centres, np.asarray(root, np.float32))

    def __call__(self, vectors: Float) -> Float:
        """(n,) float32."""
        seen = self.scaled(vectors) @ self.axes @ self.root
        centres = self.centres @ self.root
        squares = np.einsum("ij,ij->i", seen, seen)[:, None] - 2 * seen @ centres.T
        squares += np.einsum("ij,ij->i", centres, centres)
        return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0)), np.float32)


@dataclass(frozen=True, eq=False)
class Rebuilt:
    """What is left of a vector that the main directions of the reference cannot make.

    Attributes
    ----------
    scaled : Scaled
    axes : (d, k) float32
        Orthonormal, with 95 % of the reference's variance.
    """

    scaled: Scaled
    axes: Float

    @classmethod
    def of(cls, reference: Float) -> Rebuilt:
        """Learn from the (n, d) vectors of a reference."""
        scaled = Scaled.of(reference)
        values, axes = directions(scaled(reference))
        share = np.cumsum(values) / max(float(values.sum()), 1e-12)
        kept = int(np.searchsorted(share, _KEPT_VARIANCE)) + 1
        return cls(scaled, axes[:, : min(kept, axes.shape[1] - 1) or 1])

    def __call__(self, vectors: Float) -> Float:
        """(n,) float32: root of the mean square of what is left."""
        seen = self.scaled(vectors)
        left = seen - (seen @ self.axes) @ self.axes.T
        return np.asarray(np.sqrt(np.square(left).mean(axis=1)), np.float32)


_KINDS: Final[dict[Score, Callable[[Float], Callable[[Float], Float]]]] = {
    "knn": Nearest.of,
    "mahalanobis": Clustered.of,
    "reconstruction": Rebuilt.of,
}


@dataclass(frozen=True, eq=False)
class Normality:
    """All scores, learnt from one reference.

    Attributes
    ----------
    of : dict of Score to callable
        From (n, d) vectors to (n,) scores.
    """

    of: dict[Score, Callable[[Float], Float]]

    @classmethod
    def learnt(cls, bank: NDArray[np.floating], sample: NDArray[np.floating]) -> Normality:
        """Learn from a reference.

        Parameters
        ----------
        bank : (n, d)
            Vectors that leave none of the reference far from them, for the nearest ones.
        sample : (m, d)
            Vectors that are as frequent as in the reference, for its spread.
        """
        given = {name: bank if name == "knn" else sample for name in SCORES}
        return cls({n: _KINDS[n](np.asarray(given[n], np.float32)) for n in SCORES})

    def __call__(self, vectors: Vectors) -> Float:
        """(n, 3) float32 in the order of `SCORES`; rows are looked at in blocks."""
        out = np.empty((len(vectors), len(SCORES)), np.float32)
        for part in blocks(len(vectors)):
            some = np.asarray(vectors[part], np.float32)
            for column, name in enumerate(SCORES):
                out[part, column] = self.of[name](some)
        return out


def blocks(n: int, size: int = _BLOCK) -> Iterator[slice]:
    """Slices that cover n rows."""
    return (slice(i, min(i + size, n)) for i in range(0, n, size))


def nearest_rows(
    vectors: NDArray[np.floating], reference: NDArray[np.floating], count: int
) -> tuple[NDArray[np.intp], Float]:
    """The nearest reference rows of each vector by cosine, (n, count), nearest first.

    Returns
    -------
    rows : (n, count) intp
    distance : (n, count) float32
        1 - cosine.
    """
    count = min(count, len(reference))
    unit = unit_rows(np.asarray(reference, np.float32))
    rows = np.empty((len(vectors), count), np.intp)
    far = np.empty((len(vectors), count), np.float32)
    for part in blocks(len(vectors)):
        away = 1 - unit_rows(np.asarray(vectors[part], np.float32)) @ unit.T
        rows[part] = np.argsort(away, axis=1, kind="stable")[:, :count]
        far[part] = np.take_along_axis(away, rows[part], axis=1)
    return rows, far


def _narrow(scaled: Float) -> Float:
    d = scaled.shape[1]
    if d <= _WIDEST:
        return np.eye(d, dtype=np.float32)
    return directions(scaled)[1][:, :_WIDEST]
