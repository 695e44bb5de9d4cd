"""Committed regions as places to count in."""

import numpy as np
import pytest
import shapely

from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box
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
