"""Scored regions on their plane of the label store."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import Cancelled, LabelStoreError, RegionError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask
from histoprompt.core.scores.map import ScoreMap, Threshold
from histoprompt.core.scores.regions import find_regions, paint_regions
from histoprompt.core.task import Task
from histoprompt.core.tiling import TileGrid
from histoprompt.pipelines.regions import commit as module
from histoprompt.pipelines.regions.commit import commit_regions

# Its last tiles reach over the edges of the slide.
SLIDE = Box(0, 0, 75, 95)
RASTER = np.array(
    [
        [1, 1, 0, 0, 0, 0, 0, 0, 0, 1],
        [1, 0, 0, 0, 1, 1, 1, 0, 0, 1],
        [1, 1, 0, 0, 1, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 1, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    ],
    np.float32,
)


@pytest.fixture
def regions():
    grid = TileGrid(SLIDE, 10, 0, SLIDE)
    places = np.argwhere(np.ones(RASTER.shape, bool)).astype(np.int32)
    scores = ScoreMap(
        ("tumour",),
        RASTER.reshape(-1, 1),
        places,
        grid,
        thresholds={"tumour": Threshold(0.5, "test")},
    )
    return find_regions(scores, "tumour")


@pytest.fixture
def store(tmp_path):
    with LabelStore.open(tmp_path / "labels", SLIDE.shape, "key") as opened:
        yield opened.on("regions")


@pytest.mark.parametrize("piece", [2048, 16])
def test_each_region_is_one_of_the_texts_class(store, regions, monkeypatch, piece):
    monkeypatch.setattr(module, "_PIECE", piece)
    ids, change = commit_regions(store, regions, info={"model": "m"}, task=Task())
    expected = paint_regions(regions, SLIDE.shape).read(SLIDE)
    labels = store.read(SLIDE)
    assert np.array_equal(labels > 0, expected > 0)
    for made, region in zip(ids, regions, strict=True):
        assert np.array_equal(labels == made, expected == region.id)
        assert store.class_of(made) == "tumour"
    assert change is not None
    store.undo()
    assert not store.read(SLIDE).any()


def test_objects_hinder_no_region_and_stay_as_they_are(store, regions):
    objects = store.on("objects")
    everything = Mask(np.ones(SLIDE.shape, bool), Frame(SLIDE, SLIDE.shape))
    objects.commit(everything)
    commit_regions(objects, regions, info={}, task=Task())
    expected = paint_regions(regions, SLIDE.shape).read(SLIDE)
    assert np.array_equal(store.read(SLIDE) > 0, expected > 0)
    assert (objects.read(SLIDE) == 1).all()
    assert set(objects.parents().values()) <= set(store.ids().tolist())


def test_regions_that_are_there_keep_their_pixels(store, regions):
    first = store.commit(Mask(np.ones((75, 50), bool), Frame(Box(0, 0, 75, 50), (75, 50))))
    commit_regions(store, regions, info={}, task=Task())
    assert (store.read(Box(0, 0, 75, 50)) == first).all()
    everything = Mask(np.ones(SLIDE.shape, bool), Frame(SLIDE, SLIDE.shape))
    store.commit(everything)
    with pytest.raises(LabelStoreError, match="already"):
        commit_regions(store, regions, info={}, task=Task())


def test_no_region_and_too_much_are_refused_with_the_remedy(store, regions, monkeypatch):
    with pytest.raises(RegionError, match="Lower it"):
        commit_regions(store, [], info={}, task=Task())
    monkeypatch.setattr(module, "MOST_PIXELS", 100)
    with pytest.raises(RegionError, match="export"):
        commit_regions(store, regions, info={}, task=Task())
    assert store.count == 0


def test_a_cancelled_commit_leaves_nothing(store, regions):
    task = Task()
    task.report = lambda progress: task.cancel() if progress.done == 1 else None
    with pytest.raises(Cancelled):
        commit_regions(store, regions, info={}, task=task)
    assert store.count == 0
    assert not store.read(SLIDE).any()
