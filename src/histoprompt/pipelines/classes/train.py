"""Classes of all cells from a few labelled ones, again and again as labels are added."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.class_list import is_ignored
from histoprompt.core.cell_table import PROBABILITY, UNSURE, CellTable
from histoprompt.core.errors import LabelError
from histoprompt.core.strings.wording import many
from histoprompt.pipelines.classes.abstention import cuts, too_few
from histoprompt.pipelines.classes.classifiers import (
    FewShotClassifier,
    Float,
    Method,
    Scaling,
    chunks,
)
from histoprompt.pipelines.classes.exclusion import OTHER, Alike, alike_pairs, band, negatives
from histoprompt.pipelines.classes.few_shot import fit_model
from histoprompt.pipelines.classes.ignored import without_ignored
from histoprompt.pipelines.classes.train_params import TrainParams

# From this many examples of the rarest class on a regression beats prototypes.
_LOGISTIC_FROM = 3
_WARNINGS = 3
_USUAL = TrainParams()
# A cell is typical by its distance to so many neighbours among so many cells of the table.
_NEIGHBOURS, _SAMPLE = 10, 400


@dataclass(frozen=True, eq=False)
class TrainedClassifier:
    """What came of a training.

    Attributes
    ----------
    classifier : FewShotClassifier
    cells : CellTable
        All cells with their new classes; labelled cells have the class they were given, score 1.
    probability : (n, c) float32
        In the order of ``classifier.classes``.
    distance : (n,) float32
        To the nearest example.
    typical : callable
        How near other cells are, (n,) float32, see `typicality`; worked out at the first call.
    accuracy : float
        Balanced accuracy on held-out examples; NaN where a class has a single one.
    examples : dict of str to int
        Labels of each class.
    alike : tuple of Alike
    ignored : int
        Labels of classes that do not count (`Ignore*`); nothing was learnt from them.
    never_out : tuple of str
        Classes with too few examples for the typed error rate.
    look_alikes : int
        Cells that look like the examples of the only class and not enough like it to be of it; they
        are unsure.
    """

    classifier: FewShotClassifier
    cells: CellTable
    probability: Float
    distance: Float
    typical: Callable[[], Float]
    accuracy: float
    examples: dict[str, int]
    alike: tuple[Alike, ...] = ()
    ignored: int = 0
    never_out: tuple[str, ...] = ()
    look_alikes: int = 0

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the person should know, a sentence each."""
        said = [str(pair) for pair in self.alike[:_WARNINGS]]
        if len(self.alike) > _WARNINGS:
            said.append(f"{len(self.alike) - _WARNINGS} more pairs of examples look alike.")
        if self.never_out:
            said.append(
                f"{', '.join(self.never_out)} cannot be ruled out at this error rate with so few "
                "examples, so more cells stay unsure. Label more of them, or type a larger rate."
            )
        if OTHER in self.classifier.classes and OTHER not in self.examples:
            (name,) = self.examples
            said.append(
                f"Only {name} has examples: cells that look unlike all of them were taken as "
                f"{OTHER}. Label some other cells for a better border."
            )
        if self.look_alikes:
            said.append(
                f"{many(self.look_alikes, 'cell')} between the examples and {OTHER} stay unsure, "
                "in grey: nobody has said what they are."
            )
        return tuple(said)


