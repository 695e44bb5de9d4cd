"""Labels into a store: what is said before, one edit, and one undo."""

from __future__ import annotations

import json

import numpy as np
import pytest

from histoprompt.annotations.store import LabelStore
from histoprompt.cli import main
from histoprompt.core.geometry import Box
from histoprompt.core.labels.sources import ArrayLabels
from histoprompt.core.slides.sample import LABELS, SLIDE, sample_file
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.export import ExportParams, export
from histoprompt.pipelines.exchange.from_store import export_store
from histoprompt.pipelines.exchange.import_labels import apply_import
from histoprompt.pipelines.exchange.incoming import read_incoming
from histoprompt.pipelines.exchange.planning import plan_import
from histoprompt.pipelines.formats.catalogue import FORMATS

SHAPE = (120, 160)


@pytest.fixture
def slide():
    return Slide.from_arrays("a slide", np.full((*SHAPE, 3), 200, np.uint8), mpp=0.25)


@pytest.fixture
def store(tmp_path, slide):
    with LabelStore.open(tmp_path / "store", SHAPE, slide.key) as opened:
        before = np.zeros(SHAPE, np.uint32)
        before[10:30, 10:30], before[50:70, 50:70] = 1, 2
        opened.write(Box.of_shape(SHAPE), before)
        opened.set_class([1], "tumor")
        yield opened


def file_of(slide, array, folder, classes=None):
    export(
        slide, ArrayLabels(array), folder, ExportParams(format="geojson"), Task(), classes=classes
    )
    return folder / "objects.geojson"


def plan_of(slide, store, path, rule="keep"):
    return plan_import(store, read_incoming(slide, path, Task()), Task(), rule)


def pixels(store):
    return store.read(Box.of_shape(SHAPE))


def test_what_was_exported_and_not_touched_changes_nothing(slide, store, tmp_path):
    export_store(slide, store, tmp_path / "out", ExportParams(format="geojson"), Task())
    plan = plan_of(slide, store, tmp_path / "out" / "objects.geojson")
    assert str(plan) == "added 0 changed 0 removed 0 outside 0 repaired 0"
    before = len(store.history())
    apply_import(store, plan, Task())
    assert len(store.history()) == before
    assert (store.class_of(1), store.class_of(2)) == ("tumor", "")
    # a class that was asked for is a change, and is told as one
    params = ExportParams(format="geojson", default_class="nucleus")
    export_store(slide, store, tmp_path / "named", params, Task())
    plan = plan_of(slide, store, tmp_path / "named" / "objects.geojson")
    assert plan.changed.tolist() == [2]
    apply_import(store, plan, Task())
    assert store.class_of(2) == "nucleus"


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_an_object_without_a_class_comes_back_without_one(slide, store, tmp_path, form):
    """In every format that can say so; trainers' formats name it."""
    if form.write is None or not form.reads:
        assert form.write is None or form.name == "anndata"
        return
    params = ExportParams(format=form.name, tile_size=64)
    report = export_store(slide, store, tmp_path / "out", params, Task())
    assert report.by_class == {"tumor": 1, "unclassified" if form.unclassed else "nucleus": 1}
    found = read_incoming(slide, tmp_path / "out", Task())
    assert found.format.name == form.name.replace("yolo-box", "yolo-seg")
    wanted = {"tumor", "" if form.unclassed else "nucleus"}
    assert {found.classes.of(i) for i in found.table.ids.tolist()} == wanted


def test_an_edited_outline_replaces_its_object_and_one_undo_brings_it_back(slide, store, tmp_path):
    edited = np.zeros(SHAPE, np.uint32)
    edited[12:20, 5:30], edited[50:70, 50:70], edited[90:95, 90:95] = 1, 2, 8
    before = pixels(store)
    plan = plan_of(slide, store, file_of(slide, edited, tmp_path / "out"))
    assert (plan.added.tolist(), plan.changed.tolist()) == ([8], [1])
    apply_import(store, plan, Task())
    np.testing.assert_array_equal(pixels(store), edited)
    store.undo()
    np.testing.assert_array_equal(pixels(store), before)
    assert store.class_of(1) == "tumor"


@pytest.mark.parametrize("rule", ["keep", "overwrite"])
def test_an_object_over_several_blocks_keeps_its_class_when_its_outline_changes(tmp_path, rule):
    """The file gives no class: what is taken away before it comes back would lose the store's."""
    shape = (700, 700)
    slide = Slide.from_arrays("a slide", np.full((*shape, 3), 200, np.uint8), mpp=0.25)
    before, after = np.zeros(shape, np.uint32), np.zeros(shape, np.uint32)
    before[240:280, 240:280], after[240:530, 240:282] = 1, 1
    ring = [(240, 240), (282, 240), (282, 530), (240, 530), (240, 240)]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"metadata": {"histoprompt_id": "1"}},
    }
    path = tmp_path / "unnamed.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with LabelStore.open(tmp_path / "store", shape, slide.key) as store:
        store.write(Box.of_shape(shape), before)
        store.set_class([1], "tumor")
        plan = plan_of(slide, store, path, rule)
        assert plan.changed.tolist() == [1]
        apply_import(store, plan, Task())
        np.testing.assert_array_equal(store.read(Box.of_shape(shape)), after)
        assert store.class_of(1) == "tumor"


