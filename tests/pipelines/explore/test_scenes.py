"""Scenes: kinds of tissue come out as they were put in, over slides, smoothed and named."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile
from tile_sets import STEP, laid

from histoprompt.core.errors import LabelError, ParameterError
from histoprompt.core.task import Task
from histoprompt.pipelines.explore.scenes.clusters import Stability, choose, dense
from histoprompt.pipelines.explore.scenes.files import write_scenes
from histoprompt.pipelines.explore.scenes.find import (
    ClusterParams,
    areas,
    find_scenes,
    majority,
    slide_identity,
)
from histoprompt.pipelines.explore.scenes.names import _named
from histoprompt.pipelines.explore.scenes.space import around, scene_space
from histoprompt.pipelines.explore.tile_set import joined

KINDS = 4


def tissue(seed: int, name: str = "S1"):
    """400 tiles in four quarters, each of its kind, and the kind of each tile."""
    rng = np.random.default_rng(seed)
    at = np.argwhere(np.ones((20, 20), bool))
    kind = (at[:, 0] >= 10) * 2 + (at[:, 1] >= 10)
    middles = np.random.default_rng(99).normal(0, 3, (KINDS, 30))
    return laid(middles[kind] + rng.normal(0, 1, (400, 30)), name=name), kind


@pytest.fixture(scope="module")
def found():
    tiles, _ = tissue(0)
    other, _ = tissue(1, "S2")
    return find_scenes(joined(tiles, other), ClusterParams(), Task())


def test_kinds_that_were_put_in_come_out_on_all_slides(found):
    kind = np.concatenate([tissue(0)[1], tissue(1)[1]])
    assert len(found) == KINDS
    for number in range(KINDS):
        assert len(set(kind[found.code == number])) == 1
    assert found.slide_agreement == pytest.approx(0, abs=0.01)
    assert found.robustness == 1.0
    assert areas(found) == pytest.approx(np.full((2, KINDS), 100 * 0.0025))


def test_the_number_of_scenes_is_that_which_comes_out_again():
    found = [Stability(2, 0.85, 0.1), Stability(3, 0.5, 0.1), Stability(4, 0.8, 0.1)]
    assert choose(found) == 4
    assert choose([Stability(2, 0.95, 0.0), *found[1:]]) == 2


def test_density_finds_the_kinds_and_leaves_what_is_none():
    tiles, kind = tissue(2)
    code, _ = dense(scene_space(tiles, smooth=False), Task())
    assert code.max() + 1 == KINDS
    for number in range(KINDS):
        assert len(set(kind[code == number])) == 1


def test_a_lone_tile_takes_the_scene_around_it():
    tiles = laid(np.zeros((25, 1)), columns=5)
    code = np.zeros(25, np.int32)
    code[12] = 1
    assert majority(tiles, code).sum() == 0
    stripe = np.repeat([0, 0, 1, 1, 1], 5).astype(np.int32)
    assert (majority(tiles, stripe) == stripe).all()


def test_neighbours_are_averaged_and_none_is_invented():
    tiles = laid(np.arange(9)[:, None], columns=3)
    mean = around(tiles, tiles.vectors)[:, 0]
    assert mean[4] == pytest.approx((0 + 1 + 2 + 3 + 5 + 6 + 7 + 8) / 8)
    assert mean[0] == pytest.approx((1 + 3 + 4) / 3)


def test_scenes_that_are_slides_are_called_so():
    rng = np.random.default_rng(0)
    space = rng.normal(0, 0.1, (80, 5)).astype(np.float32)
    slide = np.repeat([0, 1], 40).astype(np.int32)
    space[slide == 1, 0] += 1
    space[slide == 0, 1] += 1
    agreement, robust = slide_identity(slide, slide, space)
    assert agreement == 1.0
    assert np.isnan(robust)  # no tile near another shares scene or slide alone


def test_a_word_names_a_scene_only_if_it_is_ahead():
    fit = np.array([[1.0, 0, 0], [0, 1, 0], [0.4, 0.3, 0.0], [0.9, 0, 0]], np.float32)
    names = _named(fit, 10.0, ("tumour", "fat", "stroma"), 0.2)
    assert [n.name for n in names] == ["tumour", "fat", "scene 3", "tumour 2"]
    assert names[2].word == "fat"
    assert names[0].margin > 0.9


def test_scenes_are_renamed_and_no_name_is_given_twice(found):
    renamed = found.renamed(1, "my tissue")
    assert renamed.names[1].name == "my tissue"
    with pytest.raises(LabelError, match="my tissue"):
        renamed.renamed(0, "my tissue")


def test_what_cannot_be_is_refused():
    with pytest.raises(LabelError, match="11 tiles"):
        find_scenes(laid(np.zeros((11, 3))), ClusterParams(), Task())
    with pytest.raises(LabelError, match="20 tiles; 7 scenes need at least 21"):
        find_scenes(laid(np.zeros((20, 3))), ClusterParams(scenes=7), Task())
    with pytest.raises(ParameterError, match="at least 2"):
        ClusterParams(scenes=1)


def test_files_hold_scenes_and_their_areas(found, tmp_path):
    write_scenes(tmp_path, found, {}, {"encoder": "enc"})
    rows = list(csv.DictReader((tmp_path / "scenes.csv").open()))
    assert list(rows[0]) == ["slide", "scene", "name", "margin", "tiles", "mm2"]
    assert sum(float(r["mm2"]) for r in rows if r["slide"] == "S1") == pytest.approx(1.0)
    tiles = list(csv.DictReader((tmp_path / "tiles.csv").open()))
    assert [int(t["scene"]) - 1 for t in tiles] == found.code.tolist()
    label = tifffile.imread(tmp_path / "S2" / "scenes.tif")
    assert label.shape == (20, 20)
    assert label[0, 0] == found.code[400] + 1
    drawn = json.loads((tmp_path / "S2" / "scenes.geojson").read_text())["features"]
    assert len(drawn) == KINDS
    assert max(x for f in drawn for x, _ in f["geometry"]["coordinates"][0]) == 20 * STEP
