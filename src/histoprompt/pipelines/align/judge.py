"""How well images and sentences find each other: ranks, recall, and words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Double = NDArray[np.float64]
Int = NDArray[np.int64]

KS: Final = (1, 5, 10)
MATCH: Final = "match"
TO_TEXT, TO_IMAGE = "image to text", "text to image"


def recalls(cosines: Double, said: Int) -> dict[str, float]:
    """Recall at 1, 5 and 10 both ways, and how often the right one is nearer than another.

    Sentences that are the same count as one: whichever place they were said of, they are right.

    Parameters
    ----------
    cosines : (n, n) float64
        Of n images with n sentences, pairs on the diagonal.
    said : (n,) int64
        Which sentences are the same.

    Returns
    -------
    dict
        NaN where there is nothing to choose from. ``match`` is the mean over both ways of the
        probability that a right partner is nearer than a wrong one: .5 by chance.
    """
    texts, first, of = np.unique(said, return_index=True, return_inverse=True)
    table = cosines[:, first]  # images with sentences that differ
    real = of[:, None] == np.arange(len(texts))
    found = {MATCH: _match(table, real)}
    for k in KS:
        found[f"recall@{k} {TO_TEXT}"] = _recall(table, real, k)
        found[f"recall@{k} {TO_IMAGE}"] = _recall(table.T, real.T, k)
    return found


def _match(table: Double, real: NDArray[np.bool_]) -> float:
    known = [
        float(np.nanmean(way))
        for way in (_aurocs(table, real), _aurocs(table.T, real.T))
        if np.isfinite(way).any()
    ]
    return float(np.mean(known)) if known else float("nan")


def _recall(table: Double, real: NDArray[np.bool_], k: int) -> float:
    """Share of rows of which one of the k largest is right; NaN if k takes in all."""
    if table.shape[1] <= k:
        return float("nan")
    best = np.argsort(-table, axis=1, kind="stable")[:, :k]
    return float(np.take_along_axis(real, best, axis=1).any(axis=1).mean())


def _aurocs(values: Double, right: NDArray[np.bool_]) -> Double:
    """For each row, the probability that a right one is larger than a wrong one; NaN without."""
    n, m = right.sum(axis=1), right.shape[1]
    ranks = np.asarray(rankdata(values, axis=1), np.float64)
    above = (ranks * right).sum(axis=1) - n * (n + 1) / 2
    both = n * (m - n)
    return np.where(both > 0, above / np.maximum(both, 1), np.nan)


def word_auroc(values: Double, holds: NDArray[np.bool_]) -> float:
    """How well a word tells images whose sentence holds it from others."""
    return float(_aurocs(values[None], holds[None])[0])


def mean_of(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means by name; NaN where none is known."""
    names = dict.fromkeys(name for one in found for name in one)
    out = {}
    for name in names:
        values = np.array([one.get(name, np.nan) for one in found])
        known = np.isfinite(values)
        out[name] = float(values[known].mean()) if known.any() else float("nan")
    return out
