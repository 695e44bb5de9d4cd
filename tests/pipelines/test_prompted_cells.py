"""Cells by a prompt model that is driven by proposals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_count import CENTRES, PLAIN, SLIDE, TRUTH, table

import fakes
from five_discs import dark_things
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.find import ModelCells
from histoprompt.pipelines.cells.prompted import PromptedCells, painted
from histoprompt.pipelines.count.run import CountJob
from histoprompt.pipelines.count.slide import count_slide


def load(card: ModelCard, weights: Path | None, device: str) -> object:
    return dark_things() if card.role == "cells" else fakes.FakeSegmenter(card)


def test_every_proposal_is_outlined_whatever_the_tiles(tmp_path):
    manager = ModelManager("cpu", 100.0, load=load)
    source = PromptedCells(fakes.BOX_ONLY, ModelCells(PLAIN, manager))
    found = []
    for tile in (130, 400):
        count_slide(SLIDE, CountJob(source, {}, tile), tmp_path / str(tile), Task())
        cells = table(tmp_path / str(tile))
        found.append(set(zip(cells.row, cells.col, strict=True)))
    assert found[0] == found[1]
    assert len(found[0]) == len(CENTRES)


def test_a_model_that_takes_clicks_only_gets_clicks(tmp_path):
    card = ModelCard(
        "clicks", "prompt", "Clicks", "", accepts=frozenset({"point"}), input_size=64, crop_px=64,
        memory_mib=8,
    )  # fmt: skip
    source = PromptedCells(card, ModelCells(PLAIN, ModelManager("cpu", 100.0, load=load)))
    found = source.find(SLIDE, Box(100, 100, 250, 250), Task())
    at = found.centroids
    inner = [(r, c) for r, c in CENTRES if Box(110, 110, 240, 240).contains(r, c)]
    for place in inner:
        assert np.hypot(*(at - place).T).min() < 1.5
    assert TRUTH.max() > len(inner)


def _mask(box: Box, score: float) -> Mask:
    return Mask(np.ones(box.shape, bool), Frame(box, box.shape), score)


@pytest.mark.parametrize(("shift", "cells"), [(2, 1), (8, 2), (20, 2)])
def test_masks_that_mostly_coincide_are_one_cell(shift, cells):
    first, second = Box(5, 5, 15, 15), Box(5, 5 + shift, 15, 15 + shift)
    labels = painted([_mask(second, 0.5), _mask(first, 0.9)], Box(0, 0, 40, 60))
    assert labels.max() == cells
    assert (labels[first.slices()] == labels[10, 6]).all()


def test_a_mask_within_another_is_the_same_cell():
    masks = [_mask(Box(5, 5, 25, 25), 0.9), _mask(Box(10, 10, 15, 15), 0.5)]
    assert painted(masks, Box(0, 0, 40, 40)).max() == 1
