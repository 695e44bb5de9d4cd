"""Classes of cells after some of them were corrected: who is there still keeps what it had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import UNCLASSIFIED, CellTable

Classify = Callable[
    [NDArray[np.float32], tuple[str, ...]],
    tuple[tuple[str, ...], NDArray[np.int16], NDArray[np.float32]],
]


def carried(before: CellTable, cells: CellTable, classify: Classify | None = None) -> CellTable:
    """The cells there are now, with the classes that those of before had.

    Parameters
    ----------
    before : CellTable
        Classified; ids ascend.
    cells : CellTable
        Some of the same cells, and new ones.
    classify : callable, optional
        Gives the classes of new cells from their features; they have none without it.
    """
    row = np.searchsorted(before.id, cells.id).clip(0, max(len(before) - 1, 0))
    known = before.id[row] == cells.id if len(before) else np.zeros(len(cells), bool)
    code = np.zeros(len(cells), np.int16)
    score = np.full(len(cells), np.nan, np.float32)
    code[known], score[known] = before.code[row[known]], before.score[row[known]]
    names: tuple[str, ...] = (UNCLASSIFIED,)
    new, given = np.zeros(int((~known).sum()), np.int16), score[~known]
    if classify is not None and len(new):
        names, new, given = classify(cells.features[~known], cells.feature_names)
    used = [names[c] for c in np.unique(new)]
    classes = (*before.classes, *(name for name in used if name not in before.classes))
    place = np.array([classes.index(n) if n in classes else 0 for n in names], np.int16)
    code[~known], score[~known] = place[new], given
    return replace(cells.classified(classes, code, score), palette=before.palette)
