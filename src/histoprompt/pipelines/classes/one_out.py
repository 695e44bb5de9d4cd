"""What a classifier is worth on examples that are left out, one after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.pipelines.classes.classifiers import Float, Forest, Linear, Method, softmax
from histoprompt.pipelines.classes.few_shot import discriminant, logistic, prototypes

# So many models are fitted at most: one per example while there are no more.
MOST_MODELS, MOST_FORESTS = 30, 10


@dataclass(frozen=True, eq=False)
class OneOut:
    """Held-out decisions.

    Attributes
    ----------
    probability : (m, c) float32
        Of each example, from a model that has not seen it nor its group.
    balanced_accuracy, macro_f1 : float
    mistakes : (c, c) int64
        Examples by class (row) and what they were taken for.
    parts : int
        Models that were fitted.
    """

    probability: Float
    balanced_accuracy: float
    macro_f1: float
    mistakes: NDArray[np.int64]
    parts: int


def leave_one_out(
    scaled: Float,
    code: NDArray[np.int16],
    names: tuple[str, ...],
    method: Method,
    *,
    strength: float,
    groups: NDArray[np.integer] | None = None,
) -> OneOut | None:
    """Fit without each example, or without each group of them, and look what it is taken for.

    Parameters
    ----------
    scaled : (m, k) float32
        Comparable features of the examples.
    code : (m,) int16
    names : tuple of str
    method, strength
        As for training.
    groups : (m,) int, optional
        Examples of one are left out together.

    Returns
    -------
    OneOut or None
        None if leaving out leaves a class without examples.
    """
    fold = _folds(code, len(names), groups, MOST_FORESTS if method == "forest" else MOST_MODELS)
    if fold is None:
        return None
    out = np.zeros((len(code), len(names)), np.float32)
    for f in np.unique(fold):
        seen, away = fold != f, fold == f
        model = _model(scaled[seen], code[seen], len(names), method, strength)
        out[away] = model.probabilities(scaled[away])
    return judged(out, code, len(names), len(np.unique(fold)), method)


def judged(
    probability: Float, code: NDArray[np.int16], classes: int, parts: int, method: Method
) -> OneOut:
    """Scores of held-out probabilities, which are first made as sure as they deserve to be."""
    from sklearn.metrics import balanced_accuracy_score, f1_score

    probability = probability if method == "forest" else _tempered(probability, code)
    found = probability.argmax(axis=1)
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (code, found), 1)
    return OneOut(
        probability,
        float(balanced_accuracy_score(code, found)),
        float(f1_score(code, found, average="macro", zero_division=0)),
        table,
        parts,
    )


def _model(
    scaled: Float, code: NDArray[np.int16], classes: int, method: Method, strength: float
) -> Linear | Forest:
    if method == "forest":
        return Forest(scaled, code, classes)
    if method == "prototype":
        return prototypes(scaled, code, classes)
    if method == "discriminant":
        return discriminant(scaled, code, classes)
    return logistic(strength)(scaled, code, classes)


def _folds(
    code: NDArray[np.int16], classes: int, groups: NDArray[np.integer] | None, most: int
) -> NDArray[np.intp] | None:
    """The part of each example; None if a class would have no example without one of them."""
    group = np.arange(len(code)) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(group.max()) + 1
    fold = np.asarray(group, np.intp)
    if count > most:
        # groups in the order of their class, dealt out, so that parts hold all classes alike
        first = np.array([code[group == g].min() for g in range(count)])
        dealt = np.empty(count, np.intp)
        dealt[np.argsort(first, kind="stable")] = np.arange(count) % most
        fold = dealt[group]
    for f in np.unique(fold):
        if np.bincount(code[fold != f], minlength=classes).min() < 1:
            return None
    return fold


def _tempered(probability: Float, code: NDArray[np.int16]) -> Float:
    """Temperature scaling of probabilities, classes weighing alike."""
    logits = np.log(np.maximum(probability, 1e-12))
    weight, rows = 1 / np.bincount(code)[code], np.arange(len(code))
    factors = np.geomspace(1 / 64, 4, 17)
    fits = [
        float((weight * np.log(softmax(logits * np.float32(f))[rows, code] + 1e-9)).sum())
        for f in factors
    ]
    return softmax(logits * np.float32(factors[int(np.argmax(fits))]))
