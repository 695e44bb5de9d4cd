"""Cells told apart by words, in crops and by tokens, and what corrections make of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cells_of_classes import cells_on_a_grid
from histoprompt.core.cell_table import UNSURE, CellTable
from histoprompt.core.errors import MissingMppError, ModelError, PromptError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.classes.train import Trainer
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.regions.cell_texts import CellTexts, crop_box, score_cells
from two_colours import PURPLE_ROWS, Colours, job_of, two_colours

TEXTS = CellTexts(("purple cells", "pink cells"), "plain", least_um=8)


@pytest.fixture(scope="module")
def slide() -> Slide:
    return two_colours()


def truth(cells: CellTable) -> list[str]:
    band = (cells.row >= PURPLE_ROWS.start) & (cells.row < PURPLE_ROWS.stop)
    return ["purple cells" if inside else "pink cells" for inside in band]


@pytest.mark.parametrize("way", ["crop", "tokens"])
def test_each_cell_gets_the_text_that_fits(slide, tmp_path, way):
    cells = cells_on_a_grid()
    found = score_cells(slide, cells, replace(TEXTS, way=way), job_of(Colours(), tmp_path), Task())
    assert found.class_names == truth(cells)
    assert found.classes == ("purple cells", "pink cells", UNSURE)
    assert (found.score > 0.5).all()
    assert found.feature_names == tuple(f"colours_{way}_{i}" for i in range(3))
    assert np.allclose(np.linalg.norm(found.features, axis=1), 1, atol=1e-5)


def test_tokens_take_fewer_looks(slide, tmp_path):
    cells, seen = cells_on_a_grid(12), {}
    for way in ("crop", "tokens"):
        model = Colours()
        score_cells(slide, cells, replace(TEXTS, way=way), job_of(model, tmp_path), Task())
        seen[way] = model.seen
    assert seen["crop"] == len(cells)
    assert seen["tokens"] < len(cells) / 2


def test_the_batch_does_not_matter(slide, tmp_path):
    cells = cells_on_a_grid()
    one, other = (
        score_cells(slide, cells, TEXTS, job_of(Colours(), tmp_path, batch=b), Task())
        for b in (3, 64)
    )
    assert np.array_equal(one.features, other.features)


def test_close_ones_are_unsure(slide, tmp_path):
    cells, job = cells_on_a_grid(), job_of(Colours(), tmp_path)
    found = score_cells(slide, cells, replace(TEXTS, temperature=100, doubt=0.9), job, Task())
    assert set(found.class_names) == {UNSURE}
    sure = score_cells(slide, cells, replace(TEXTS, temperature=100, doubt=0), job, Task())
    assert sure.class_names == truth(cells)


def test_scoring_again_replaces_its_own_features(slide, tmp_path):
    cells = replace(
        cells_on_a_grid(),
        features=np.ones((len(cells_on_a_grid()), 1), np.float32),
        feature_names=("area",),
    )
    job = job_of(Colours(), tmp_path)
    once = score_cells(slide, cells, TEXTS, job, Task())
    twice = score_cells(slide, once, TEXTS, job, Task())
    assert twice.feature_names == once.feature_names == ("area", *once.feature_names[1:])
    assert np.array_equal(once.features, twice.features)


def test_corrections_train_the_few_shot_classifier(slide, tmp_path):
    cells = cells_on_a_grid()
    doubtful = replace(TEXTS, doubt=0.9, temperature=100)
    found = score_cells(slide, cells, doubtful, job_of(Colours(), tmp_path), Task())
    assert set(found.class_names) == {UNSURE}
    names = truth(cells)
    marked = {names.index(name) + i: name for name in set(names) for i in range(3)}
    labels = {int(found.id[i]): names[i] for i in marked}
    fit = Trainer(found).fit(labels)
    likeliest = [fit.classifier.classes[i] for i in fit.probability.argmax(axis=1)]
    assert likeliest == names


def test_no_cells_are_no_work(slide, tmp_path):
    none = cells_on_a_grid()[np.zeros(len(cells_on_a_grid()), bool)]
    found = score_cells(slide, none, TEXTS, job_of(Colours(), tmp_path), Task())
    assert found.counts() == {"purple cells": 0, "pink cells": 0, UNSURE: 0}


def test_crops_grow_with_cells_from_a_least_side(slide):
    cells = cells_on_a_grid()[:2]
    large = replace(cells, area_um2=np.array([1.0, np.pi * 20**2]))
    texts = CellTexts(("a", "b"), margin=2.0, least_um=10)
    small, wide = (crop_box(slide, large, i, texts) for i in (0, 1))
    assert small.height == 20
    assert wide.height == 160
    assert small.contains(large.row[0], large.col[0])
    assert Box(-100, -100, 600, 600).covers(wide)


def test_bad_questions_are_refused(slide, tmp_path):
    cells, job = cells_on_a_grid(), job_of(Colours(), tmp_path)
    with pytest.raises(PromptError, match="two texts"):
        score_cells(slide, cells, CellTexts(("pink",)), job, Task())
    with pytest.raises(PromptError, match="knows pink"):
        score_cells(slide, cells, CellTexts(("pink", "green")), job, Task())
    with pytest.raises(MissingMppError, match="pixel size"):
        score_cells(two_colours(mpp=None), cells, TEXTS, job, Task())


def test_a_model_without_tokens_says_so(slide, tmp_path):
    job = ScoreJob(ModelManager("cpu", 100.0), registry.card("vocabulary"), stores=tmp_path)
    texts = CellTexts(("fat", "stroma"), way="tokens")
    with pytest.raises(ModelError, match="crops"):
        score_cells(slide, cells_on_a_grid(), texts, job, Task())
