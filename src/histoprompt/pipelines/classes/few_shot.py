"""Small models from few examples, and what they are worth on examples they have not seen.

Standardised features, strong L2, balanced weights and prototypes for one or two examples a class:
with so few labels anything richer learns the accidents of the examples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.pipelines.classes.classifiers import Float, Forest, Linear, Method, softmax

# A prototype is this far, in logits, from the border to the next one on average.
_PROTOTYPE_LOGIT = 2.0
# A logistic model is made to be this sure of its examples before it is tried on unseen ones.
_EXAMPLE_LOGIT = 2.0
_FOLDS = 5
_NO_SPREAD = 1e-12
_SHARPNESS = np.geomspace(1 / 64, 4, 17)

Grow = Callable[[Float, NDArray[np.int16], int], Linear]


def prototypes(scaled: Float, code: NDArray[np.int16], classes: int) -> Linear:
    """Nearest class mean.

    Probabilities fall with the squared distance; half way between two prototypes they are equal.

    Parameters
    ----------
    scaled : (m, k) float32
        Examples, comparable features; at least one a class.
    code : (m,) int16
    classes : int
    """
    means = np.stack([scaled[code == c].mean(axis=0) for c in range(classes)])
    squares = np.einsum("ij,ij->i", means, means)
    apart = squares[:, None] + squares - 2 * means @ means.T
    spread = float(apart.sum()) / (classes * (classes - 1))
    # The logit of a prototype against another is their squared distance / (2 x temperature).
    temperature = max(spread, 1e-9) / (2 * _PROTOTYPE_LOGIT)
    return Linear(
        np.asarray(means / temperature, np.float32),
        np.asarray(-squares / (2 * temperature), np.float32),
    )


def logistic(strength: float) -> Grow:
    """How to fit a balanced logistic regression with L2.

    Parameters
    ----------
    strength : float
        scikit-learn's C, for features whose families have variance 1 in all.
    """

    def grow(scaled: Float, code: NDArray[np.int16], classes: int) -> Linear:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=strength, class_weight="balanced", max_iter=200, tol=1e-3)
        model.fit(scaled, code)
        weights, bias = model.coef_, model.intercept_
        if classes == 2:
            # scikit-learn keeps the difference of the two.
            weights, bias = np.vstack([-weights, weights]) / 2, np.hstack([-bias, bias]) / 2
        linear = Linear(weights.astype(np.float32), bias.astype(np.float32))
        ahead = np.sort(linear.logits(scaled), axis=1)
        typical = float(np.median(ahead[:, -1] - ahead[:, -2]))
        return linear.sharpened(_EXAMPLE_LOGIT / max(typical, 1e-3))

    return grow


def discriminant(scaled: Float, code: NDArray[np.int16], classes: int) -> Linear:
    """Linear discriminant with a shrunken covariance, classes weighing alike.

    O. Ledoit and M. Wolf, J. Multivar. Anal. 88 (2004) 365-411, within classes. On embeddings of
    tiles it needs the fewest examples of all (`benchmarks/bench_explore.py`).
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    means = np.stack([scaled[code == c].mean(axis=0) for c in range(classes)]).astype(np.float64)
    within = scaled - means[code]
    m, d = within.shape
    variance = float(np.square(within).sum()) / (m * d)
    if variance < _NO_SPREAD:
        return prototypes(scaled, code, classes)
    shrink = max(float(ledoit_wolf_shrinkage(within, assume_centered=True)), 1e-3)
    own, common = (1 - shrink) / m, shrink * variance
    # (own W'W + common I)^-1 on the means, by a system of m and not of d equations
    inner = np.eye(m) * common + own * within @ within.T
    weights = (means - own * (np.linalg.solve(inner, within @ means.T).T @ within)) / common
    bias = -np.einsum("ij,ij->i", weights, means) / 2
    return Linear(weights.astype(np.float32), bias.astype(np.float32))


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A model, and what it is worth on examples it has not seen.

    Attributes
    ----------
    model : Linear or Forest
    accuracy : float
        Balanced accuracy on held-out examples; NaN where a class has a single one.
    held_out : (m, c) float32 or None
        Probabilities of each example from a model that has not seen it.
    """

    model: Linear | Forest
    accuracy: float
    held_out: Float | None


def fit_model(
    scaled: Float, code: NDArray[np.int16], classes: int, method: Method, strength: float
) -> FittedModel:
    """Fit a model, and try it on examples held out.

    One that is fitted by regression or as a discriminant is as sure as it deserves to be by
    cross-validation.
    """
    if method == "forest":
        forest = Forest(scaled, code, classes)
        unseen = forest.out_of_bag()
        return FittedModel(forest, balanced_accuracy(unseen, code), unseen)
    grow = {"prototype": prototypes, "discriminant": discriminant}.get(method, logistic(strength))
    model = grow(scaled, code, classes)
    logits = held_out_logits(scaled, code, classes, grow)
    if logits is None:
        return FittedModel(model, float("nan"), None)
    sharpness = 1.0 if method == "prototype" else _sharpness(logits, code)
    accuracy = balanced_accuracy(logits, code)
    return FittedModel(
        model.sharpened(sharpness), accuracy, softmax(logits * np.float32(sharpness))
    )


def held_out_logits(
    scaled: Float, code: NDArray[np.int16], classes: int, grow: Grow
) -> Float | None:
    """Logits (m, c) of each example from a model that has not seen it; None if a class has one.

    Folds hold equal parts of every class and depend on nothing but the order of the examples.
    """
    fewest = int(np.bincount(code, minlength=classes).min())
    if fewest < 2:
        return None
    fold = np.zeros(len(code), np.intp)
    for c in range(classes):
        members = np.flatnonzero(code == c)
        fold[members] = np.arange(len(members)) % min(_FOLDS, fewest)
    out = np.zeros((len(code), classes), np.float32)
    for f in range(min(_FOLDS, fewest)):
        model = grow(scaled[fold != f], code[fold != f], classes)
        out[fold == f] = model.logits(scaled[fold == f])
    return out


def balanced_accuracy(logits: Float | None, code: NDArray[np.int16]) -> float:
    """Mean over classes of the share that is right; NaN without logits."""
    if logits is None:
        return float("nan")
    right = logits.argmax(axis=1) == code
    counts = np.bincount(code)
    return float((np.bincount(code, weights=right) / np.maximum(counts, 1))[counts > 0].mean())


def _sharpness(logits: Float, code: NDArray[np.int16]) -> float:
    """The factor on logits that makes held-out examples likeliest, classes weighing alike.

    Temperature scaling: C. Guo et al., "On calibration of modern neural networks", ICML 2017.
    """
    weight = 1 / np.bincount(code)[code]
    rows = np.arange(len(code))
    likelihood = [
        float((weight * np.log(softmax(logits * np.float32(s))[rows, code] + 1e-9)).sum())
        for s in _SHARPNESS
    ]
    return float(_SHARPNESS[int(np.argmax(likelihood))])