class Trainer:
    """Learns from labels of one table of cells, quickly enough to do so after every click.

    Parameters
    ----------
    cells : CellTable
        With features; they are made comparable once, here.
    params : TrainParams, optional

    Raises
    ------
    LabelError
        If the table has no cells or no features.
    """

    def __init__(self, cells: CellTable, params: TrainParams = _USUAL) -> None:
        self._learnt = tuple(n for n in cells.feature_names if n != PROBABILITY)
        if not len(cells) or not self._learnt:
            raise LabelError(
                f"The table has {len(cells):,} cells with {len(self._learnt)} features; "
                "nothing can be learnt from it. Count the cells with features first."
            )
        self.cells = cells
        self.params = params
        features = cells.features[:, [n != PROBABILITY for n in cells.feature_names]]
        self.scaling = Scaling.of(features, self._learnt)
        self.scaled = self.scaling.apply(features)
        self._order = np.argsort(cells.id, kind="stable")

    def fit(self, labels: Mapping[int, str], classes: Sequence[str] = ()) -> TrainedClassifier:
        """Train on labelled cells and classify all.

        Parameters
        ----------
        labels : mapping of int to str
            Class of some ids.
        classes : sequence of str, optional
            Classes that must have an example.

        Raises
        ------
        LabelError
            If there is no label, an id is unknown, a class is named `UNSURE` or empty or has no
            example, or all cells look like those of the only class.
        """
        given_all, labels = labels, without_ignored(labels)
        names = self._names(labels, classes)
        rows = self.rows(np.array(list(labels), np.int64))
        given = np.array([labels[i] for i in labels])
        alike = alike_pairs(self.scaled[rows], self.cells.id[rows], given, self.params.alike)
        code = np.searchsorted(names, given).astype(np.int16)
        trained, trained_code = rows, code
        if len(names) == 1:
            others = negatives(self.scaled, rows)
            names = [*names, OTHER]
            trained = np.concatenate([rows, others])
            trained_code = np.concatenate([code, np.ones(len(others), np.int16)])
        classifier, accuracy = self._train(trained, trained_code, tuple(names))
        probability, distance = self._judge(classifier)
        far = float((distance > classifier.reach).mean())
        classifier = replace(classifier, usual_far=far)
        found, score = classifier.decide(probability, distance)
        between = np.zeros(len(found), bool)
        if OTHER in names and OTHER not in given:
            between = band(self.scaled, rows) & (found == names.index(OTHER))
            found[between] = len(names)
        found[rows], score[rows] = code, 1
        counts = {n: int(k) for n, k in zip(names, np.bincount(code), strict=False)}
        rate = self.params.error_rate
        return TrainedClassifier(
            classifier=classifier,
            cells=self._with_ignored((*names, UNSURE), found, score, given_all),
            probability=probability,
            distance=distance,
            typical=lambda: self._typical,
            accuracy=accuracy,
            examples=counts,
            alike=alike,
            ignored=len(given_all) - len(labels),
            never_out=too_few(trained_code, tuple(names), rate) if rate else (),
            look_alikes=int(between.sum()),
        )

    def _with_ignored(
        self,
        names: tuple[str, ...],
        code: NDArray[np.int16],
        score: Float,
        given: Mapping[int, str],
    ) -> CellTable:
        """All cells with their classes, those said to be ignored with that class."""
        ignored = {i: name for i, name in given.items() if is_ignored(name)}
        for name in sorted(set(ignored.values())):
            rows = self.rows(np.array([i for i, n in ignored.items() if n == name], np.int64))
            code[rows], score[rows] = len(names), 1
            names = (*names, name)
        return self.cells.classified(names, code, score)

    @cached_property
    def _typical(self) -> Float:
        return typicality(self.scaled)

    def rows(self, ids: NDArray[np.int64]) -> NDArray[np.intp]:
        """Where ids are in the table.

        Raises
        ------
        LabelError
            If one is not there.
        """
        ordered = self.cells.id[self._order]
        place = np.searchsorted(ordered, ids).clip(0, len(ordered) - 1)
        unknown = ids[ordered[place] != ids]
        if len(unknown):
            raise LabelError(
                f"{len(unknown)} labelled ids are not among the {len(self.cells):,} cells, "
                f"such as {unknown[0]}."
            )
        return np.asarray(self._order[place], np.intp)

    def _names(self, labels: Mapping[int, str], classes: Sequence[str]) -> list[str]:
        """The classes, sorted."""
        names = sorted(set(labels.values()))
        if not names:
            raise LabelError("No cell is labelled yet. Label a few cells of each class.")
        if UNSURE in names or "" in names:
            raise LabelError(f"A class cannot be named {UNSURE!r} or have an empty name.")
        empty = sorted(set(classes) - set(names))
        if empty:
            raise LabelError(
                f"There is no example of {', '.join(empty)}. Label at least one cell of it "
                "(three are better), or leave the class out."
            )
        if len(names) == 1 and names[0] == OTHER:
            raise LabelError(f"Only {OTHER!r} has examples. Label some cells of another class.")
        return names

    def _train(
        self, rows: NDArray[np.intp], code: NDArray[np.int16], names: tuple[str, ...]
    ) -> tuple[FewShotClassifier, float]:
        examples, params = self.scaled[rows], self.params
        method: Method = "prototype" if params.method == "auto" else params.method
        if params.method == "auto" and np.bincount(code).min() >= _LOGISTIC_FROM:
            method = "logistic"
        fitted = fit_model(examples, code, len(names), method, params.strength)
        cut = None
        if params.error_rate and fitted.held_out is not None:
            cut = cuts(fitted.held_out, code, params.error_rate)
        classifier = FewShotClassifier(
            classes=names,
            feature_names=self._learnt,
            scaling=self.scaling,
            method=method,
            model=fitted.model,
            examples=examples,
            code=code,
            reach=reach(examples, params.percentile),
            margin=params.margin,
            held_out=fitted.held_out,
            cut=cut,
        )
        return classifier, fitted.accuracy

    def _judge(self, classifier: FewShotClassifier) -> tuple[Float, Float]:
        parts = [classifier.judge(self.scaled[s]) for s in chunks(len(self.scaled))]
        return np.concatenate([p for p, _ in parts]), np.concatenate([d for _, d in parts])


def typicality(scaled: Float) -> Float:
    """How densely other cells lie around each, (n,) float32: 1 for the median, 1.5 at most.

    What stands alone is mostly debris or badly outlined, and a label for it says little of others.
    Measured against a sample of the cells, which does for the order they are asked about.
    """
    sample = scaled[:: max(1, len(scaled) // _SAMPLE)]
    kth = min(_NEIGHBOURS, len(sample) - 1)
    squares = np.einsum("ij,ij->i", sample, sample)
    far = np.empty(len(scaled), np.float32)
    for part in chunks(len(scaled)):
        apart = squares - 2 * scaled[part] @ sample.T
        own = np.einsum("ij,ij->i", scaled[part], scaled[part])
        far[part] = np.sqrt(np.maximum(np.partition(apart, kth, axis=1)[:, kth] + own, 0))
    return np.asarray(np.minimum(np.median(far) / np.maximum(far, 1e-6), 1.5), np.float32)


def reach(examples: Float, percentile: float) -> float:
    """How far a cell may be from its nearest example before it is like none of them.

    A percentile of the distances from each example to the nearest other one, a little more for
    few examples; without two examples nothing is out of reach.
    """
    m = len(examples)
    if m < 2:
        return float("inf")
    squares = np.einsum("ij,ij->i", examples, examples)
    apart = squares[:, None] + squares - 2 * examples @ examples.T
    np.fill_diagonal(apart, np.inf)
    nearest = np.sqrt(np.maximum(apart.min(axis=1), 0))
    return float(np.percentile(nearest, percentile) * (1 + 1 / m))
