"""Which cell to look at next, what came of it, and when to stop looking.

All values are frozen: a dock keeps the latest `Review` and asks these functions for the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from histoprompt.pipelines.classes.classifiers import Float
from histoprompt.pipelines.classes.train import TrainedClassifier

ACCEPT: Final = "a"
REJECT: Final = "r"
UNSURE_KEY: Final = "u"

# A class with fewer labels than the others is asked for up to this many times as eagerly.
_RARER = 4.0
# Stopping: so many steps, in which so few cells changed class and so little accuracy was gained.
_STEPS = 5
_CHANGED = 0.02
_GAINED = 0.02
_LABELS_EACH = 5


@dataclass(frozen=True)
class Suggestion:
    """A cell to look at.

    Attributes
    ----------
    id : int
    row, col : float
        Level-0 pixels.
    proposed : str
        The class it seems to have.
    probability : float
        Of that class.
    why : str
        In which way it is useful, for the person.
    """

    id: int
    row: float
    col: float
    proposed: str
    probability: float
    why: str


@dataclass(frozen=True)
class CurvePoint:
    """How good the classes were at some number of labels.

    Attributes
    ----------
    labels : int
    accuracy : float
        Balanced accuracy on held-out examples; NaN while a class has a single one. Examples that
        were picked because they are difficult make it lower than it is on all cells.
    changed : float
        Share of cells whose class differs from the point before; NaN at the first.
    fewest : int
        Labels of the rarest class.
    """

    labels: int
    accuracy: float
    changed: float
    fewest: int


@dataclass(frozen=True)
class Review:
    """What the person has said so far.

    Attributes
    ----------
    labels : mapping of int to str
        Class of ids; hand it to `Trainer.fit`.
    unsure : frozenset of int
        Cells the person could not tell; they are not asked about again.
    rejected : mapping of int to frozenset of str
        Classes that cells were said not to have.
    curve : tuple of CurvePoint
    """

    labels: Mapping[int, str] = field(default_factory=dict)
    unsure: frozenset[int] = frozenset()
    rejected: Mapping[int, frozenset[str]] = field(default_factory=dict)
    curve: tuple[CurvePoint, ...] = ()

    def labelled(self, cell: int, name: str) -> Review:
        """With a cell's class said outright, by a click or a scribble; it replaces any other."""
        rejected = {i: names for i, names in self.rejected.items() if i != cell}
        labels = {**self.labels, cell: name}
        return replace(self, labels=labels, unsure=self.unsure - {cell}, rejected=rejected)

    def forgotten(self, cell: int) -> Review:
        """With everything said about a cell taken back."""
        labels = {i: name for i, name in self.labels.items() if i != cell}
        rejected = {i: names for i, names in self.rejected.items() if i != cell}
        return replace(self, labels=labels, unsure=self.unsure - {cell}, rejected=rejected)

    def answered(self, suggestion: Suggestion, key: str, classes: tuple[str, ...]) -> Review:
        """After an answer to a suggestion.

        Parameters
        ----------
        suggestion : Suggestion
        key : {"a", "r", "u"}
            Accept the proposed class; reject it; cannot tell. A cell of which all classes but one
            were rejected has that one; before that it is offered again as the next likeliest.
        classes : tuple of str
            All classes there are, without unsure.

        Raises
        ------
        ValueError
            If the key is another.
        """
        cell = suggestion.id
        if key == ACCEPT:
            return self.labelled(cell, suggestion.proposed)
        if key == UNSURE_KEY:
            return replace(self.forgotten(cell), unsure=self.unsure | {cell})
        if key != REJECT:
            raise ValueError(f"{key!r} is none of the keys a, r and u.")
        out = self.rejected.get(cell, frozenset()) | {suggestion.proposed}
        left = [name for name in classes if name not in out]
        if len(left) == 1:
            return self.labelled(cell, left[0])
        return replace(self, rejected={**self.rejected, cell: out})

    def measured(self, fit: TrainedClassifier, before: TrainedClassifier | None) -> Review:
        """With a point added to the learning curve.

        Parameters
        ----------
        fit : TrainedClassifier
            From these labels.
        before : TrainedClassifier or None
            The one of the point before.
        """
        changed = float("nan")
        if before is not None and fit.cells.classes == before.cells.classes:
            changed = float(np.mean(fit.cells.code != before.cells.code))
        elif before is not None:
            changed = 1.0
        fewest = min(fit.examples.values())
        point = CurvePoint(len(self.labels), fit.accuracy, changed, fewest)
        return replace(self, curve=(*self.curve, point))


