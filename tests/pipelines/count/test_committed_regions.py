"""Committed regions as places to count in."""

from pathlib import Path

import numpy as np
import pytest
import shapely

from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box
from histoprompt.pipelines.formats.regions import regions_in
from histoprompt.pipelines.regions.committed import committed_regions


@pytest.fixture
def store(tmp_path):
    """A region with a hole, one in two pieces without a class, and an object."""
    labels = np.zeros((200, 180), np.uint32)
    labels[10:60, 20:80] = 2
    labels[30:40, 40:50] = 0
    labels[100:110, 0:10] = labels[150:160, 90:100] = 5
    with LabelStore.open(tmp_path / "s", labels.shape, "slide", chunk=32) as store:
        store.on("regions").write(store.box, labels)
        store.on("regions").set_class([2], "tumour")
        store.write(Box(0, 0, 9, 9), np.full((9, 9), 1))
        yield store


def test_a_region_is_the_polygon_along_its_pixels(store):
    first, second = committed_regions(store)
    assert (first.name, second.name) == ("tumour 2", "region 5")
    hole = shapely.box(40, 30, 50, 40)
    assert shapely.equals(first.polygon, shapely.box(20, 10, 80, 60).difference(hole))
    pieces = shapely.union(shapely.box(0, 100, 10, 110), shapely.box(90, 150, 100, 160))
    assert shapely.equals(second.polygon, pieces)


def test_only_those_of_a_class_are_taken(store):
    assert [region.name for region in committed_regions(store, "tumour")] == ["tumour 2"]
    with pytest.raises(RegionError, match="class 'stroma', of 2"):
        committed_regions(store, "stroma")


def test_what_is_ignored_is_no_region_and_is_cut_out_of_the_others(store):
    whole = committed_regions(store, "tumour")[0].polygon
    fold = store.write(Box(0, 30, 50, 70), np.full((50, 40), 3))
    assert fold is not None
    store.set_class([3], "Ignore*")
    store.on("regions").set_class([5], "Artefact*")
    (region,) = committed_regions(store)
    wanted = whole.difference(shapely.box(30, 0, 70, 50))
    assert region.name == "tumour 2"
    assert shapely.equals(region.polygon, wanted)
    assert region.polygon.area == wanted.area < whole.area
    with pytest.raises(RegionError, match="ignored"):
        committed_regions(store, "Ignore*")
    store.set_class([3], "fold")
    assert shapely.equals(committed_regions(store, "tumour")[0].polygon, whole)


def test_ignored_annotations_of_a_file_are_cut_out_too():
    def square(name, side):
        ring = [[0, 0], [side, 0], [side, side], [0, side], [0, 0]]
        told = {"classification": {"name": name}}
        shape = {"type": "Polygon", "coordinates": [ring]}
        return {"type": "Feature", "geometry": shape, "properties": told}

    features = [square("Ignore*", 40), square("tumour", 100), square("inner", 30)]
    (region,) = regions_in(features, (200, 200), Path("drawn.geojson"))
    assert (region.name, region.polygon.area) == ("tumour", 100**2 - 40**2)
    assert "ignored" in region.notes[0]
    with pytest.raises(RegionError, match="no polygon"):
        regions_in(features[:1], (200, 200), Path("drawn.geojson"))
