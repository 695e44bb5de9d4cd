"""Clusters of tiles, and how many there are: as many as come out again on other tiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.task import Task

Float = NDArray[np.float32]
Codes = NDArray[np.int32]

FEWEST, MOST = 2, 12
# Two clusters hold up on nearly any tissue, so they must hold up this well to be chosen.
_STABLE_PAIR = 0.9
_DRAWS = 10
_SAMPLE = 4000
_STARTS = 8
NONE = -1


@dataclass(frozen=True)
class Stability:
    """How well so many clusters come out again.

    Attributes
    ----------
    scenes : int
    agreement : float
        Adjusted Rand index of two clusterings made from two halves of the tiles, on all of them;
        1 is the same, 0 is chance.
    spread : float
        Standard deviation over the draws.
    """

    scenes: int
    agreement: float
    spread: float


def k_means(space: Float, count: int, seed: int = 0, starts: int = _STARTS) -> tuple[Codes, Float]:
    """Clusters (n,) of vectors, the largest first, and their centres (count, k)."""
    from sklearn.cluster import KMeans

    some = space[:: max(1, len(space) // (10 * _SAMPLE))]
    found = KMeans(count, n_init=starts, random_state=seed).fit(some)
    return by_size(found.predict(space), found.cluster_centers_.astype(np.float32))


def by_size(code: NDArray[np.integer], centres: Float) -> tuple[Codes, Float]:
    """The same clusters, numbered from the largest on."""
    size = np.bincount(code[code >= 0], minlength=len(centres))
    order = np.argsort(-size, kind="stable")
    place = np.empty(len(order) + 1, np.int32)
    place[order] = np.arange(len(order))
    place[NONE] = NONE
    return place[code], centres[order]


def stabilities(space: Float, task: Task, most: int = MOST, seed: int = 0) -> list[Stability]:
    """For each number of clusters, how well it comes out again.

    Halves of a sample are clustered apart, all of the sample is given to the clusters of both, and
    the two are compared: A. Ben-Hur, A. Elisseeff and I. Guyon, Pac. Symp. Biocomput. 2002, 6-17.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    rng = np.random.default_rng(seed)
    sample = space
    if len(space) > _SAMPLE:
        sample = space[np.sort(rng.choice(len(space), _SAMPLE, replace=False))]
    found = []
    largest = max(FEWEST, min(most, len(sample) // 10))
    for count in range(FEWEST, largest + 1):
        task.step(count - FEWEST, largest + 1 - FEWEST, "Looking for how many scenes there are")
        agreed = []
        for draw in range(_DRAWS):
            halves = np.array_split(rng.permutation(len(sample)), 2)
            first, second = (
                KMeans(count, n_init=3, random_state=draw).fit(sample[h]).predict(sample)
                for h in halves
            )
            agreed.append(adjusted_rand_score(first, second))
        found.append(Stability(count, float(np.mean(agreed)), float(np.std(agreed))))
    return found


def choose(found: list[Stability]) -> int:
    """The number of clusters that comes out again best."""
    several = [s for s in found if s.scenes > FEWEST or s.agreement >= _STABLE_PAIR]
    return max(several or found, key=lambda s: (s.agreement, s.scenes)).scenes


def dense(space: Float, task: Task) -> tuple[Codes, Float]:
    """Clusters by density, HDBSCAN; tiles between them are of none.

    R. Campello, D. Moulavi and J. Sander, PAKDD 2013. It keeps rare groups that k-means would
    share out, and decides itself how many there are.
    """
    from sklearn.cluster import HDBSCAN

    task.step(0, 0, "Looking for dense groups of tiles")
    least = max(5, len(space) // 100)
    code = HDBSCAN(min_cluster_size=least, min_samples=5, copy=True).fit_predict(space)
    count = int(code.max()) + 1
    centres = [space[code == c].mean(axis=0) for c in range(count)]
    return by_size(code, np.asarray(centres, np.float32).reshape(count, space.shape[1]))
