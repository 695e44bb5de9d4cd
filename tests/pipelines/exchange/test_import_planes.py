"""A file of regions with objects in them comes in on two planes, sorted by itself."""

from __future__ import annotations

import json

import numpy as np
import pytest

from histoprompt.annotations.store import LabelStore
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.export import ExportParams
from histoprompt.pipelines.exchange.from_store import export_store
from histoprompt.pipelines.exchange.import_labels import import_all, plan_import
from histoprompt.pipelines.exchange.incoming import read_incoming
from histoprompt.pipelines.exchange.params import ImportParams

SQUARES = {"tumour": (10, 10, 90, 90), "stroma": (100, 100, 180, 190)}
CELLS = [(20, 20, 30, 34), (50, 60, 70, 75), (120, 120, 130, 140)]


@pytest.fixture
def slide():
    return Slide.from_arrays("two planes", np.full((200, 200, 3), 200, np.uint8), mpp=0.5)


@pytest.fixture
def store(slide, tmp_path):
    with LabelStore.open(tmp_path / "store", slide.shape, slide.key) as opened:
        yield opened


def feature(box, kind, name):
    r0, c0, r1, c1 = box
    ring = [[c0, r0], [c1, r0], [c1, r1], [c0, r1], [c0, r0]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": kind, "classification": {"name": name}},
    }


@pytest.fixture
def mixed(tmp_path):
    """As QuPath writes annotations and the detections in them; a detection stands first."""
    found = [feature(CELLS[0], "detection", "nucleus")]
    found += [feature(box, "annotation", name) for name, box in SQUARES.items()]
    kinds = "cell", "detection"
    found += [feature(box, kind, "nucleus") for box, kind in zip(CELLS[1:], kinds, strict=True)]
    path = tmp_path / "mixed.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": found}))
    return path


def test_annotations_with_detections_become_regions_with_objects_as_one_edit(slide, store, mixed):
    found = read_incoming(slide, mixed, Task())
    plan = plan_import(store, found, Task())
    assert str(plan) == "added 5 changed 0 removed 0 outside 0 repaired 0"
    assert "2 regions" in found.notes[0]
    import_all(store, [found], Task())
    regions = store.on("regions")
    assert (store.count, regions.count) == (3, 2)
    assert {r.class_name: tuple(r.box) for r in regions.objects()} == SQUARES
    assert [tuple(o.box) for o in store.objects()] == CELLS
    assert [regions.class_of(store.parents()[i]) for i in (1, 2, 3)] == [
        "tumour",
        "tumour",
        "stroma",
    ]
    again = plan_import(store, read_incoming(slide, mixed, Task()), Task())
    assert str(again) == "added 0 changed 0 removed 0 outside 0 repaired 0"
    store.undo()
    assert (store.count, regions.count) == (0, 0)


@pytest.mark.parametrize(
    ("into", "boxes", "told"),
    [
        ("regions", list(SQUARES.values()), "3 objects"),
        ("count", CELLS, "2 regions"),
        ("prompts", CELLS, "2 regions"),
    ],
)
def test_elsewhere_only_what_was_asked_for_goes(slide, mixed, into, boxes, told):
    found = read_incoming(slide, mixed, Task(), ImportParams(into=into))
    assert found.regions is None
    assert sorted(map(tuple, found.table.boxes.tolist())) == sorted(boxes)
    assert any(told in note and "left out" in note for note in found.notes)


def test_files_of_one_kind_go_as_a_whole(slide, tmp_path):
    for kind in ("annotation", "detection"):
        path = tmp_path / f"{kind}.geojson"
        path.write_text(json.dumps([feature(box, kind, "x") for box in SQUARES.values()]))
        for into in ("labels", "regions"):
            found = read_incoming(slide, path, Task(), ImportParams(into=into))
            assert (len(found.table), found.regions) == (2, None)


def test_both_planes_of_a_store_come_back_as_they_were(slide, store, tmp_path):
    regions = store.on("regions")
    for plane, boxes in ((regions, SQUARES.values()), (store, CELLS)):
        for label, box in enumerate(boxes, start=7):
            place = Box(*box)
            labels = plane.read(place)
            labels[:] = label
            plane.write(place, labels)
    regions.set_class([7], "tumour")
    params = ExportParams(format="geojson")  # objects are annotations in it, as regions are
    report = export_store(slide, store, tmp_path / "out", params, Task())
    with LabelStore.open(tmp_path / "other", slide.shape, slide.key) as other:
        import_all(other, [read_incoming(slide, report.paths[0], Task())], Task())
        assert np.array_equal(other.read(slide.box), store.read(slide.box))
        there = other.on("regions")
        assert np.array_equal(there.read(slide.box), regions.read(slide.box))
        assert there.class_of(7) == "tumour"
        assert other.parents() == store.parents()
    # regions alone
    store.clear()
    report = export_store(slide, store, tmp_path / "regions", params, Task())
    found = read_incoming(slide, report.paths[0], Task())
    assert found.regions is not None
    assert (len(found.table), len(found.regions.table)) == (0, 2)
    found.check(slide)
