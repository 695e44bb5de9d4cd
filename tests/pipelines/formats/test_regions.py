"""Drawn regions as QuPath, other programs and people's hands leave them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely

from histoprompt.core.errors import LabelError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.pipelines.formats.geojson import read_geojson
from histoprompt.pipelines.formats.regions import read_regions

SIZE = (400, 400)
SQUARE = [[50, 50], [300, 50], [300, 300], [50, 300], [50, 50]]


def feature(*rings, **properties):
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": list(rings)},
        "properties": properties,
    }


def read(tmp_path, *features):
    path = tmp_path / "r.geojson"
    path.write_text(json.dumps(list(features)))
    return read_regions(path, SIZE)


def test_an_outline_that_crosses_itself_is_mended_and_said(tmp_path):
    # two triangles of base 250 and height 125 that meet in the middle
    bowtie = [[50, 50], [300, 300], [300, 50], [50, 300], [50, 50]]
    (region,) = read(tmp_path, feature(bowtie, name="left and right"))
    assert shapely.area(region.polygon) == 2 * (250 * 125 / 2) == 31_250
    assert shapely.is_valid(region.polygon)
    (note,) = region.notes
    assert "left and right crosses itself" in note
    assert "31,250 square pixels" in note


def test_the_reported_bowtie_has_its_area(tmp_path):
    # both halves have the side 360 and the height 180
    ring = [[20, 20], [380, 380], [380, 20], [20, 380], [20, 20]]
    (region,) = read(tmp_path, feature(ring))
    assert shapely.area(region.polygon) == 360 * 180


def test_a_hole_that_crosses_the_edge_takes_only_what_is_inside(tmp_path):
    hole = [[250, 100], [350, 100], [350, 200], [250, 200], [250, 100]]
    (region,) = read(tmp_path, feature(SQUARE, hole))
    assert shapely.area(region.polygon) == 250 * 250 - 50 * 100
    assert region.notes


def test_a_hole_that_crosses_itself_is_mended_too(tmp_path):
    hole = [[100, 100], [200, 200], [200, 100], [100, 200], [100, 100]]
    (region,) = read(tmp_path, feature(SQUARE, hole))
    assert shapely.area(region.polygon) == 250 * 250 - 2 * (100 * 50 / 2)


def test_a_sound_outline_has_no_note_and_keeps_its_hole(tmp_path):
    hole = [[100, 100], [120, 100], [120, 130], [100, 130], [100, 100]]
    (region,) = read(tmp_path, feature(SQUARE, hole, name="a"))
    assert (shapely.area(region.polygon), region.notes) == (250 * 250 - 20 * 30, ())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e400, 1e300, "5", None, True, [1]])
def test_a_coordinate_that_is_no_number_names_its_feature(tmp_path, bad):
    ring = [[50, 50], [300, 50], [bad, 300], [50, 50]]
    with pytest.raises(LabelError, match=r"feature 2 has no usable geometry.*\[0\]\[2\]\[0\]"):
        read(tmp_path, feature(SQUARE), feature(ring))


def test_features_without_a_place_are_left_out_and_named(tmp_path):
    empty = {"type": "Feature", "geometry": None, "properties": {}}
    (region,) = read(tmp_path, feature(SQUARE), empty, empty)
    assert region.notes == (
        "Features without a place were left out of the regions: number 2, 3 of the file.",
    )
    path = tmp_path / "r.geojson"
    assert read_geojson(path, SIZE).skipped == 2
    with pytest.raises(RegionError, match="no polygon on the slide"):
        read(tmp_path, empty)


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({"objectType": "annotation"}, "region"),
        ({"classification": None}, "region"),
        ({"classification": {"name": None}}, "region"),
        ({"classification": {"name": "T", "color": [None, 0, 0]}}, "T"),
        ({"classification": {"name": "T", "color": "red"}}, "T"),
        ({"classification": {"names": ["a", "b"]}}, "a: b"),
        ({"classification": {"names": 5}}, "region"),
        ({"name": " two\nlines\x1b[31m "}, "two lines [31m"),
        ({"name": 7}, "7"),
        ({"name": "all"}, "all (drawn)"),
        ({"metadata": [1], "name": "x"}, "x"),
    ],
)
def test_what_a_feature_says_of_itself_names_the_region(tmp_path, properties, name):
    (region,) = read(tmp_path, feature(SQUARE, **properties))
    assert region.name == name
    assert shapely.area(region.polygon) == 62_500


def test_properties_that_are_no_table_say_nothing(tmp_path):
    (region,) = read(tmp_path, {**feature(SQUARE), "properties": [1, 2]})
    assert region.name == "region"


def test_a_byte_order_mark_is_no_fault(tmp_path):
    path = tmp_path / "r.geojson"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(feature(SQUARE, name="a")).encode())
    (region,) = read_regions(path, SIZE)
    assert region.name == "a"


def test_labels_of_a_crossing_outline_are_those_of_its_two_halves(tmp_path):
    path = tmp_path / "r.geojson"
    path.write_text(json.dumps(feature([[0, 0], [20, 20], [20, 0], [0, 20], [0, 0]])))
    labels = read_geojson(path, (20, 20)).labels
    ids = labels.read(Box.of_shape(labels.shape))
    # the centre of a pixel, (c + 0.5, r + 0.5), is inside where |x - 10| > |y - 10|
    away = np.abs(np.arange(20) - 9.5)
    beside = away[None, :] - away[:, None]
    assert ids[beside > 0].all()
    assert not ids[beside < 0].any()
