"""Who may stand for "not this"."""

from __future__ import annotations

import numpy as np
import pytest

from cells_of_classes import clusters, some_labels
from histoprompt.core.cell_table import UNSURE
from histoprompt.core.errors import LabelError
from histoprompt.pipelines.classes.exclusion import OTHER, alike_pairs, band, negatives
from histoprompt.pipelines.classes.train import Trainer


def sides(seed: int = 0) -> np.ndarray:
    """100 cells on one side, 100 on the other, 100 in between, in 8 dimensions."""
    rng = np.random.default_rng(seed)
    middle = np.repeat([[3.0], [-3.0], [0.0]], 100, axis=0) * np.eye(8)[0]
    return (middle + rng.normal(size=(300, 8)) * 0.7).astype(np.float32)


@pytest.mark.parametrize("examples", [1, 2, 3, 5, 20, 60])
def test_no_cell_that_looks_like_an_example_is_taken_as_its_opposite(examples):
    scaled = sides()
    found = negatives(scaled, np.arange(examples))
    assert len(found) >= 10
    assert (found >= 100).all()
    assert not np.isin(found, np.arange(examples)).any()
    assert len(np.unique(found)) == len(found)


def test_the_choice_is_repeatable_and_small():
    scaled = sides()
    first, second = (negatives(scaled, np.arange(5), seed=4) for _ in range(2))
    assert (first == second).all()
    assert len(first) == 20
    assert len(negatives(scaled, np.arange(30))) > 20


def test_debris_is_no_typical_negative():
    scaled = sides()
    scaled[150] = -500
    assert all(150 not in negatives(scaled, np.arange(5), seed) for seed in range(20))


def test_if_all_look_alike_a_second_class_is_asked_for():
    with pytest.raises(LabelError, match="something else"):
        negatives(np.ones((50, 4), np.float32), np.arange(5))


def test_only_opposite_labels_that_look_alike_are_named():
    scaled = np.array([[1, 0], [2, 0.1], [1, 0.05], [0, 1]], np.float32)
    names = np.array(["a", "a", "b", "b"])
    pairs = alike_pairs(scaled, np.array([7, 8, 9, 10]), names, 0.9)
    assert [p.ids for p in pairs] == [(8, 9), (7, 9)]
    assert all(p.classes == ("a", "b") for p in pairs)
    assert "Cell 8 (a) and cell 9 (b)" in str(pairs[0])


def test_look_alikes_of_a_single_class_stay_unsure():
    cells, truth = clusters({"tumour": 150, "stroma": 150}, apart=2.5)
    labels = dict(list(some_labels(cells, truth, 8).items()))
    only = {cell: name for cell, name in labels.items() if name == "tumour"}
    trainer = Trainer(cells)
    fit = trainer.fit(only)
    rows = trainer.rows(np.array(list(only)))
    between = band(trainer.scaled, rows)
    assert fit.look_alikes > 0
    assert not between[rows].any()
    assert not between[negatives(trainer.scaled, rows)].any()
    names = np.array(fit.cells.classes)[fit.cells.code]
    assert not (between & (names == OTHER)).any()
    assert (names == UNSURE).sum() >= fit.look_alikes
    assert any("stay unsure, in grey" in told for told in fit.warnings)
    assert trainer.fit(labels).look_alikes == 0
