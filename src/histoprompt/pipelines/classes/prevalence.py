"""How many cells of each class there are, when a classifier is known to mistake some.

A classifier that weighs classes alike counts too many of a rare one: one in twenty of many is many.
What held-out examples say of its mistakes is taken back out of the counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.pipelines.classes.classifiers import FewShotClassifier, Float, chunks

Float64 = NDArray[np.float64]
_DRAWS = 400
_MOST_STEPS, _CHANGE = 500, 1e-7
# Added to each entry of a table of mistakes, in examples: none was seen does not mean never.
_PRIOR = 0.5


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """Counts of classes by three methods.

    Attributes
    ----------
    names : tuple of str
    counted : (c,) float64
        Classify and count: how many cells got each class.
    adjusted : (c,) float64
        With the mistakes on held-out examples taken back.
    low, high : (c,) float64
        Of `adjusted`, 95 % by resampling the examples.
    expected : (c,) float64
        Expectation and maximisation of probabilities and shares, after Saerens.
    """

    names: tuple[str, ...]
    counted: Float64
    adjusted: Float64
    low: Float64
    high: Float64
    expected: Float64

    def rows(self) -> list[tuple[str, float, float, float, float, float]]:
        """Name, counted, adjusted, low, high, expected of each class."""
        columns = (self.counted, self.adjusted, self.low, self.high, self.expected)
        return [(n, *(float(x[i]) for x in columns)) for i, n in enumerate(self.names)]  # type: ignore[misc]

    @property
    def facts(self) -> dict[str, list[dict[str, str | float]]]:
        """The rows as JSON, called ``methods``."""
        heads = ("name", "counted", "adjusted", "low", "high", "expected")
        return {"methods": [dict(zip(heads, row, strict=True)) for row in self.rows()]}


def class_counts(
    probability: Float,
    held_out: Float,
    code: NDArray[np.int16],
    names: tuple[str, ...],
    seed: int = 0,
) -> ClassCounts:
    """Counts of classes among n cells.

    Parameters
    ----------
    probability : (n, c) float32
        Of a classifier that weighs classes alike.
    held_out : (m, c) float32
        Of its examples, from models that have not seen them.
    code : (m,) int16
        Classes of the examples.
    names : tuple of str
    seed : int
        Of the resampling.
    """
    c = len(names)
    counted = np.bincount(probability.argmax(axis=1), minlength=c).astype(np.float64)
    found = held_out.argmax(axis=1)
    n, rng = counted.sum(), np.random.default_rng(seed)
    draws = []
    for _ in range(_DRAWS):
        rows = np.concatenate([rng.choice(r, len(r)) for r in _by_class(code, c)])
        drawn = rng.multinomial(int(n), counted / max(n, 1)) if n else np.zeros(c)
        draws.append(adjusted_shares(drawn, mistakes(code[rows], found[rows], c)) * n)
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    best = adjusted_shares(counted, mistakes(code, found, c)) * n
    return ClassCounts(names, counted, best, low, high, expected_shares(probability) * n)


def counts_of(
    classifier: FewShotClassifier, features: Float, feature_names: tuple[str, ...]
) -> ClassCounts | None:
    """Counts of classes among cells by their (n, k) features; None without held-out examples.

    Raises
    ------
    LabelError
        If features are missing.
    """
    if classifier.held_out is None:
        return None
    return counts_over(classifier, [features], feature_names)


def counts_over(
    classifier: FewShotClassifier, features: Iterable[Float], feature_names: tuple[str, ...]
) -> ClassCounts | None:
    """As `counts_of`, of cells that come some at a time."""
    if classifier.held_out is None:
        return None
    parts = [np.zeros((0, len(classifier.classes)), np.float32)]
    for some in features:
        chosen = classifier.chosen(some, feature_names)
        scaled = (classifier.scaling.apply(chosen[s]) for s in chunks(len(chosen)))
        parts += [classifier.judge(one)[0] for one in scaled]
    probability = np.concatenate(parts)
    if not len(probability):
        return None
    return class_counts(probability, classifier.held_out, classifier.code, classifier.classes)


def mistakes(true: NDArray[np.int16], found: NDArray[np.intp], classes: int) -> Float64:
    """Share (true, found) of the examples of each class that is taken for each."""
    table = np.zeros((classes, classes))
    np.add.at(table, (true, found), 1)
    table += _PRIOR / classes
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def adjusted_shares(counted: NDArray[np.number], table: Float64) -> Float64:
    """Shares (c,) of classes that, with these mistakes, give these counts most nearly.

    The shares are at least 0 and sum to 1 (least squares), which plain inversion does not keep to:
    J. Buonaccorsi, "Measurement Error", 2010, chapter 3; G. Forman, Data Min. Knowl. Discov. 17
    (2008) 164-206, calls it adjusted classify-and-count.
    """
    from scipy.optimize import nnls

    total = float(counted.sum())
    if not total:
        return np.full(len(counted), 1 / len(counted))
    weight = 1e3  # the shares sum to 1
    left = np.vstack([table.T, np.full(len(table), weight)])
    share, _ = nnls(left, np.append(counted / total, weight))
    return np.asarray(share / max(share.sum(), 1e-12))


def expected_shares(probability: Float) -> Float64:
    """Shares (c,) of classes under which the probabilities are likeliest.

    M. Saerens, P. Latinne and C. Decaestecker, "Adjusting the outputs of a classifier to new a
    priori probabilities", Neural Comput. 14 (2002) 21-41; the classifier weighs classes alike.
    """
    c = probability.shape[1]
    share = np.full(c, 1 / c)
    if not len(probability):
        return share
    given = np.asarray(probability, np.float64)
    for _ in range(_MOST_STEPS):
        now = given * (share * c)
        now /= np.maximum(now.sum(axis=1, keepdims=True), 1e-300)
        new = now.mean(axis=0)
        if np.abs(new - share).max() < _CHANGE:
            return np.asarray(new)
        share = new
    return share


def _by_class(code: NDArray[np.int16], classes: int) -> list[NDArray[np.intp]]:
    return [rows for c in range(classes) if len(rows := np.flatnonzero(code == c))]
