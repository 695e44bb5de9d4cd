"""Pairs shuffled so that what chance finds is what patients alone would give."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]
_SEED: Final = 11


def shuffled(patients: Int, count: int) -> list[Int]:
    """Orders of sentences that break their tie with images, but not that with patients.

    Each patient is given the sentences of another one, in another order: images of a patient are
    alike, and so are sentences, so that pairs shuffled one by one would tell less than chance
    finds. Where patients have different numbers of pairs, sentences are repeated or left out.

    Parameters
    ----------
    patients : (n,) int64
    count : int

    Returns
    -------
    list of (n,) int64
        ``order[i]`` is the pair whose sentence pair i is given.
    """
    rng = np.random.default_rng(_SEED)
    members = [np.flatnonzero(patients == p) for p in np.unique(patients)]
    orders = []
    for _ in range(count):
        order = np.empty(len(patients), np.int64)
        for mine, other in zip(members, rng.permutation(len(members)).tolist(), strict=True):
            theirs = rng.permutation(members[other])
            order[mine] = np.resize(theirs, len(mine))
        orders.append(order)
    return orders


def folds_of(patients: Int, count: int) -> list[Int]:
    """Pairs of each fold: patients go to folds whole, the largest first into the smallest fold."""
    names, sizes = np.unique(patients, return_counts=True)
    count = min(count, len(names))
    load = np.zeros(count, np.int64)
    place = np.zeros(len(names), np.int64)
    for i in np.argsort(-sizes, kind="stable").tolist():
        place[i] = int(load.argmin())
        load[place[i]] += sizes[i]
    of = place[np.searchsorted(names, patients)]
    return [np.flatnonzero(of == fold) for fold in range(count)]
