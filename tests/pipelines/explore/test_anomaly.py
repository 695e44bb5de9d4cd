"""Unlike normal: scores find what is put in, and the typed rate of false alarms holds."""

from __future__ import annotations

import csv
import json
from contextlib import nullcontext

import numpy as np
import pytest
import tifffile
from tile_sets import laid, patched

from histoprompt.core.errors import LabelError, ModelError, ParameterError, RegionError
from histoprompt.core.task import Task
from histoprompt.pipelines.explore.anomaly.conformal import ConformalCalibration, discoveries
from histoprompt.pipelines.explore.anomaly.coreset import coreset
from histoprompt.pipelines.explore.anomaly.files import ReportPictures, write_unlike
from histoprompt.pipelines.explore.anomaly.find import find_unlike
from histoprompt.pipelines.explore.anomaly.folds import blocks_of, folds_of
from histoprompt.pipelines.explore.anomaly.guard import looks, told_apart
from histoprompt.pipelines.explore.anomaly.params import UnlikeParams
from histoprompt.pipelines.explore.anomaly.reference import (
    in_reference,
    parse_reference,
    reference_tiles,
)
from histoprompt.pipelines.explore.anomaly.run import explained
from histoprompt.pipelines.explore.anomaly.scores import SCORES
from histoprompt.pipelines.explore.tile_set import joined

RNG = np.random.default_rng(0)


