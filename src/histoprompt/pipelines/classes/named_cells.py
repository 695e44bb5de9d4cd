"""Cells of a count that words gave classes to: in the table of all, and as examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import UNCLASSIFIED, UNSURE, CellTable

# So many cells of each word, those that fit it best, stand beside a person's corrections: enough to
# hold a class that was not corrected yet, too few to outweigh what a person says.
SUREST = 10


@dataclass(frozen=True, eq=False)
class NamedCells:
    """All cells of a count, some of them named by words.

    Attributes
    ----------
    cells : CellTable
        Those that were not named are `UNCLASSIFIED`.
    surest : mapping of int to str
        Ids and words of the cells that fit best, `SUREST` a word at most.
    """

    cells: CellTable
    surest: Mapping[int, str] = field(default_factory=dict)

    @property
    def words(self) -> tuple[str, ...]:
        """The words, without unsure."""
        return tuple(n for n in self.cells.classes if n not in (UNSURE, UNCLASSIFIED))

    @property
    def unsure(self) -> NDArray[np.int64]:
        """Ids of the cells that fit two words alike."""
        unsure = [number for number, name in enumerate(self.cells.classes) if name == UNSURE]
        return np.asarray(self.cells.id[np.isin(self.cells.code, unsure)])


def named_among(cells: CellTable, named: CellTable) -> NamedCells:
    """Put the classes of some cells into the table of all.

    Parameters
    ----------
    cells : CellTable
        Of the count; its features are kept, so that a classifier learnt from them fits any count.
    named : CellTable
        Some of them, from `score_cells`.
    """
    classes = (*named.classes, UNCLASSIFIED) if len(named) < len(cells) else named.classes
    code = np.full(len(cells), len(named.classes), np.int16)
    score = np.full(len(cells), np.nan, np.float32)
    order = np.argsort(cells.id)
    rows = order[np.searchsorted(cells.id[order], named.id)]
    code[rows], score[rows] = named.code, named.score
    surest: dict[int, str] = {}
    for number, word in enumerate(named.classes):
        of_word = np.flatnonzero((named.code == number) & (word != UNSURE))
        best = of_word[np.argsort(-named.score[of_word], kind="stable")][:SUREST]
        surest |= dict.fromkeys(named.id[best].tolist(), word)
    return NamedCells(cells.classified(classes, code, score), surest)
