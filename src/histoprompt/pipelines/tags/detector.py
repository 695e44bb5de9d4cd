"""A detector learnt from tags: a class head on what our own nuclei network sees of each cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import UNSURE, CellTable
from histoprompt.core.errors import LabelError
from histoprompt.core.parameters import Parameter, check
from histoprompt.pipelines.classes.classifiers import FewShotClassifier
from histoprompt.pipelines.classes.train import Trainer
from histoprompt.pipelines.classes.train_params import TrainParams
from histoprompt.pipelines.tags.records import TagRow
from histoprompt.pipelines.tags.tag_file import NO_TAG
from histoprompt.pipelines.tags.work import TaggedCandidates

# Examples of a class that are learnt from at most: beyond, a linear head gains nothing.
_MOST: Final = 2000
_SEED: Final = 3
# Rounds: a round must gain so much, and a machine's word counts from this probability on.
GAIN, SURE = 0.005, 0.9


@dataclass(frozen=True)
class DetectParams:
    """How a detector is learnt.

    Attributes
    ----------
    detector : {"head", "fasterrcnn"}
    strength : float
        scikit-learn's C of the class head.
    rounds : int
        Most rounds in which the detector's own sure answers join the labels.
    epochs : int
        Of a network.
    """

    detector: Annotated[
        Literal["head", "fasterrcnn"],
        Parameter(
            "Detector",
            "A class head on the nuclei network, or a network that finds boxes by itself.",
            offers=(("class head", "head"), ("Faster R-CNN (needs a GPU)", "fasterrcnn")),
        ),
    ] = "head"
    strength: Annotated[
        float,
        Parameter(
            "Strength",
            "How freely the class head may follow its examples.",
            low=1e-3,
            high=100.0,
            advanced=True,
        ),
    ] = 0.05
    rounds: Annotated[
        int,
        Parameter("Rounds", "Most rounds; one that does not gain is the last.", low=1, high=10),
    ] = 3
    epochs: Annotated[
        int, Parameter("Epochs", "Passes over the data of a network.", low=1, high=1000)
    ] = 20

    def __post_init__(self) -> None:
        check(self, LabelError)


@dataclass(frozen=True, eq=False)
class TrainingLabels:
    """What n candidates are learnt as.

    Attributes
    ----------
    code : (n,) int64
        Index of the tag, the number of tags for none of them, -1 for not learnt from.
    by_hand : (n,) bool
        Whether a person said so.
    """

    code: NDArray[np.int64]
    by_hand: NDArray[np.bool_]


def labels_of(
    work: TaggedCandidates, rows: Sequence[TagRow], apart: Sequence[str] = ()
) -> TrainingLabels:
    """What tags and reviews say of the candidates that are learnt from.

    Kept and accepted candidates are their tag, rejected ones none of them, and so are those that
    words give no tag without doubt.

    Parameters
    ----------
    work : TaggedCandidates
    rows : sequence of TagRow
    apart : sequence of str
        Patients that nothing is learnt from.
    """
    k = len(work.names)
    place = {name: i for i, name in enumerate(work.names)}
    code = np.full(len(work), -1, np.int64)
    for i, row in enumerate(rows):
        if row.label:
            code[i] = place[row.label]
        elif row.reviewed == "reject" or (not row.reviewed and _is_none(work, i)):
            code[i] = k
    code[np.isin(work.patients, list(apart))] = -1
    by_hand = np.array([row.source == "human" for row in rows], bool)
    return TrainingLabels(code, by_hand & (code >= 0))


def fit_detector(
    work: TaggedCandidates, labels: TrainingLabels, params: DetectParams
) -> FewShotClassifier:
    """Learn a class head.

    Raises
    ------
    LabelError
        If no candidate has a tag, or there are no features.
    """
    features, names = work.features
    classes = (*work.names, NO_TAG)
    rows = _balanced(labels)
    present = {classes[c] for c in labels.code[rows].tolist()}
    if not present - {NO_TAG}:
        raise LabelError("No candidate has a tag to learn from. Accept some first.")
    chosen = {int(i) + 1: classes[labels.code[i]] for i in rows.tolist()}
    trainer = Trainer(
        _table(work, features, names), TrainParams(strength=params.strength, margin=0)
    )
    return trainer.fit(chosen).classifier


def predicted(
    work: TaggedCandidates, classifier: FewShotClassifier
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The tag of every candidate, the number of tags for none, and how likely it is."""
    features, names = work.features
    chosen = [names.index(name) for name in classifier.feature_names]
    probability, _ = classifier.judge(classifier.scaling.apply(features[:, chosen]))
    place = {name: i for i, name in enumerate(work.names)}
    of = np.array([place.get(name, len(place)) for name in classifier.classes], np.int64)
    return of[probability.argmax(axis=1)], probability.max(axis=1)


