"""Which cells may stand for "not this", and which labels contradict each other.

Who labels only tumour cells has not said that the others are not tumour: many look the same. So
negatives are taken only among cells that look unlike every example.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import LabelError
from histoprompt.core.vectors import unit_rows
from histoprompt.pipelines.classes.classifiers import Float

OTHER = "other"

# Negatives look less alike to every example than this share of the pairs of examples do.
_BAND = 10.0
# With fewer examples than this their pairs say little, and the least alike part of all cells is
# taken instead.
_FEW = 4
_LEAST_ALIKE = 25.0
# Cells farther out than this share are smears and debris, not typical negatives.
_OUTLIERS = 99.0
_FEWEST_NEGATIVES, _NEGATIVES_EACH = 20, 3


@dataclass(frozen=True)
class Alike:
    """Two labelled cells of different classes that look alike.

    Attributes
    ----------
    ids : (int, int)
    classes : (str, str)
    similarity : float
        Cosine of their comparable features.
    """

    ids: tuple[int, int]
    classes: tuple[str, str]
    similarity: float

    def __str__(self) -> str:
        (first, second), (a, b) = self.ids, self.classes
        return (
            f"Cell {first} ({a}) and cell {second} ({b}) look alike "
            f"(similarity {self.similarity:.2f}): is one of them wrong?"
        )


def negatives(scaled: Float, rows: NDArray[np.intp], seed: int = 0) -> NDArray[np.intp]:
    """Cells that may stand for all that the examples of a single class are not.

    Parameters
    ----------
    scaled : (n, k) float32
        Comparable features of all cells.
    rows : (m,) intp
        The examples.
    seed : int
        Of the choice among the candidates.

    Returns
    -------
    (j,) intp
        Rows of cells below the exclusion band of every example and not outliers, sorted.

    Raises
    ------
    LabelError
        If all cells look like the examples.
    """
    similar, cut = _likeness(scaled, rows)
    size = np.einsum("ij,ij->i", scaled, scaled)
    candidate = (similar < cut) & (size <= np.percentile(size, _OUTLIERS))
    candidate[rows] = False
    found = np.flatnonzero(candidate)
    if not len(found):
        raise LabelError(
            f"All {len(scaled):,} cells look like the {len(rows):,} examples, so nothing can stand "
            "for the other class. Label a few cells that are something else."
        )
    wanted = min(len(found), max(_FEWEST_NEGATIVES, _NEGATIVES_EACH * len(rows)))
    return np.sort(np.random.default_rng(seed).choice(found, wanted, replace=False))


def band(scaled: Float, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Cells that look too much like the examples of a single class to stand for what it is not.

    Parameters
    ----------
    scaled : (n, k) float32
        Comparable features of all cells.
    rows : (m,) intp
        The examples, which are not among them.

    Returns
    -------
    (n,) bool
    """
    similar, cut = _likeness(scaled, rows)
    inside = similar >= cut
    inside[rows] = False
    return np.asarray(inside, bool)


def _likeness(scaled: Float, rows: NDArray[np.intp]) -> tuple[Float, float]:
    """Cosine (n,) of each cell with the example it is most like, and the lower edge of the band."""
    unit = unit_rows(scaled)
    similar = (unit @ unit[rows].T).max(axis=1)
    pairs = (unit[rows] @ unit[rows].T)[np.triu_indices(len(rows), 1)]
    cut = float(np.percentile(similar, _LEAST_ALIKE))
    if len(rows) >= _FEW:
        cut = min(float(np.percentile(pairs, _BAND)), float(np.median(similar)))
    return similar, cut


def alike_pairs(
    scaled: Float,
    ids: NDArray[np.int64],
    names: NDArray[np.str_],
    threshold: float,
) -> tuple[Alike, ...]:
    """Pairs of examples of different classes with a cosine above a threshold, likest first.

    Parameters
    ----------
    scaled : (m, k) float32
        Comparable features of the examples.
    ids : (m,) int64
    names : (m,) str
        Class of each.
    threshold : float
    """
    unit = unit_rows(scaled)
    similar = np.triu(unit @ unit.T, 1)
    similar[names[:, None] == names] = -1
    first, second = np.nonzero(similar > threshold)
    order = np.argsort(-similar[first, second], kind="stable")
    return tuple(
        Alike((int(ids[i]), int(ids[j])), (str(names[i]), str(names[j])), float(similar[i, j]))
        for i, j in zip(first[order], second[order], strict=True)
    )
