"""Counting a slide into a folder: the same count whatever the tiles, and nothing is done twice."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

import dark_discs
from dark_discs import (
    CENTRES,
    PLAIN,
    SLIDE,
    TRUTH,
    WINDOWED,
    Stop,
    job,
    table,
)
from histoprompt.core.errors import ExportError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.audit.estimate import TOTAL, Corrected
from histoprompt.pipelines.cells.stains import stains_of
from histoprompt.pipelines.count.files import write_counts
from histoprompt.pipelines.count.region import count_region
from histoprompt.pipelines.count.result_folders import free_folder
from histoprompt.pipelines.count.run import UNFINISHED, count_cells
from histoprompt.pipelines.count.slide import count_slide
from histoprompt.pipelines.count.tally import TallyRow
from histoprompt.pipelines.formats.geojson import read_geojson
from histoprompt.pipelines.formats.regions import read_regions


@settings(max_examples=12, deadline=None)
@given(
    tile=st.integers(64, 700),
    shift=st.tuples(st.integers(0, 90), st.integers(0, 90)),
    card=st.sampled_from([WINDOWED, PLAIN]),
)
def test_the_cells_do_not_depend_on_tiles_or_origin(tmp_path_factory, tile, shift, card):
    inner = Box(100, 110, 400, 520)
    region = Box(inner.r0 - shift[0], inner.c0 - shift[1], inner.r1, inner.c1)
    folder = tmp_path_factory.mktemp("count")
    count_slide(SLIDE, job(card, tile), folder, Task(), box=region)
    cells = table(folder)
    found = {
        (r, c) for r, c in zip(cells.row, cells.col, strict=True) if inner.contains(r, c)
    }  # fmt: skip
    truth = {(round(r, 2), round(c, 2)) for r, c in CENTRES if inner.contains(r, c)}
    assert found == truth
    labels = tifffile.imread(folder / "labels.tif")
    assert labels.shape == region.shape
    assert sorted(np.unique(labels[labels > 0])) == sorted(cells.id)


def test_all_files_agree(tmp_path):
    counted = count_slide(SLIDE, job(), tmp_path, Task())
    n = len(CENTRES)
    assert counted.complete
    assert counted.tally.total == n
    cells, labels = table(tmp_path), tifffile.imread(tmp_path / "labels.tif")
    assert np.array_equal(cells.id, np.arange(1, n + 1))
    areas = np.bincount(labels.ravel())[1:]
    assert np.allclose(cells.area_um2, areas * 0.25**2, atol=1e-3)
    assert np.array_equal(labels > 0, TRUTH > 0)
    columns = pq.read_table(tmp_path / "cells.parquet")
    assert columns.column_names[:6] == ["id", "row", "col", "area_um2", "class", "score"]
    assert columns.column_names[6:] == list(cells.feature_names)
    assert np.allclose(columns["row"].to_numpy(), cells.row, atol=0.01)
    back = read_geojson(tmp_path / "cells.geojson", SLIDE.shape)
    assert np.array_equal(back.labels.read(SLIDE.box), labels)
    first = json.loads((tmp_path / "cells.geojson").read_text())["features"][0]
    assert first["properties"]["objectType"] == "detection"
    assert first["properties"]["measurements"]["Area µm^2"] == pytest.approx(cells.area_um2[0])
    (line,) = csv.DictReader((tmp_path / "counts.csv").open())
    assert (line["class"], int(line["count"]), line["complete"]) == ("all", n, "yes")
    density = n / float(line["analysed_mm2"])
    assert float(line["per_mm2"]) == pytest.approx(density, rel=1e-4)
    page = (tmp_path / "report.html").read_text()
    assert f"{n:,}" in page
    assert "Partial" not in page
    assert page.count("data:image/png") == 2
    assert "http" not in page.replace("http-equiv", "")
    assert not (tmp_path / UNFINISHED).exists()


def test_a_cancelled_count_is_marked_and_goes_on(tmp_path):
    count_slide(SLIDE, job(), tmp_path / "whole", Task())
    folder = tmp_path / "part"
    part = count_slide(SLIDE, job(), folder, Stop(7))
    assert (part.done, part.complete) == (7, False)
    assert 0 < part.tally.total < len(CENTRES)
    assert len(table(folder)) == part.tally.total
    (line,) = csv.DictReader((folder / "counts.csv").open())
    assert line["complete"] == "no"
    assert float(line["analysed_mm2"]) < 0.5 * SLIDE.box.area * 0.25**2 / 1e6
    assert "Partial" in (folder / "report.html").read_text()
    rest = count_slide(SLIDE, job(), folder, Task())
    assert rest.complete
    assert "7 tiles" in rest.notes[0]
    for name in ("cells.csv", "counts.csv"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    pixels = [tifffile.imread(tmp_path / f / "labels.tif") for f in ("whole", "part")]
    assert np.array_equal(*pixels)


class StopAt(Task):
    """Cancels itself the n-th time that it is asked while cells are counted."""

    def __init__(self, nth: int) -> None:
        super().__init__(self._watch)
        self.left = nth

    def _watch(self, progress: object) -> None:
        self.left -= progress.text.startswith("Counting")
        if not self.left:
            self.cancel()


def test_wherever_a_count_is_cancelled_what_is_drawn_is_counted_and_the_rest_follows(tmp_path):
    """A cancel acts in the middle of a tile, and leaves nothing of that tile behind."""
    ground = count_region(SLIDE, SLIDE.box)
    dyes = stains_of(SLIDE, ground.tissue, SLIDE.box)
    middles, nth, ended = set(), 0, False
    while not ended:
        nth += 2
        folder, task = tmp_path / str(nth), StopAt(nth)
        part = count_cells(SLIDE, ground, dyes, job(tile=310), folder=folder, task=task)
        ended = part.complete
        with part.store:
            drawn = np.unique(np.asarray(part.store.labels[:]))
            assert drawn.max() == len(part.store)
        middles.add(len(part.done))
        with count_cells(SLIDE, ground, dyes, job(tile=310), folder=folder, task=Task()).store as s:
            assert np.array_equal(np.asarray(s.labels[:]) > 0, TRUTH > 0)
    assert middles == {0, 1, 2, 3, 4}


def test_between_a_tile_s_cells_and_their_numbers_a_cancel_is_heard(tmp_path):
    """Fitting, shape, dyes and texture each take a moment: asked before and after each."""
    asked: list[str] = []

    class Asked(Task):
        def repeat(self) -> None:
            asked.extend(f.name for f in traceback.extract_stack(limit=3)[:-1])
            super().repeat()

    ground = count_region(SLIDE, SLIDE.box)
    dyes = stains_of(SLIDE, ground.tissue, SLIDE.box)
    count_cells(SLIDE, ground, dyes, job(tile=700), folder=tmp_path, task=Asked()).store.close()
    assert asked.count("measure") == 2
    assert {"count", "_features", "_found"} <= set(asked)


def test_other_settings_start_anew_and_say_so(tmp_path):
    count_slide(SLIDE, job(), tmp_path, Stop(3))
    again = count_slide(SLIDE, job(weights="other"), tmp_path, Task())
    assert again.complete
    assert "other settings" in again.notes[0]
    assert again.tally.total == len(CENTRES)


KILLED = """
import os, signal, sys
sys.path[:0] = [{tests!r}]
import dark_discs as t
from histoprompt.core.task import Task
from histoprompt.pipelines.count.slide import count_slide
from pathlib import Path
def watch(progress):
    if progress.done >= 5:
        os.kill(os.getpid(), signal.SIGKILL)