def next_cell(
    fit: TrainedClassifier, review: Review, first: NDArray[np.int64] | None = None, like: str = ""
) -> Suggestion | None:
    """The most useful cell to ask about; None when everything was asked.

    The classifier is torn about it, it is unlike the labelled ones but like many others, and it
    seems to be of a class with few labels. In a round of hard negatives it is the one most like a
    class that nobody has labelled: who says that it is none tells where the class ends.

    Parameters
    ----------
    fit : TrainedClassifier
    review : Review
    first : (k,) int64, optional
        Ids of cells that are asked about before all others.
    like : str
        The class whose look-alikes are asked about; empty for what is most useful.
    """
    done = [*review.labels, *review.unsure]
    asked = np.isin(fit.cells.id, np.array(done, np.int64))
    if asked.all():
        return None
    if first is not None:
        later = ~np.isin(fit.cells.id, first)
        asked = asked if (asked | later).all() else asked | later
    probability = _left(fit, review)
    if like in fit.classifier.classes:
        return _look_alike(fit, probability[:, fit.classifier.classes.index(like)], asked, like)
    use = usefulness(fit, probability)
    use[asked] = -1
    best = int(use.argmax())
    name = fit.classifier.classes[int(probability[best].argmax())]
    return _offered(fit, best, name, float(fit.probability[best].max()), _why(fit, best, name))


def _look_alike(
    fit: TrainedClassifier, probability: Float, asked: NDArray[np.bool_], like: str
) -> Suggestion | None:
    """The cell most like a class that was not asked about; None if all were said not to be."""
    use = np.where(asked | (probability <= 0), -1, probability * _unlike_labelled(fit))
    best = int(use.argmax())
    if use[best] < 0:
        return None
    return _offered(fit, best, like, float(probability[best]), f"most like your {like}: is it one?")


def _offered(
    fit: TrainedClassifier, best: int, name: str, probability: float, why: str
) -> Suggestion:
    return Suggestion(
        id=int(fit.cells.id[best]),
        row=float(fit.cells.row[best]),
        col=float(fit.cells.col[best]),
        proposed=name,
        probability=probability,
        why=why,
    )


def usefulness(fit: TrainedClassifier, probability: Float) -> NDArray[np.float64]:
    """How much is learnt from asking about each cell, (n,) from 0.

    Parameters
    ----------
    fit : TrainedClassifier
    probability : (n, c) float32
        Of the classes that a cell may still have.
    """
    top = np.partition(probability, -2, axis=1)
    torn = 1 - (top[:, -1] - top[:, -2])
    new = _unlike_labelled(fit)
    given = np.array([fit.examples.get(name, 0) for name in fit.classifier.classes], float)
    rarer = np.clip(given.max() / np.maximum(given, 1), 1, _RARER)
    return np.asarray(torn * new * fit.typical() * rarer[probability.argmax(axis=1)], np.float64)


def _unlike_labelled(fit: TrainedClassifier) -> Float:
    """How far (n,) cells are from labelled ones, from 0 to 1.

    What resembles a labelled cell brings little; being farther than usual earns nothing more,
    because what is farthest is debris.
    """
    middle = float(np.median(fit.distance))
    return np.asarray(np.clip(fit.distance / max(middle, 1e-9), 0, 1), np.float32)


def stop_hint(review: Review) -> str | None:
    """Why it may be time to stop labelling; None while labels still help.

    Predictions that no longer change are a sign that more labels of this kind bring little:
    M. Bloodgood and K. Vijay-Shanker, "A method for stopping active learning based on stabilizing
    predictions", CoNLL 2009, 39-47.
    """
    last = review.curve[-_STEPS:]
    if len(review.curve) <= _STEPS or last[-1].fewest < _LABELS_EACH:
        return None
    gained = last[-1].accuracy - review.curve[-_STEPS - 1].accuracy
    # NaN is neither small nor large: one goes on.
    if not all(point.changed <= _CHANGED for point in last) or not gained <= _GAINED:
        return None
    changed = max(point.changed for point in last)
    return (
        f"The last {_STEPS} trainings changed at most {changed:.1%} of the cells, and held-out "
        f"accuracy stays at {last[-1].accuracy:.0%}: more labels of this kind will hardly help."
    )


def _left(fit: TrainedClassifier, review: Review) -> Float:
    """Probabilities with rejected classes taken out."""
    probability = fit.probability.copy()
    place = {name: i for i, name in enumerate(fit.classifier.classes)}
    row_of = {int(i): r for r, i in enumerate(fit.cells.id)} if review.rejected else {}
    for cell, names in review.rejected.items():
        for name in names & place.keys():
            probability[row_of[cell], place[name]] = 0
    return probability


def _why(fit: TrainedClassifier, row: int, name: str) -> str:
    count = fit.examples.get(name, 0)
    if fit.distance[row] > fit.classifier.reach:
        return "unlike every labelled cell"
    if count <= min(fit.examples.values()) < max(fit.examples.values()):
        return f"{name} has only {count:,} labels"
    return "between two classes"
