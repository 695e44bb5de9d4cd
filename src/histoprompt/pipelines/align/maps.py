"""What brings features of images and of texts together in closed form: ridge regression and CCA."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.vectors import unit_rows
from histoprompt.models.zoo.aligned_file import Adapter

Float = NDArray[np.float32]
Double = NDArray[np.float64]

# Strengths of the ridge, times the number of pairs, and how many parts of patients choose.
_ALPHAS: Final = (0.1, 1.0, 10.0, 100.0, 1000.0)
_INNER: Final = 4
# Share of each variance that stays below a canonical correlation, and how many are kept.
_SHRINK: Final = 0.3
_MOST: Final = 64

# Singular vectors and values: (n, k), (k,), (k, d).
Parts = tuple[Double, Double, Double]
# From features of images and of texts to what maps both.
Fit = Callable[[Double, Double], Adapter]


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Features of images that are learnt from, ready for any number of texts.

    Attributes
    ----------
    features : (n, d) float64
    patients : (n,) int64
    """

    features: Double
    patients: NDArray[np.int64]

    @cached_property
    def mean(self) -> Double:
        """(d,)."""
        return np.asarray(self.features.mean(axis=0), np.float64)

    @cached_property
    def scale(self) -> Double:
        """(d,) standard deviations; 1 where nothing varies."""
        found = self.features.std(axis=0)
        return np.asarray(np.where(found > 1e-6, found, 1.0), np.float64)

    @cached_property
    def scaled(self) -> Double:
        """(n, d)."""
        return np.asarray((self.features - self.mean) / self.scale, np.float64)

    @cached_property
    def parts(self) -> Parts:
        """Singular vectors and values of all."""
        return _parts(self.scaled)

    @cached_property
    def inner(self) -> list[tuple[NDArray[np.bool_], Parts, Double]]:
        """For each part of the patients: who is left out, the others, and those left out."""
        names = np.unique(self.patients)
        out = []
        for held in np.array_split(names, min(_INNER, len(names))):
            left = np.isin(self.patients, held)
            if left.all() or not left.any():
                continue
            u, s, v = _parts(self.scaled[~left])
            out.append((left, (u, s, v), self.scaled[left] @ v.T))
        return out

    def ridge(self, texts: Double) -> tuple[Double, Double]:
        """Weights (d, t) that tell texts from images, and the mean of the texts.

        The strength is the one of the least error on patients left out in turn.
        """
        u, s, v = self.parts
        mean = texts.mean(axis=0)
        shrunk = s / (s**2 + self._strength(texts) * len(u))
        inside = u.T @ (texts - mean)
        return np.asarray(v.T @ (shrunk[:, None] * inside), np.float64), mean

    def _strength(self, texts: Double) -> float:
        lost = np.zeros(len(_ALPHAS))
        for left, (u, s, _), seen in self.inner:
            middle = texts[~left].mean(axis=0)
            inside, wanted = u.T @ (texts[~left] - middle), texts[left] - middle
            for i, alpha in enumerate(_ALPHAS):
                told = (seen * (s / (s**2 + alpha * len(u)))) @ inside
                lost[i] += float(((told - wanted) ** 2).sum())
        return _ALPHAS[int(lost.argmin())] if self.inner else _ALPHAS[-1]


def ridge(half: ImageFeatures, texts: Double) -> Adapter:
    """Images told as texts: the space is that of the texts."""
    weights, mean = half.ridge(texts)
    t = texts.shape[1]
    return Adapter(
        _f(half.mean), _f(half.scale), _f(weights), np.zeros(t, np.float32), _f(mean),
        np.eye(t, dtype=np.float32),
    )  # fmt: skip


def cca(images: Double, texts: Double) -> Adapter:
    """Canonical correlations of both, with shrunk variances.

    H. Hotelling, "Relations between two sets of variates", Biometrika 28 (1936) 321-377; shrinkage
    as in H. Vinod, "Canonical ridge and econometrics of joint production", 1976.
    """
    half = ImageFeatures(images, np.zeros(len(images), np.int64))
    scaled = half.scaled
    centred = texts - texts.mean(axis=0)
    white_x, white_y = _whitening(scaled), _whitening(centred)
    u, s, v = np.linalg.svd((scaled @ white_x).T @ (centred @ white_y) / len(images))
    k = max(1, min(_MOST, len(s), int((s > 1e-6).sum())))
    weight = np.sqrt(np.maximum(s[:k], 0))
    left, right = white_x @ u[:, :k] * weight, white_y @ v[:k].T * weight
    return Adapter(
        _f(half.mean), _f(half.scale), _f(left), np.zeros(k, np.float32),
        _f(texts.mean(axis=0)), _f(right),
    )  # fmt: skip


RIDGE, CCA = CLOSED = ("ridge", "cca")


def scores(adapter: Adapter, images: Double, texts: Double) -> Double:
    """Cosines (n, m) of images with texts."""
    left = adapter.images(np.asarray(images, np.float32))
    right = unit_rows(np.asarray((texts - adapter.text_mean) @ adapter.text_map, np.float32))
    return np.asarray(left @ right.T, np.float64)


def _parts(scaled: Double) -> Parts:
    u, s, v = np.linalg.svd(scaled, full_matrices=False)
    return u, s, v


def _whitening(centred: Double) -> Double:
    cov = centred.T @ centred / len(centred)
    level = max(float(np.trace(cov)) / len(cov), 1e-9)
    values, vectors = np.linalg.eigh(cov + _SHRINK * level * np.eye(len(cov)))
    return np.asarray(vectors / np.sqrt(np.maximum(values, 1e-9)) @ vectors.T, np.float64)


def _f(values: Double) -> Float:
    return np.asarray(values, np.float32)
