"""Words on some cells of a count: where they stand, and which of them are examples."""

from __future__ import annotations

import numpy as np

from histoprompt.core.cell_table import UNCLASSIFIED, UNSURE, CellTable
from histoprompt.pipelines.classes.named_cells import SUREST, named_among

RNG = np.random.default_rng(3)
COUNT = 60


def all_cells() -> CellTable:
    at = RNG.uniform(0, 100, (2, COUNT))
    features = RNG.normal(size=(COUNT, 2)).astype(np.float32)
    return CellTable(
        np.arange(1, COUNT + 1), *at, np.ones(COUNT), features=features, feature_names=("a", "b")
    )


def test_words_stand_at_their_cells_and_the_surest_are_examples():
    cells = all_cells()
    rows = RNG.permutation(COUNT)[:40]
    code = RNG.choice([0, 1, 2], 40).astype(np.int16)
    score = RNG.uniform(0.4, 1, 40).astype(np.float32)
    named = cells[rows].classified(("tumour", "stroma", UNSURE), code, score)
    found = named_among(cells, named)
    names = np.array(found.cells.class_names)
    assert names[rows].tolist() == named.class_names
    assert set(np.delete(names, rows)) == {UNCLASSIFIED}
    assert found.words == ("tumour", "stroma")
    assert found.cells.feature_names == cells.feature_names
    for number, word in enumerate(found.words):
        given = [cell for cell, name in found.surest.items() if name == word]
        of_word = code == number
        assert len(given) == min(SUREST, of_word.sum())
        inside = np.isin(named.id, given)
        assert (code[inside] == number).all()
        assert score[inside].min() >= score[of_word & ~inside].max(initial=0)


def test_a_word_that_fits_no_cell_has_no_example():
    cells = all_cells()
    nothing = np.full(COUNT, 2, np.int16)
    named = cells.classified(("tumour", "stroma", UNSURE), nothing, np.full(COUNT, 0.5, np.float32))
    found = named_among(cells, named)
    assert found.surest == {}
    assert found.cells.counts() == {"tumour": 0, "stroma": 0, UNSURE: COUNT}
