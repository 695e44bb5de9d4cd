"""Classifiers of cells as plain arrays: what training makes, files keep and counting uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import UNSURE
from histoprompt.core.errors import LabelError

Float = NDArray[np.float32]
Method = Literal["logistic", "prototype", "forest", "discriminant"]

# Features are cut at this many standard deviations: a smear must not outweigh everything else.
_CUT = 5.0
# Cells looked at together; bounds memory for tables of any length.
_CHUNK = 16_384
_TREES, _DEPTH = 100, 10


class CellClassifier(Protocol):
    """Anything that tells the classes of cells from their features."""

    def classify(
        self, features: Float, feature_names: tuple[str, ...]
    ) -> tuple[tuple[str, ...], NDArray[np.int16], Float]:
        """Classes, the index into them of each of n cells, and how sure each is."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """How features are made comparable.

    Attributes
    ----------
    mean, deviation : (k,) float32
        Of the cells that were at hand in training, labelled or not.
    share : (k,) float32
        What a standard deviation counts. Every family of features (the channels of an encoder;
        all hand-made ones) has the same sum of squares, 1, so that a wide embedding does not drown
        a few measurements; 0 for features that do not vary.
    """

    mean: Float
    deviation: Float
    share: Float

    @classmethod
    def of(cls, features: Float, names: Sequence[str]) -> Scaling:
        """From the (n, k) features of all cells; NaN is left out."""
        known = ~np.isnan(features)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, features, 0).sum(axis=0, dtype=np.float64) / count
        centred = np.where(known, features - mean.astype(np.float32), 0)
        deviation = np.sqrt(np.square(centred).sum(axis=0, dtype=np.float64) / count)
        tells = deviation > 1e-5 * np.maximum(np.abs(mean), 1e-5)
        families = np.array([family(name) for name in names])
        share = np.zeros(len(names))
        for one in np.unique(families):
            members = tells & (families == one)
            share[members] = 1 / np.sqrt(max(1, members.sum()))
        deviation[~tells] = 1
        return cls(*(x.astype(np.float32) for x in (mean, deviation, share)))

    def apply(self, features: Float) -> Float:
        """Comparable features (n, k); what could not be measured is taken as average."""
        scaled: Float = (features - self.mean) / self.deviation
        np.clip(scaled, -_CUT, _CUT, out=scaled)
        scaled *= self.share
        np.nan_to_num(scaled, copy=False)
        return scaled


def family(name: str) -> str:
    """Channels of an encoder, ``name_0``, ``name_1`` ..., are a family; all others are another."""
    stem, _, number = name.rpartition("_")
    return stem if number.isdigit() else ""


class ProbabilityModel(Protocol):
    """Probabilities of classes from comparable features."""

    def probabilities(self, scaled: Float) -> Float:
        """(n, c) float32 from (n, k), rows of sum 1."""


@dataclass(frozen=True, eq=False)
class Linear:
    """Softmax of a linear function: logistic regression and nearest prototype alike.

    Attributes
    ----------
    weights : (c, k) float32
    bias : (c,) float32
    """

    weights: Float
    bias: Float

    def logits(self, scaled: Float) -> Float:
        """(n, c) before the softmax."""
        return scaled @ self.weights.T + self.bias

    def sharpened(self, factor: float) -> Linear:
        """The same decisions with differences of logits `factor` times as large."""
        return Linear(self.weights * np.float32(factor), self.bias * np.float32(factor))

    def probabilities(self, scaled: Float) -> Float:
        """(n, c) float32 from (n, k), rows of sum 1."""
        return softmax(self.logits(scaled))


@dataclass(frozen=True, eq=False)
class Forest:
    """A random forest, grown from its examples when first needed.

    The examples are few, so they are what is kept: growing takes a moment and the seed is fixed.

    Attributes
    ----------
    scaled : (m, k) float32
        Examples, comparable features.
    code : (m,) int16
    classes : int
    """

    scaled: Float
    code: NDArray[np.int16]
    classes: int

    @cached_property
    def _grown(self) -> Any:
        from sklearn.ensemble import RandomForestClassifier

        forest = RandomForestClassifier(
            _TREES, max_depth=_DEPTH, class_weight="balanced", random_state=0, n_jobs=1,
            oob_score=True,
        )  # fmt: skip
        return forest.fit(self.scaled, self.code)

    def out_of_bag(self) -> Float | None:
        """Probabilities (m, c) of each example from trees that have not seen it.

        None if a class has a single example.
        """
        if np.bincount(self.code, minlength=self.classes).min() < 2:
            return None
        return np.asarray(np.nan_to_num(self._grown.oob_decision_function_), np.float32)

    def probabilities(self, scaled: Float) -> Float:
        """(n, c) float32 from (n, k), rows of sum 1."""
        out = np.zeros((len(scaled), self.classes), np.float32)
        if len(scaled):
            out[:, self._grown.classes_] = self._grown.predict_proba(scaled)
        return out


def softmax(logits: Float) -> Float:
    """Probabilities of (n, c) logits."""
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True), np.float32)


@dataclass(frozen=True, eq=False)
class FewShotClassifier:
    """A classifier trained on a few examples; knows what it has not seen.

    Attributes
    ----------
    classes : tuple of str
        Without `UNSURE`.
    feature_names : tuple of str
    scaling : Scaling
    method : {"logistic", "prototype", "forest", "discriminant"}
    model : Linear or Forest
    examples : (m, k) float32
        What it was trained on, comparable features.
    code : (m,) int16
        Classes of the examples.
    reach : float
        Distance to the nearest example beyond which a cell is like none of them.
    margin : float
        Least difference between the two largest probabilities of a cell that is not unsure.
    held_out : (m, c) float32 or None
        Probabilities of each example from a model that has not seen it.
    cut : (c,) float32 or None
        A cell may be of each class whose probability is at least this, and is unsure unless that is
        one class; the margin does not count then. See `abstention.cuts`.
    usual_far : float
        Share of the cells at hand in training that were out of reach; NaN if not known.
    """

    classes: tuple[str, ...]
    feature_names: tuple[str, ...]
    scaling: Scaling
    method: Method
    model: Linear | Forest
    examples: Float
    code: NDArray[np.int16]
    reach: float
    margin: float
    held_out: Float | None = None
    cut: Float | None = None
    usual_far: float = float("nan")
    _squares: Float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_squares", np.einsum("ij,ij->i", self.examples, self.examples))

    def classify(
        self, features: Float, feature_names: tuple[str, ...]
    ) -> tuple[tuple[str, ...], NDArray[np.int16], Float]:
        """Classes of n cells.

        Parameters
        ----------
        features : (n, k) float32
        feature_names : tuple of str
            Must hold all features the classifier was trained with; order does not matter.

        Returns
        -------
        classes : tuple of str
            The last is `UNSURE`.
        code : (n,) int16
            Index into `classes`.
        score : (n,) float32
            Probability of the likeliest class, also for cells that are unsure.

        Raises
        ------
        LabelError
            If features are missing.
        """
        chosen = self.chosen(features, feature_names)
        parts = [self.judge(self.scaling.apply(chosen[s])) for s in chunks(len(chosen))]
        probability = np.concatenate([p for p, _ in parts])
        distance = np.concatenate([d for _, d in parts])
        return (*self.classes, UNSURE), *self.decide(probability, distance)

    def judge(self, scaled: Float) -> tuple[Float, Float]:
        """Probabilities (n, c), and distances (n,) to the nearest example, of comparable features.

        Distances are infinite where nothing can be said without examples.
        """
        squares = np.einsum("ij,ij->i", scaled, scaled)
        nearest = (self._squares - 2 * (scaled @ self.examples.T)).min(axis=1) + squares
        return self.model.probabilities(scaled), np.sqrt(np.maximum(nearest, 0))

    def decide(self, probability: Float, distance: Float) -> tuple[NDArray[np.int16], Float]:
        """Codes, with the number of classes for unsure cells, and scores."""
        code = probability.argmax(axis=1).astype(np.int16)
        score = probability.max(axis=1, initial=0)
        unsure = margins(probability) < self.margin
        if self.cut is not None:
            may_be = probability >= self.cut
            code = may_be.argmax(axis=1).astype(np.int16)
            unsure = may_be.sum(axis=1) != 1
        code[unsure | (distance > self.reach)] = len(self.classes)
        return code, score

    def chosen(self, features: Float, names: tuple[str, ...]) -> Float:
        """The (n, k) features that count, out of those there are; raises as `classify` does."""
        if names == self.feature_names:
            return features
        place = {name: i for i, name in enumerate(names)}
        missing = [name for name in self.feature_names if name not in place]
        if missing:
            few = ", ".join(name[:60] for name in missing[:3]) + (
                " ..." if len(missing) > 3 else ""
            )
            raise LabelError(
                f"The classifier was trained with {len(self.feature_names)} features, of which "
                f"these cells lack {len(missing)}: {few}. Count the cells with the segmenter that "
                "the training cells were counted with, or train on a table like this one."
            )
        return features[:, [place[name] for name in self.feature_names]]


def margins(probability: Float) -> Float:
    """How far the likeliest class of each cell is ahead of the next, (n,) in [0, 1]."""
    top = np.partition(probability, -2, axis=1)[:, -2:]
    return np.asarray(top[:, 1] - top[:, 0], np.float32)


def chunks(n: int) -> list[slice]:
    """Slices that cover n rows; one empty slice for none."""
    return [slice(i, min(i + _CHUNK, n)) for i in range(0, max(n, 1), _CHUNK)]