@dataclass(frozen=True)
class Round:
    """One round of learning.

    Attributes
    ----------
    number : int
        From 1.
    labels : int
        Learnt from.
    choosing : float
        Mean F1 on patients left out in turn, of those that are learnt from: what rounds are chosen
        by. NaN where it cannot be told.
    """

    number: int
    labels: int
    choosing: float


def rounds_of(
    work: TaggedCandidates, labels: TrainingLabels, params: DetectParams
) -> tuple[FewShotClassifier, tuple[Round, ...]]:
    """Learn in rounds: what a detector is sure of joins the labels of the next, until none gains.

    Whether a round gains is told by patients left out in turn among those that are learnt from;
    the frozen set is not asked. A person's word is never changed.

    Raises
    ------
    LabelError
        As `fit_detector`.
    """
    best = fit_detector(work, labels, params)
    told = [Round(1, int((labels.code >= 0).sum()), _choosing(work, labels, labels, params))]
    now = labels
    for number in range(2, params.rounds + 1):
        now = _joined(work, labels, best)
        if (now.code == labels.code).all():
            break
        score = _choosing(work, now, labels, params)
        told.append(Round(number, int((now.code >= 0).sum()), score))
        if not score >= told[-2].choosing + GAIN:
            break
        best = fit_detector(work, now, params)
        labels = now
    return best, tuple(told)


def _joined(
    work: TaggedCandidates, labels: TrainingLabels, classifier: FewShotClassifier
) -> TrainingLabels:
    """Labels with a machine's word put as the detector sees it, where it is sure."""
    code, chance = predicted(work, classifier)
    sure = (chance >= SURE) & ~labels.by_hand & (labels.code >= 0)
    doubt = (chance < SURE) & (code != labels.code) & ~labels.by_hand
    new = np.where(sure, code, labels.code)
    return TrainingLabels(np.where(doubt & (labels.code >= 0), -1, new), labels.by_hand)


def _choosing(
    work: TaggedCandidates, labels: TrainingLabels, truth: TrainingLabels, params: DetectParams
) -> float:
    """Mean F1 of detectors on patients they have not seen, against what people said if any did."""
    patients = np.array(work.patients)
    asked = truth.by_hand if truth.by_hand.sum() >= 2 * len(work.names) else truth.code >= 0
    groups = sorted(set(patients[asked].tolist()))
    if len(groups) < 2:
        return float("nan")
    found = np.full(len(work), -1, np.int64)
    for part in np.array_split(np.array(groups), min(3, len(groups))):
        out = np.isin(patients, part)
        rest = TrainingLabels(np.where(out, -1, labels.code), labels.by_hand & ~out)
        try:
            found[out] = predicted(work, fit_detector(work, rest, params))[0][out]
        except LabelError:
            return float("nan")
    scores = [_f1(found[asked] == t, truth.code[asked] == t) for t in range(len(work.names))]
    return float(np.nanmean(scores)) if np.isfinite(scores).any() else float("nan")


def _f1(given: NDArray[np.bool_], real: NDArray[np.bool_]) -> float:
    both = int(given.sum() + real.sum())
    return 2 * int((given & real).sum()) / both if both else float("nan")


def _is_none(work: TaggedCandidates, i: int) -> bool:
    """Whether words agree that a candidate has no tag."""
    return bool(work.code[i] == len(work.names) and work.counts[i, -1] == work.counts[i].sum())


def _balanced(labels: TrainingLabels) -> NDArray[np.intp]:
    """Candidates to learn from; of each class a person's words first, then some at random."""
    rng = np.random.default_rng(_SEED)
    chosen = []
    for value in np.unique(labels.code[labels.code >= 0]):
        members = rng.permutation(np.flatnonzero(labels.code == value))
        members = members[np.argsort(~labels.by_hand[members], kind="stable")]
        chosen.append(members[:_MOST])
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, np.intp)


def _table(
    work: TaggedCandidates, features: NDArray[np.float32], names: tuple[str, ...]
) -> CellTable:
    n = len(work)
    return CellTable(
        id=np.arange(1, n + 1, dtype=np.int64),
        row=work.candidates.centres[:, 0],
        col=work.candidates.centres[:, 1],
        area_um2=work.candidates.area_um2,
        features=np.asarray(features, np.float32),
        feature_names=names,
    )


def check_classes(classifier: FewShotClassifier, path: Path) -> tuple[str, ...]:
    """The tags a detector knows.

    Raises
    ------
    LabelError
        If it is a classifier that was learnt otherwise.
    """
    tags = tuple(name for name in classifier.classes if name not in (NO_TAG, UNSURE))
    if not tags:
        raise LabelError(f"{path} knows no tags. Fit a detector again.")
    return tags
