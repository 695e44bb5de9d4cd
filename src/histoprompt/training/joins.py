"""The rule that joins pieces of nuclei, fitted to outlines by people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from histoprompt.models.cells.instances import DecodeParams, pieces
from histoprompt.models.cells.joining import PIECE, SIGNS, Joining
from histoprompt.training.data import Annotated, Labels, Sample, plain_field, whole_nuclei
from histoprompt.training.evaluate import Held, choose_decoding, predict_maps
from histoprompt.training.gather import STAINED_KINDS
from histoprompt.training.shares import Learnt

# Pieces to learn from are made with each of these.
_PROMINENCES = (PIECE, 0.06, 0.1)
# A piece belongs to a nucleus that has so much of it.
_SHARE = 0.6
# Where no person parted nuclei, so much of a piece must lie in single round objects.
_SINGLE = 0.9
# Images of a set that are looked at, at most.
_IMAGES = 120
# How likely two pieces must be one nucleus to be joined: tried on the images that are kept.
_LEAST = (0.5, 0.6, 0.7, 0.8)


@dataclass(frozen=True, eq=False)
class Touching:
    """Pairs of pieces that touch, in images of one set.

    Attributes
    ----------
    signs : (n, k) float64
        As `joining.SIGNS` names them.
    same : (n,) bool
        Whether both lie in one nucleus.
    weight : float
        What all of them weigh together.
    """

    signs: NDArray[np.float64]
    same: NDArray[np.bool_]
    weight: float


def touching(
    maps: NDArray[np.float32], sample: Sample, params: DecodeParams
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Signs (n, k) of pairs of pieces that touch, and whether each is one nucleus, (n,).

    Pieces that lie in no nucleus for the most part are left out.

    Parameters
    ----------
    maps : (3, h, w) float32
        What a network sees in the sample.
    sample : Sample
        With even sides. Pieces where `parted` is False say nothing.
    """
    labels = np.where(sample.known, sample.labels, 0)
    signs, same = [np.zeros((0, len(SIGNS)))], [np.zeros(0, bool)]
    for least in _PROMINENCES:
        basins, parts = pieces(maps, replace(params, prominence=least, contact=0.0))
        owner = _owners(basins, labels[::2, ::2])
        if sample.parted is not None:
            owner[_share_of(basins, sample.parted[::2, ::2]) <= _SINGLE] = 0
        sure = [s for s in parts.saddles if owner[s.a] and owner[s.b]]
        signs.append(parts.signs(sure))
        same.append(np.array([owner[s.a] == owner[s.b] for s in sure], bool))
    return np.concatenate(signs), np.concatenate(same)


def _owners(basins: Labels, labels: Labels) -> NDArray[np.intp]:
    """The nucleus that has most of each piece, (n + 1,); 0 where none has enough of it."""
    count, others = int(basins.max(initial=0)) + 1, int(labels.max(initial=0)) + 1
    table = np.bincount(
        basins.ravel().astype(np.intp) * others + labels.ravel(), minlength=count * others
    ).reshape(count, others)
    area = table.sum(1)
    table[:, 0] = 0
    most = table.argmax(1)
    return np.where(table.max(1) > _SHARE * area, most, 0)


def _share_of(basins: Labels, where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of each piece that lies somewhere, (n + 1,)."""
    count = int(basins.max(initial=0)) + 1
    inside = np.bincount(basins[where].ravel(), minlength=count)
    return np.asarray(inside / np.bincount(basins.ravel(), minlength=count).clip(1))


def fit_joining(sets: Sequence[Touching]) -> Joining | None:
    """The logistic rule that fits pairs of all sets; None if they are all of one kind."""
    seen = np.concatenate([one.signs for one in sets])
    same = np.concatenate([one.same for one in sets])
    if len(np.unique(same)) < 2:
        return None
    weight = np.concatenate([np.full(len(o.same), o.weight / max(1, len(o.same))) for o in sets])
    mean, spread = seen.mean(axis=0), np.maximum(seen.std(axis=0), 1e-6)
    model = LogisticRegression(C=1.0, max_iter=2000)
    model.fit((seen - mean) / spread, same, sample_weight=weight / weight.mean())
    weights = model.coef_[0] / spread
    return Joining(float(model.intercept_[0] - weights @ mean), tuple(map(float, weights)))


def learnt_joining(
    net: Any,
    learnt: Sequence[Learnt],
    maps: Sequence[Sequence[NDArray[np.float32]]],
    held: Sequence[Held],
    params: DecodeParams,
) -> DecodeParams:
    """Settings with the rule that images to learn from teach, if it does better on those kept.

    Sets weigh as they do in training.

    Parameters
    ----------
    net : NucleiNet
    learnt : sequence of Learnt
    maps : sequence of sequence of (3, h, w) float32
        What the network sees in each sample of `held`.
    held : sequence of Held
    params : DecodeParams
    """
    rule = fit_joining([_seen(net, one, params) for one in learnt])
    if rule is None:
        return params
    stricter = [rule.intercept - float(np.log(p / (1 - p))) for p in _LEAST]
    tried = tuple(replace(rule, intercept=value) for value in stricter)
    return choose_decoding(maps, held, params, [("joining", tried)])


def _seen(net: Any, one: Learnt, params: DecodeParams) -> Touching:
    pairs = [touching(predict_maps(net, s.image), s, params) for s in _samples(one.items)]
    signs = [np.zeros((0, len(SIGNS))), *(s for s, _ in pairs)]
    same = [np.zeros(0, bool), *(t for _, t in pairs)]
    return Touching(np.concatenate(signs), np.concatenate(same), one.weight)


def _samples(items: Sequence[Annotated]) -> Iterable[Sample]:
    """Whole stained images at 0.25 um/px, evenly chosen if there are many."""
    stained = [i for i in items if i.kind in STAINED_KINDS]
    for k in np.unique(np.linspace(0, len(stained) - 1, min(_IMAGES, len(stained))).round()):
        item = stained[int(k)]
        sample = plain_field(item)
        yield replace(sample, parted=whole_nuclei(sample.labels)) if item.silver else sample