def test_ids_that_are_taken_by_other_objects_are_given_anew(slide, store, tmp_path):
    other = np.zeros(SHAPE, np.uint32)
    other[100:110, 100:110] = 1
    plan = plan_of(slide, store, file_of(slide, other, tmp_path / "out"))
    assert plan.added.tolist() == [1]
    assert plan.ids.tolist() == [3]
    apply_import(store, plan, Task())
    assert (pixels(store)[100:110, 100:110] == 3).all()
    assert store.area_of(1) == 400


@pytest.mark.parametrize(
    ("rule", "kept", "line"),
    [
        ("keep", 400, "added 1 changed 0 removed 0 outside 0 repaired 0"),
        ("overwrite", 0, "added 1 changed 0 removed 1 outside 0 repaired 0"),
    ],
)
def test_the_rule_decides_between_the_file_and_what_is_there(  # noqa: PLR0917
    slide, store, tmp_path, rule, kept, line
):
    over = np.zeros(SHAPE, np.uint32)
    over[5:35, 5:35] = 9
    plan = plan_of(slide, store, file_of(slide, over, tmp_path / "out"), rule)
    assert str(plan) == line
    assert plan.overlapping == 1
    apply_import(store, plan, Task())
    assert (pixels(store) == 1).sum() == kept
    assert (pixels(store) == 9).sum() == 900 - kept


def test_provenance_names_the_file_and_its_digest(slide, store, tmp_path):
    new = np.zeros(SHAPE, np.uint32)
    new[100:110, 100:110] = 5
    path = file_of(slide, new, tmp_path / "out")
    apply_import(store, plan_of(slide, store, path), Task())
    (record,) = [r for r in store.objects() if r.id == 5]
    assert record.info["imported from"] == "objects.geojson"
    assert len(record.info["sha256"]) == 64


def test_a_cancelled_import_leaves_the_store_as_it_was(slide, store, tmp_path):
    from histoprompt.core.errors import Cancelled

    new = np.zeros(SHAPE, np.uint32)
    new[100:110, 100:110] = 5
    plan = plan_of(slide, store, file_of(slide, new, tmp_path / "out"))
    before, task = pixels(store), Task()
    task.cancel()
    with pytest.raises(Cancelled):
        apply_import(store, plan, task)
    np.testing.assert_array_equal(pixels(store), before)


def test_the_command_says_first_and_does_then(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    slide, labels = str(sample_file(SLIDE)), str(sample_file(LABELS))
    assert main(["import", slide, labels, "--dry-run"]) == 0
    first = capsys.readouterr().out
    assert main(["import", slide, labels]) == 0
    assert capsys.readouterr().out == first
    assert main(["import", slide, labels]) == 0
    assert capsys.readouterr().out.startswith("added 0 changed 0")
    assert not first.startswith("added 0")


def test_the_command_lists_formats(capsys):
    assert main(["formats"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:3] == ["geojson", "yes", "yes"] for line in lines)
    assert any(line.split()[:3] == ["imagescope", "yes", "-"] for line in lines)


def test_a_file_of_nothing_useful_ends_with_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    path = tmp_path / "x.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [{"type": "Feature"}]}))
    assert main(["import", str(sample_file(SLIDE)), str(path)]) == 1
    assert "feature 1" in capsys.readouterr().err


def test_a_number_that_the_file_does_not_state_is_no_sign_of_the_same_object(
    slide, store, tmp_path
):
    """Its first object lies on the store's object 1, and is another one."""
    ring = [[10, 10], [30, 10], [30, 30], [10, 30], [10, 10]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {},
    }
    store.clear()
    store.write(Box(0, 0, 20, 20), np.full((20, 20), 1))
    (tmp_path / "other.geojson").write_text(json.dumps(feature))
    plan = plan_of(slide, store, tmp_path / "other.geojson")
    assert (plan.added.tolist(), plan.changed.tolist(), plan.ids.tolist()) == ([1], [], [2])
    apply_import(store, plan, Task())
    assert (store.area_of(1), store.area_of(2)) == (400, 300)
    feature["properties"] = {"metadata": {"histoprompt_id": "1"}}
    (tmp_path / "ours.geojson").write_text(json.dumps(feature))
    assert plan_of(slide, store, tmp_path / "ours.geojson").changed.tolist() == [1]