count_slide(t.SLIDE, t.job(), Path({folder!r}), Task(watch))
"""


def test_a_killed_count_goes_on(tmp_path):
    tests = str(Path(dark_discs.__file__).parent)
    script = KILLED.format(tests=tests, folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert done.returncode == -9, done.stderr.decode()
    assert [p.name for p in tmp_path.iterdir()] == [UNFINISHED]
    # what a kill leaves in the middle of a tile: records without their line, labels too
    with (tmp_path / UNFINISHED / "cells.bin").open("ab") as file:
        file.write(b"torn")
    with (tmp_path / UNFINISHED / "tiles.jsonl").open("ab") as file:
        file.write(b'{"tile": [0')
    counted = count_slide(SLIDE, job(), tmp_path, Task())
    assert "5 tiles" in counted.notes[0]
    assert counted.tally.total == len(CENTRES)
    assert len(table(tmp_path)) == len(CENTRES)


def test_a_full_disk_keeps_what_was_counted(tmp_path, monkeypatch):
    real, log = os.fsync, tmp_path / ".unfinished" / "tiles.jsonl"

    def full(handle: int) -> None:
        if log.exists() and log.read_bytes().count(b"\n") > 2:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ExportError, match="no room"):
        count_slide(SLIDE, job(), tmp_path, Task())
    monkeypatch.undo()
    counted = count_slide(SLIDE, job(), tmp_path, Task())
    assert "tiles that were done before" in counted.notes[0]
    assert counted.tally.total == len(CENTRES)


def test_drawn_regions_are_counted_one_by_one(tmp_path):
    def square(name: str, r0: int, c0: int, r1: int, c1: int) -> dict[str, object]:
        ring = [[c0, r0], [c1, r0], [c1, r1], [c0, r1], [c0, r0]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        return {"type": "Feature", "geometry": geometry, "properties": {"name": name}}

    drawn = [square("left", 50, 50, 300, 250), square("right", 50, 200, 300, 600)]
    path = tmp_path / "regions.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": drawn}))
    regions = read_regions(path, SLIDE.shape)
    count_slide(SLIDE, job(), tmp_path / "out", Task(), regions=regions)
    lines = {x["region"]: x for x in csv.DictReader((tmp_path / "out" / "counts.csv").open())}

    def within(c0: float, c1: float) -> int:
        r, c = CENTRES.T + 0.5
        return int(((r >= 50) & (r < 300) & (c >= c0) & (c < c1)).sum())

    counts = {name: int(line["count"]) for name, line in lines.items()}
    assert counts == {"all": within(50, 600), "left": within(50, 250), "right": within(200, 600)}
    assert float(lines["left"]["region_mm2"]) == pytest.approx(250 * 200 * 0.25**2 / 1e6)
    assert float(lines["all"]["region_mm2"]) == pytest.approx(250 * 550 * 0.25**2 / 1e6)


def test_cells_that_are_mostly_taken_are_the_same_cell(tmp_path):
    ground = count_region(SLIDE, SLIDE.box)
    dyes = stains_of(SLIDE, ground.tissue, SLIDE.box)
    folder = tmp_path / "a"
    progress = count_cells(SLIDE, ground, dyes, job(), folder=folder, task=Stop(4))
    store = progress.store
    before = len(store)
    labels, box = TRUTH.astype(np.int32), SLIDE.box
    drawn, kept = store.draw(labels, box)
    assert kept.sum() == TRUTH.max() - before
    assert drawn.max() == kept.sum()


def test_an_audit_adds_its_interval(tmp_path):
    lines = tuple(TallyRow(p, n, 10, 0.5, 2.0, 3.0) for p in ("all", "left") for n in ("all", "a"))
    audit = [Corrected("a", 10, 12.0, 9.5, 14.5, 8), Corrected(TOTAL, 10, 20.0, None, None, 3)]
    path = tmp_path / "counts.csv"
    write_counts(path, lines, denominator="tissue", complete=True, corrected=audit)
    rows = list(csv.DictReader(path.open()))
    found = [(r["estimate"], r["low"], r["high"]) for r in rows]
    assert found == [("20.0", "", ""), ("12.0", "9.5", "14.5"), ("", "", ""), ("", "", "")]
    assert {r["per_mm2"] for r in rows} == {"5"}


def test_a_slide_of_glass_is_refused(tmp_path):
    glass = Slide.from_arrays("empty", [np.full((900, 900, 3), 244, np.uint8)], mpp=0.5)
    with pytest.raises(RegionError, match="no tissue"):
        count_slide(glass, job(), tmp_path, Task())
    counted = count_slide(glass, job(), tmp_path, Task(), box=Box(0, 0, 200, 200))
    assert counted.tally.total == 0
    assert "No tissue" in counted.notes[0]


def test_a_slide_of_several_levels_is_no_picture(tmp_path):
    pixels = np.full((1200, 1200, 3), 244, np.uint8)
    pixels[200:1000, 200:1000] = SLIDE.read(Box(0, 0, 400, 400), (800, 800))[0]
    slides = [
        Slide.from_arrays("s", levels, mpp=0.5) for levels in ([pixels], [pixels, pixels[::2, ::2]])
    ]
    picture, slide = (count_region(s) for s in slides)
    assert picture.user_drawn
    assert not slide.user_drawn
    assert not slide.meets(Box(0, 0, 60, 60))
    assert slide.analysed_mm2() < picture.region_mm2()


def test_slides_of_one_name_get_folders_of_their_own(tmp_path):
    count_slide(SLIDE, job(), tmp_path / "slide", Task(), box=Box(0, 0, 150, 150))
    assert free_folder(tmp_path, "slide", SLIDE.key) == tmp_path / "slide"
    assert free_folder(tmp_path, "slide", "another") == tmp_path / "slide-2"
    taken = [tmp_path / "slide"]
    assert free_folder(tmp_path, "slide", SLIDE.key, taken) == tmp_path / "slide-2"


def test_a_picture_of_one_cell_is_counted_whole_and_one_of_glass_is_refused():
    image = np.full((400, 400, 3), 240, np.uint8)
    with pytest.raises(RegionError, match="holds no tissue"):
        count_region(Slide.from_arrays("glass", [image], mpp=0.25))
    image[190:212, 80:102] = (120, 80, 150)
    found = count_region(Slide.from_arrays("cell", [image], mpp=0.25))
    assert found.user_drawn
    assert found.counts(np.array([[200.0, 90.0]])).all()
    levels = [image, image[::4, ::4]]
    with pytest.raises(RegionError, match="holds no tissue"):
        count_region(Slide.from_arrays("slide", levels, mpp=0.25))
