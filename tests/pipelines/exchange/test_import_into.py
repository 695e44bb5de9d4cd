"""Imported objects as a count, as prompts, and several files at once."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest

from histoprompt.annotations.place import store_folder
from histoprompt.annotations.store import LabelStore
from histoprompt.cli import main
from histoprompt.core.geometry import Box
from histoprompt.core.labels.table import scan
from histoprompt.core.labels.tiff import read_labels
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.sample import LABELS, SLIDE, sample_file
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.incoming import read_incoming
from histoprompt.pipelines.exchange.into_count import (
    keep_imported_count,
    plan_count,
    write_imported_count,
)
from histoprompt.pipelines.exchange.params import ImportParams
from histoprompt.pipelines.formats.cell_files import read_cells

SLIDE_FILE, LABEL_FILE = str(sample_file(SLIDE)), str(sample_file(LABELS))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))


@pytest.fixture
def slide():
    image = np.random.default_rng(0).integers(120, 255, (300, 420, 3), dtype=np.uint8)
    return Slide.from_arrays("a slide", image, mpp=0.5)


def square(r, c, side, name="", label=None):
    ring = [[c, r], [c + side, r], [c + side, r + side], [c, r + side], [c, r]]
    about = {"classification": {"name": name, "color": [1, 2, 3]}} if name else {}
    if label is not None:
        about["metadata"] = {"histoprompt_id": str(label)}
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": about,
    }


def written(path, features):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_imported_cells_are_measured_and_written_as_every_count_is(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["import", SLIDE_FILE, LABEL_FILE, "--into", "count", "--dry-run"]) == 0
    first = capsys.readouterr().out
    assert main(["import", SLIDE_FILE, LABEL_FILE, "--into", "count", "--out", str(out)]) == 0
    assert capsys.readouterr().out == first
    table = scan(read_labels(LABEL_FILE), Task())
    assert first == f"added {len(table)} changed 0 removed 0 outside 0 repaired 0\n"
    names = {p.name for p in out.iterdir()}
    assert {"cells.csv", "cells.parquet", "count.json", "labels.tif", "report.html"} <= names
    assert {"cells.geojson", "counts.csv", "imported_ids.csv"} <= names

    cells = read_cells(out / "cells.csv")
    pairs = {int(r["id"]): int(r["imported_id"]) for r in rows(out / "imported_ids.csv")}
    assert sorted(pairs.values()) == table.ids.tolist()
    areas = dict(zip(table.ids.tolist(), table.areas.tolist(), strict=True))
    with open_slide(SLIDE_FILE) as slide:
        owed = [areas[pairs[i]] * slide.mpp**2 for i in cells.id.tolist()]
    np.testing.assert_allclose(cells.area_um2, owed, atol=1e-3)
    assert np.isfinite(cells.features).mean() > 0.95
    given = {int(r["id"]): r["class"] for r in rows(sample_file("classes.csv"))}
    assert [given.get(pairs[i], "") for i in cells.id.tolist()] == cells.class_names

    assert main(["audit", "draw", str(out), "--fields", "3", "--seed", "1"]) == 0
    # once more: what was there is replaced, and said to be
    capsys.readouterr()
    assert main(["import", SLIDE_FILE, LABEL_FILE, "--into", "count", "--out", str(out)]) == 0
    assert f"removed {len(table)} " in capsys.readouterr().out


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_cells_over_tiles_count_once_and_what_is_too_wide_does_not(slide, tmp_path, monkeypatch):
    monkeypatch.setattr("histoprompt.pipelines.exchange.into_count.WIDEST_UM", 60.0)
    monkeypatch.setattr("histoprompt.pipelines.cells.find.TILE_UM", 50.0)
    features = [square(90, 80, 30, "a"), square(95, 190, 12), square(150, 0, 130, "gland")]
    path = written(tmp_path / "x.geojson", features)
    plan = plan_count(slide, read_incoming(slide, path, Task()))
    assert plan.wide == 1
    counted = write_imported_count(slide, plan, tmp_path / "out", Task())
    assert counted.tally.total == 2
    cells = read_cells(tmp_path / "out" / "cells.csv")
    assert sorted(cells.area_um2.tolist()) == [144 * 0.25, 900 * 0.25]
    assert dict(zip(cells.area_um2.tolist(), cells.class_names, strict=True)) == {
        36.0: "",
        225: "a",
    }
    assert any("no cells" in note for note in counted.notes)


def test_an_imported_count_is_kept_to_be_worked_on(slide, tmp_path):
    path = written(tmp_path / "x.geojson", [square(20, 20, 20, "a"), square(60, 60, 20, "b")])
    plan = plan_count(slide, read_incoming(slide, path, Task()))
    work = keep_imported_count(slide, plan, Task())
    assert work.complete
    assert work.cells.class_names == ["a", "b"]
    assert (np.asarray(work.levels[0])[20:40, 20:40] == 1).all()


def test_boxes_of_imported_objects_are_outlined_by_a_model(tmp_path, capsys):
    with open_slide(SLIDE_FILE) as slide:
        table = scan(read_labels(LABEL_FILE), Task())
        some = [0, 5, 9]
        boxes = [table.boxes[i].tolist() for i in some]
        features = [
            {
                "type": "Feature",
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [[[c0, r0], [c1, r0], [c1, r1], [c0, r1], [c0, r0]]],
                },
                "properties": {"classification": "tumor"},
            }
            for r0, c0, r1, c1 in boxes
        ]
        path = written(tmp_path / "boxes.geojson", features)
        command = ["import", SLIDE_FILE, str(path), "--into", "prompts", "--model", "classical"]
        assert main([*command, "--dry-run"]) == 0
        first = capsys.readouterr().out
        assert main(command) == 0
        assert capsys.readouterr().out == first
        with LabelStore.open(store_folder(slide.key), slide.shape, slide.key) as store:
            found = store.objects()
            assert [r.class_name for r in found] == ["tumor"] * 3
            assert all(r.info["outlined by"] == "classical" for r in found)
            truth = read_labels(LABEL_FILE)
            for record, i in zip(found, some, strict=True):
                both = (store.read(record.box) == record.id) & (
                    truth.read(record.box) == table.ids[i]
                )
                assert record.area_px < table.boxes[i, 2:].sum() ** 2
                assert both.sum() > 0.4 * table.areas[i], "a nucleus, not its box"
            store.undo()
            assert not len(store.ids())


def test_points_become_clicks_or_discs_and_are_else_left_out(slide, tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("x,y,class\n100,50,a\n5000,50,a\n")
    bare = read_incoming(slide, path, Task())
    assert bare.centres == ((50.0, 100.0, "a"),)
    assert bare.outside == 1
    discs = read_incoming(slide, path, Task(), ImportParams(point_radius=10.0))
    assert not discs.centres
    assert abs(int(discs.table.areas[0]) - np.pi * 100) < 10
    assert discs.labels.read(Box(41, 91, 60, 110)).any(axis=1).all(), "around row 50, column 100"


def test_files_are_taken_together_or_not_at_all(tmp_path, capsys):
    good = written(tmp_path / "good.geojson", [square(10, 10, 9), square(10, 30, 9, label=7)])
    bad = written(tmp_path / "bad.geojson", [square(50, 10, 9), {"type": "Feature"}])
    command = ["import", SLIDE_FILE, str(good), str(bad)]
    assert main([*command, "--strict"]) == 1
    assert "feature 2" in capsys.readouterr().err
    with open_slide(SLIDE_FILE) as slide:
        folder = store_folder(slide.key), slide.shape, slide.key
        with LabelStore.open(*folder) as store:
            assert not len(store.ids())
        assert main(command) == 0
        assert "added 2 " in capsys.readouterr().out
        with LabelStore.open(*folder) as store:
            assert len(store.ids()) == 3
            store.undo()
            assert not len(store.ids()), "one undo takes all files back"


def test_files_make_one_count(slide, tmp_path):
    from histoprompt.pipelines.exchange.stacked import stacked

    paths = [
        written(tmp_path / "a.geojson", [square(20, 20, 20, "a")]),
        written(tmp_path / "b.geojson", [square(30, 30, 20, "b"), square(100, 100, 20)]),
    ]
    found = stacked([read_incoming(slide, p, Task()) for p in paths], slide.shape, Task())
    assert found.table.areas.tolist() == [300, 400, 400]
    assert [found.classes.of(i) for i in found.table.ids.tolist()] == ["a", "b", ""]


def test_a_file_of_another_slide_is_told(tmp_path, capsys):
    path = written(tmp_path / "far.geojson", [square(90_000, 90_000, 20)])
    assert main(["import", SLIDE_FILE, str(path), "--dry-run"]) == 0
    assert capsys.readouterr().out == "added 0 changed 0 removed 0 outside 1 repaired 0\n"
    assert main(["import", SLIDE_FILE, str(path)]) == 1
    assert "another slide" in capsys.readouterr().err


@pytest.mark.parametrize("into", ["labels", "regions", "count", "prompts"])
def test_a_dry_run_says_what_an_import_does_and_does_nothing(into, tmp_path, capsys):
    crossed = square(100, 100, 20)
    ((a, b, c, d, e),) = crossed["geometry"]["coordinates"]
    crossed["geometry"]["coordinates"] = [[a, c, b, d, e]]
    features = [square(10, 10, 20, "tumor"), square(90_000, 10, 20), crossed]
    path = written(tmp_path / "some.geojson", features)
    command = ["import", SLIDE_FILE, str(path), "--into", into, "--model", "classical"]
    assert main([*command, "--dry-run"]) == 0
    first = capsys.readouterr().out
    assert re.fullmatch(r"added \d+ changed 0 removed 0 outside 1 repaired 1\n", first)
    assert first.startswith("added 2 ") or into == "prompts", "a model may find nothing on glass"
    with open_slide(SLIDE_FILE) as slide:
        assert not _held(slide)
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == first
    if into in ("labels", "regions"):  # once more, moved by half: the same object, changed
        features[0] = square(20, 10, 20, "tumor", label=1)
        written(path, features)
        assert main([*command, "--dry-run"]) == 0
        assert capsys.readouterr().out == "added 0 changed 1 removed 0 outside 1 repaired 1\n"


def _held(slide):
    with LabelStore.open(store_folder(slide.key), slide.shape, slide.key) as store:
        return len(store.ids()) + len(store.on("regions").ids())


def test_regions_lie_on_a_plane_of_their_own_in_the_colours_of_the_file(tmp_path):
    path = written(tmp_path / "regions.geojson", [square(10, 10, 200, "tumor")])
    assert main(["import", SLIDE_FILE, str(path), "--into", "regions"]) == 0
    with open_slide(SLIDE_FILE) as slide:
        folder = store_folder(slide.key), slide.shape, slide.key
        with LabelStore.open(*folder) as store:
            assert not len(store.ids()), "no object among the cells"
            assert store.on("regions").area_of(1) == 40_000
            assert [(c.name, c.colour) for c in store.class_list()] == [("tumor", (1, 2, 3))]
            store.undo()
            assert not len(store.on("regions").ids())