def halves(n: int, strange: int, seed: int = 0):
    """n reference tiles, n further normal ones of the same few directions, and some beside them."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(0, 1, (5, 24))
    vectors = rng.normal(0, 1, (2 * n + strange, 5)) @ mix + rng.normal(
        0, 0.4, (2 * n + strange, 24)
    )
    vectors[2 * n :] += rng.normal(0, 4, 24)
    inside = np.arange(len(vectors)) < n
    return laid(vectors + 5), inside


@pytest.fixture(scope="module")
def found():
    tiles, inside = halves(240, 40)
    return find_unlike(tiles, inside, UnlikeParams(rate=0.05), Task())


def test_what_was_put_in_is_found_by_each_score_and_normal_tiles_keep_to_the_rate(found):
    normal, strange = slice(240, 480), slice(480, 520)
    for name in SCORES:
        assert found.score(name)[strange].mean() > found.score(name)[normal].max() - 3
        assert (found.p_of(name)[strange] <= 0.05).mean() > 0.9
    assert found.hit[strange].all()
    assert found.hit[normal].mean() < 0.09
    assert not found.notes


def test_tiles_of_the_reference_are_judged_by_models_without_them(found):
    reference = found.inside
    assert found.hit[reference].mean() < 0.09
    # their scores are spread as those of tiles that nobody has seen
    own, new = found.score("knn")[reference], found.score("knn")[240:480]
    assert abs(np.median(own) - np.median(new)) < 0.5 * new.std()


def test_each_hit_names_its_nearest_reference_tiles(found):
    row = found.hits()[0]
    unit = found.reference.vectors / np.linalg.norm(found.reference.vectors, axis=1)[:, None]
    query = found.tiles.vectors[row] / np.linalg.norm(found.tiles.vectors[row])
    assert found.nearest[0].tolist() == np.argsort(-(unit @ query))[:3].tolist()


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_over_many_slides_false_alarms_come_as_often_as_typed(spread):
    # new tissue is of groups that the reference does not hold
    rates = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        seen, new = (patched(rng, 20, 4, 8, spread) for _ in range(2))
        tiles = laid(np.concatenate([seen, new]), columns=20)
        inside = np.arange(len(tiles)) < 400
        found = find_unlike(tiles, inside, UnlikeParams(rate=0.1), Task())
        rates.append(found.hit[~inside].mean())
    assert 0.02 < np.mean(rates) < 0.13, rates


def test_conformal_p_values_are_counted_as_by_hand():
    scores, fold = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 0, 1, 1])
    calibration = ConformalCalibration(scores, fold)
    by_fold = np.array([[2.0, 3.5]])  # 1 of {1, 2} reaches 2; 1 of {3, 4} reaches 3.5
    plain = (1 + 2) / 5
    assert calibration.of_tiles(by_fold)[0] == pytest.approx(min(plain * calibration.inflation, 1))
    # half of the tiles stand out: those of the second part are beyond all of the first
    assert calibration.inflation == pytest.approx(1.0)


def test_discoveries_are_those_of_benjamini_and_hochberg():
    p = np.array([0.01, 0.04, 0.03, 0.5])
    assert discoveries(p) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])


def test_blocks_are_equal_in_size_and_lie_together():
    at = np.argwhere(np.ones((16, 16))).astype(float)
    part = blocks_of(at, 8)
    assert np.bincount(part).tolist() == [32] * 8
    for number in range(8):
        extent = np.ptp(at[part == number], axis=0) + 1
        assert extent.prod() == 32


def test_copies_of_one_tile_are_never_parted():
    rng = np.random.default_rng(1)
    vectors = rng.normal(0, 1, (64, 10))
    vectors[63] = vectors[0] + 1e-4  # at the other end of the region
    tiles = laid(vectors, columns=8)
    fold, told = folds_of(tiles.slide, tiles.centres, tiles.vectors)
    assert fold[0] == fold[63]
    assert told == "blocks of the region"


def test_with_several_slides_whole_slides_are_held_out():
    one, other = laid(RNG.normal(0, 1, (40, 6))), laid(RNG.normal(0, 1, (50, 6)), name="S2")
    both = joined(one, other)
    fold, told = folds_of(both.slide, both.centres, both.vectors)
    assert told == "slides"
    assert len(set(fold[:40])) == len(set(fold[40:])) == 1
    assert fold[0] != fold[-1]


def test_a_coreset_leaves_no_vector_without_a_near_one():
    # five tight bundles of very different size
    rng = np.random.default_rng(0)
    centres = np.eye(5, 16) * 10
    vectors = np.repeat(centres, [500, 200, 20, 5, 1], axis=0) + rng.normal(0, 0.01, (726, 16))
    chosen = coreset(vectors, most=5)
    assert len(chosen) == 5
    assert set(np.argmax(vectors[chosen], axis=1)) == set(range(5))


def test_few_reference_tiles_are_refused_or_said_to_be_uncertain():
    tiles, inside = halves(60, 5)
    few = np.arange(len(tiles)) < 29
    with pytest.raises(LabelError, match=r"29 tiles.*At least 30"):
        find_unlike(tiles, few, UnlikeParams(), Task())
    with pytest.raises(LabelError, match="empty"):
        find_unlike(tiles, few & False, UnlikeParams(), Task())
    found = find_unlike(tiles, inside, UnlikeParams(rate=0.05), Task())
    assert "fewer than 200" in found.notes[0]
    small = find_unlike(tiles, inside, UnlikeParams(rate=0.001), Task())
    assert "nothing can be a hit" in small.notes[1]
    assert not small.hit.any()


def test_two_encoders_are_not_mixed():
    tiles, inside = halves(40, 5)
    other = laid(tiles.vectors[:40], name="S2", digest="sha256:2")
    with pytest.raises(ModelError, match="one encoder"):
        find_unlike(tiles, inside, UnlikeParams(), Task(), other)


def test_the_rate_may_be_per_square_millimetre():
    tiles, _ = halves(40, 0)
    assert UnlikeParams(rate=4, rate_per="mm2").share(tiles) == pytest.approx(4 * 0.0025)
    with pytest.raises(ParameterError, match="every tile"):
        UnlikeParams(rate=1000, rate_per="mm2").share(tiles)
    with pytest.raises(ParameterError, match="below 1"):
        UnlikeParams(rate=2)


def test_a_reference_is_a_box_or_regions_of_a_class(tmp_path):
    tiles = laid(np.zeros((40, 2)), columns=8)
    named = parse_reference(["0,0,200,300"])
    assert in_reference(tiles, 0, named, "").sum() == 2 * 3
    ring = [[0, 0], [200, 0], [200, 100], [0, 100], [0, 0]]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"classification": {"name": name}},
        }
        for name in ("Normal", "Tumor")
    ]
    features[1]["geometry"]["coordinates"] = [[[x, y + 300] for x, y in ring]]
    path = tmp_path / "drawn.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert in_reference(tiles, 0, parse_reference([str(path)]), "").sum() == 4
    assert np.flatnonzero(
        in_reference(tiles, 0, parse_reference([str(path)]), "Normal")
    ).tolist() == [0, 1]
    with pytest.raises(RegionError, match="Normal, Tumor"):
        in_reference(tiles, 0, parse_reference([str(path)]), "Fat")
    with pytest.raises(RegionError, match="outside"):
        in_reference(tiles, 0, parse_reference(["0,0,2000,300"]), "")
    with pytest.raises(RegionError, match="empty"):
        parse_reference([" "])


def test_a_reference_lies_on_the_slide_that_it_names():
    both = joined(laid(np.zeros((40, 2)), 8), laid(np.zeros((40, 2)), 8, name="S2"))
    named = parse_reference(["0,0,100,200", "S2:100,0,300,100", "normal.svs"])
    assert named.slides == ("normal.svs",)
    inside = reference_tiles(both, named, "")
    assert np.flatnonzero(inside).tolist() == [0, 1, 48, 56]
    with pytest.raises(RegionError, match="names S9, which is none of the slides"):
        reference_tiles(both, parse_reference(["S9:0,0,100,200"]), "")
    with pytest.raises(RegionError, match="reaches outside S2"):
        reference_tiles(both, parse_reference(["S2:0,0,100,2000"]), "")


def test_colour_tells_another_stain_but_not_other_places():
    rng = np.random.default_rng(3)

    def some(shift):
        base = np.array([200, 150, 190]) + shift
        return looks((base + rng.normal(0, 15, (60, 16, 16, 3))).clip(0, 255).astype(np.uint8))

    at = rng.uniform(0, 1000, (60, 2))
    assert told_apart(some(0), at, some(0), at) < 0.75
    assert told_apart(some(0), at, some(-25), at) > 0.95


class Grey:
    """A slide that is grey everywhere."""

    def __init__(self, shape):
        from histoprompt.core.geometry import Box

        self.box = Box(0, 0, *shape)

    def read(self, box, shape):
        return np.full((*shape, 3), 128, np.uint8), None


def test_files_hold_what_was_found(found, tmp_path):
    shape = found.tiles.slides[0].shape
    shown = explained(found, lambda _: nullcontext(Grey(shape)), Task())
    write_unlike(tmp_path, found, shown)
    rows = list(csv.DictReader((tmp_path / "tiles.csv").open()))
    assert list(rows[0])[:11] == [
        "slide", "row0", "col0", "row1", "col1", "knn", "mahalanobis", "reconstruction",
        "p", "q", "hit",
    ]  # fmt: skip
    assert [int(r["hit"]) for r in rows] == found.hit.astype(int).tolist()
    regions = json.loads((tmp_path / "regions.geojson").read_text())["features"]
    assert sum(f["properties"]["measurements"]["Tiles"] for f in regions) == found.hit.sum()
    heat = tifffile.imread(tmp_path / "heatmap.tif")
    assert heat.shape == (4, 26, 20)
    assert heat[0][tuple(found.tiles.places[0])] == pytest.approx(found.p_of("knn")[0])
    page = (tmp_path / "report.html").read_text()
    assert page.count('alt="nearest of the reference"') == 3 * min(24, found.hit.sum())
    write_unlike(tmp_path / "again", found, ReportPictures({}, {}, {}))
    assert (tmp_path / "again" / "tiles.csv").read_bytes() == (tmp_path / "tiles.csv").read_bytes()
