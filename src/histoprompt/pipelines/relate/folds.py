"""Folds of patients: no patient is in two, and every site is in each as far as it goes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import StudyError

Ints = NDArray[np.intp]


def folds_of(sites: Ints, many: int, rng: np.random.Generator) -> Ints:
    """A fold for each patient, patients of a site dealt out one by one.

    Parameters
    ----------
    sites : (patients,) int
    many : int
    rng : Generator

    Returns
    -------
    (patients,) int
        From 0.
    """
    order = rng.permutation(len(sites))
    order = order[np.argsort(sites[order], kind="stable")]
    found = np.empty(len(sites), np.intp)
    found[order] = np.arange(len(sites)) % many
    return found


def check_folds(patients: Sequence[str], folds: Sequence[object]) -> None:
    """Refuse folds in which a patient is in two.

    Parameters
    ----------
    patients : sequence of str
        Of each row; one patient may have many.
    folds : sequence
        The fold of each row.

    Raises
    ------
    StudyError
        Names the first such patient and the folds.
    """
    seen: dict[str, object] = {}
    for patient, fold in zip(patients, folds, strict=True):
        if seen.setdefault(patient, fold) != fold:
            raise StudyError(
                f"The patient {patient} is in two folds, {seen[patient]} and {fold}. What is "
                "learnt from one slide of a patient is known of the other: keep all rows of a "
                "patient in one."
            )


def named_folds(names: Sequence[str]) -> Ints:
    """Folds of the user's own by their names; patients without one are the last fold."""
    found = np.unique(np.array(names, str), return_inverse=True)[1]
    return np.asarray(found.reshape(-1), np.intp)
