"""Which proposals are kept: votes that agree, clusters that agree, no duplicates, diverse picks.

The filter of votes and clusters follows VLM-CPL (Zhong et al., "VLM-CPL: consensus pseudo-labels
from vision-language models for annotation-free pathological image classification", TMI 2025), with
several clusters per tag in place of one, as a tag may look in more ways than one. The diverse pick
is the greedy k-center of Sener and Savarese, "Active learning for convolutional neural networks: a
core-set approach", ICLR 2018.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from histoprompt.pipelines.tags.params import TagParams
from histoprompt.pipelines.tags.scoring import Votes

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]

# Why a candidate is dropped, in the order in which it is looked at.
NONE, SPLIT, CLUSTER, CLOSE, DUPLICATE, SLIDE_CAP, CLASS_CAP = REASONS = (
    "no tag fits",
    "votes disagree",
    "its cluster disagrees",
    "margin too low",
    "near-duplicate",
    "enough of its slide",
    "enough of its tag",
)
# Reasons that say something against the tag; the others keep examples few and unlike each other.
DOUBTS: Final = (NONE, SPLIT, CLUSTER, CLOSE)
_SEED: Final = 0
_RESTARTS: Final = 5
# Share of the candidates below which those without tag are too rare for a cluster of their own.
_RARE: Final = 0.1
# Candidates a cluster has on average at least, so that its majority means something.
_FEWEST: Final = 20
# Pixels a side of a picture that is compared with others.
_SMALL: Final = 8


@dataclass(frozen=True, eq=False)
class Choice:
    """What was kept of n candidates.

    Attributes
    ----------
    kept : (n,) bool
    reason : tuple of str
        Why each was dropped; empty for those that are kept.
    cluster_agrees : (n,) bool
    """

    kept: Bool
    reason: tuple[str, ...]
    cluster_agrees: Bool

    @property
    def dropped(self) -> dict[str, int]:
        """How many were dropped for each reason, in the order of `REASONS`."""
        found = Counter(self.reason)
        return {reason: found[reason] for reason in REASONS if found[reason]}


def choose(votes: Votes, slides: NDArray[np.int64], params: TagParams) -> Choice:
    """Keep what votes and clusters agree on, once, up to the caps.

    Parameters
    ----------
    votes : Votes
    slides : (n,) int64
        The slide of each candidate.
    params : TagParams
    """
    code, k = votes.code, votes.probability.shape[1]
    agrees = consensus(votes.vectors, code, params.clusters, none=k)
    reason = np.full(len(votes), "", object)
    steps = (
        (NONE, code < k),
        (SPLIT, lowest(votes.entropy, code, params.entropy_share)),
        (CLUSTER, agrees),
        (CLOSE, votes.margin >= params.margin),
    )
    for name, passes in steps:
        reason[(reason == "") & ~passes] = name
    left = np.flatnonzero(reason == "")
    best = left[np.argsort(-votes.probability[left, code[left]], kind="stable")]
    for place in duplicates(votes, best, params.duplicate):
        reason[place] = DUPLICATE
    for tag in range(k):
        of_tag = best[(code[best] == tag) & (reason[best] == "")]
        _cap(reason, of_tag, votes.vectors, (slides, params))
    return Choice(np.asarray(reason == "", bool), tuple(map(str, reason)), agrees)


def lowest(entropy: NDArray[np.float64], code: NDArray[np.int64], share: float) -> Bool:
    """Which candidates are in the share of lowest entropy of their tag; ties are in it."""
    keep = np.zeros(len(code), bool)
    for tag in np.unique(code):
        members = code == tag
        limit = np.quantile(entropy[members], share, method="higher")
        keep |= members & (entropy <= limit + 1e-12)
    return keep


def consensus(vectors: Float, code: NDArray[np.int64], clusters: int = 1, none: int = -1) -> Bool:
    """Whether each candidate's cluster stands for the tag it got by votes.

    Each tag has at least one cluster, by the assignment with most candidates in agreement
    (Hungarian method); the others stand for the tag that most of their candidates got. No tag
    counts as one where it is not rare: a cluster for a few would split that of a tag.

    Parameters
    ----------
    vectors : (n, d) float32
    code : (n,) int64
    clusters : int
        Most clusters per tag; fewer where there are few candidates.
    none : int
        The code of no tag.
    """
    out = np.zeros(len(code), bool)
    rare = none >= 0 and 0 < (code == none).mean() < _RARE
    used = np.flatnonzero(code != none) if rare else np.arange(len(code))
    out[used] = _agreeing(vectors[used], code[used], clusters)
    return out


def _agreeing(vectors: Float, code: NDArray[np.int64], clusters: int) -> Bool:
    return np.asarray(cluster_tags(vectors, code, clusters) == code, bool)


def cluster_tags(vectors: Float, code: NDArray[np.int64], clusters: int) -> NDArray[np.int64]:
    """The tag (n,) that the cluster of each candidate stands for."""
    present, label = np.unique(code, return_inverse=True)
    k = len(present)
    if k < 2 or len(code) <= k:
        return code
    from sklearn.cluster import KMeans

    count = k * max(1, min(clusters, len(code) // (k * _FEWEST)))
    means = KMeans(count, n_init=_RESTARTS, random_state=_SEED)
    found = means.fit_predict(vectors.astype(np.float64))
    table = np.zeros((count, k), np.int64)
    np.add.at(table, (found, label), 1)
    stands = table.argmax(axis=1)
    rows, columns = linear_sum_assignment(table, maximize=True)
    stands[rows] = columns
    return np.asarray(present[stands[found]], np.int64)


def duplicates(votes: Votes, order: NDArray[np.intp], cosine: float) -> NDArray[np.intp]:
    """Candidates that look like an earlier one of an order, to the model and pixel by pixel.

    Both, as words see little: two cells of a kind may be one to a model of few numbers.
    """
    if not len(order):
        return order
    looks = _small(votes.pictures[order])
    vectors = votes.vectors[order]
    taken: list[int] = []
    out: list[int] = []
    for i in range(len(order)):
        if taken:
            near = (vectors[taken] @ vectors[i] >= cosine) & (looks[taken] @ looks[i] >= cosine)
            if near.any():
                out.append(i)
                continue
        taken.append(i)
    return np.asarray(order[out], np.intp)


def _small(pictures: NDArray[np.uint8]) -> Float:
    """Pictures as unit vectors of few pixels, each about its own mean."""
    n, side = len(pictures), pictures.shape[1]
    step = side // _SMALL
    cut = pictures[:, : step * _SMALL, : step * _SMALL].astype(np.float32)
    small = cut.reshape(n, _SMALL, step, _SMALL, step, 3).mean(axis=(2, 4)).reshape(n, -1)
    small -= small.mean(axis=1, keepdims=True)
    return np.asarray(small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6))


def k_center(vectors: Float, count: int) -> NDArray[np.intp]:
    """So many rows that cover all, the first one first: each next is farthest from those taken."""
    if len(vectors) <= count:
        return np.arange(len(vectors))
    taken = [0]
    nearest = 1 - vectors @ vectors[0]
    while len(taken) < count:
        place = int(nearest.argmax())
        taken.append(place)
        nearest = np.minimum(nearest, 1 - vectors @ vectors[place])
    return np.array(taken, np.intp)


def _cap(
    reason: NDArray[np.object_],
    members: NDArray[np.intp],
    vectors: Float,
    given: tuple[NDArray[np.int64], TagParams],
) -> None:
    """Drop what is too much of a slide, then of the tag; those left are as diverse as can be."""
    slides, params = given
    for slide in np.unique(slides[members]):
        here = members[slides[members] == slide]
        picked = here[k_center(vectors[here], params.per_slide)]
        reason[np.setdiff1d(here, picked)] = SLIDE_CAP
    left = members[reason[members] == ""]
    picked = left[k_center(vectors[left], params.per_class)]
    reason[np.setdiff1d(left, picked)] = CLASS_CAP
