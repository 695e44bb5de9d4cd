"""Vectors that stay on disk give what those in memory give, and few are read at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tile_sets import laid, patched

from bands import CARD, Bands, manager_of, slide_of
from histoprompt.core.task import Task
from histoprompt.pipelines.explore import stored_vectors
from histoprompt.pipelines.explore.anomaly.coreset import coreset
from histoprompt.pipelines.explore.anomaly.find import find_unlike
from histoprompt.pipelines.explore.anomaly.params import UnlikeParams
from histoprompt.pipelines.explore.building import build_index
from histoprompt.pipelines.explore.from_index import entries_of
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.scenes.space import scene_space
from histoprompt.pipelines.explore.stored_vectors import StoredVectors, mean_and_deviation
from histoprompt.pipelines.explore.tile_set import TileSet


class Disk:
    """Vectors that remember how many were read at once."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors, self.most = vectors, 0

    def read(self, rows: np.ndarray) -> np.ndarray:
        self.most = max(self.most, len(rows))
        return self.vectors[rows]


def both(side: int = 40) -> tuple[TileSet, TileSet, Disk]:
    tiles = laid(patched(np.random.default_rng(1), side, 8, 24, 2.0), columns=side)
    disk = Disk(np.asarray(tiles.vectors))
    stored = StoredVectors(disk.read, np.arange(len(tiles)), 24)
    return tiles, replace(tiles, vectors=stored), disk


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(stored_vectors, "BLOCK", 100)


@pytest.mark.parametrize("smooth", [True, False])
def test_scenes_are_found_in_the_same_space(smooth):
    tiles, stored, _ = both()
    wanted, found = (scene_space(one, smooth=smooth) for one in (tiles, stored))
    # a direction has no sign of its own, so cosines are compared
    assert found @ found[:20].T == pytest.approx(wanted @ wanted[:20].T, abs=2e-3)


def test_tiles_unlike_a_reference_are_the_same():
    tiles, stored, disk = both()
    inside = np.arange(len(tiles)) < 600
    wanted, found = (find_unlike(one, inside, UnlikeParams(), Task()) for one in (tiles, stored))
    assert found.scores == pytest.approx(wanted.scores, rel=1e-4)
    assert np.array_equal(found.hit, wanted.hit)
    assert np.array_equal(found.nearest, wanted.nearest)
    assert disk.most <= len(tiles)
    assert isinstance(found.reference.vectors, StoredVectors)


def test_a_few_that_stand_for_many_are_the_same_and_read_in_blocks():
    tiles, stored, disk = both()
    assert np.array_equal(coreset(stored.vectors, 30), coreset(tiles.vectors, 30))
    assert disk.most == 100
    mean, deviation = mean_and_deviation(stored.vectors)
    assert mean == pytest.approx(np.asarray(tiles.vectors).mean(axis=0), rel=1e-5)
    assert deviation == pytest.approx(np.asarray(tiles.vectors).std(axis=0), rel=1e-4)


def test_an_index_of_many_tiles_is_not_taken_into_memory(tmp_path):
    rows = (0, 0, 1, 1, 2, 2)
    index = build_index(slide_of(rows, "one"), IndexParams(encoder=CARD.id), manager_of(Bands()),
                        Task(), stores=tmp_path)  # fmt: skip
    whole, stored = entries_of([index]), entries_of([index], largest=0)
    assert isinstance(stored.vectors, StoredVectors)
    assert np.array_equal(np.asarray(stored.vectors), whole.vectors)
    some = stored[np.arange(0, len(stored), 3)]
    assert isinstance(some.vectors, StoredVectors)
    assert np.array_equal(some.vectors[1:4], np.asarray(whole.vectors)[::3][1:4])
