"""Cells of a count become committed objects and come back; kept counts are read without a model."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely
from skimage.io import imsave

from five_discs import MIDDLES, dark_things, discs
from histoprompt.annotations.store import LabelStore
from histoprompt.cli import main
from histoprompt.core.errors import LabelError
from histoprompt.core.geometry import Box
from histoprompt.core.readers.open import open_slide
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.classes.labelling import LabelHistory
from histoprompt.pipelines.count.bridge import cells_of, from_labels, to_labels
from histoprompt.pipelines.count.corrections import delete_cells
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.count.kept import KeptCount, open_or_run
from histoprompt.pipelines.count.region import count_region
from histoprompt.pipelines.count.stored import find_count, open_count
from histoprompt.pipelines.formats.cell_files import read_cells
from histoprompt.pipelines.formats.regions import Region

pytestmark = pytest.mark.usefixtures("small_windows")

CHOICE = CountChoice(segmenter="classical-cells", tile=64)


@pytest.fixture
def path(monkeypatch, tmp_path):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    imsave(tmp_path / "slide.png", discs(), check_contrast=False)
    return tmp_path / "slide.png"


@pytest.fixture
def work(path) -> KeptCount:
    slide = open_slide(path, mpp=0.25)
    manager = ModelManager("cpu", 100.0, load=dark_things)
    return open_or_run(slide, CHOICE, manager, slide.box, task=Task())


@pytest.fixture
def store(work, tmp_path):
    slide = work.slide
    with LabelStore.open(tmp_path / "labels", slide.shape, slide.key, chunk=64) as opened:
        yield opened


def classified(work: KeptCount):
    """Every second cell is dark."""
    code = (np.arange(len(work.cells)) % 2).astype(np.int16)
    score = np.ones(len(code), np.float32)
    return work.cells.classified(("dark", "pale"), code, score)


def at(labels, row: int, col: int) -> int:
    return int(labels.read(Box(row, col, row + 1, col + 1))[0, 0])


def test_cells_become_objects_of_the_same_pixels_and_class_in_one_edit(work, store):
    cells = classified(work)
    count, change = to_labels(work, cells, store, Task())
    assert count == store.count == len(MIDDLES)
    assert change is not None
    found, made = work.progress.store.read(work.slide.box), store.read(work.slide.box)
    assert np.array_equal(found > 0, made > 0)
    for row, col in MIDDLES:
        cell, number = at(work.progress.store, row, col), at(store, row, col)
        assert np.array_equal(found == cell, made == number)
        assert store.class_of(number) == cells.class_names[work.row_of(cell)]
    assert len(store.history()) == 1
    store.undo()
    assert store.count == 0


def test_objects_that_are_there_keep_their_pixels(work, store):
    (r0, c0), (r1, c1) = MIDDLES[0], MIDDLES[1]
    # on one cell a corner of its square, on another one nearly all of it
    store.write(Box(r0 - 12, c0 - 12, r0 - 6, c0 - 6), np.full((6, 6), 1))
    store.write(Box(r1 - 12, c1 - 12, r1 + 8, c1 + 12), np.full((20, 24), 2))
    before = store.read(work.slide.box)
    count, _ = to_labels(work, work.cells, store, Task())
    assert count == len(MIDDLES) - 1
    after = store.read(work.slide.box)
    assert np.array_equal(after[before > 0], before[before > 0])
    assert at(store, *MIDDLES[1]) == 2


def test_cells_of_a_class_and_of_a_region_are_chosen(work):
    cells = classified(work)
    assert cells_of(cells, "dark").class_names == ["dark"] * 3
    whole = shapely.box(0, 0, 90, 60)  # x, y: the first disc alone
    inside = count_region(work.slide, regions=[Region("corner", whole)], tissue=work.ground.tissue)
    (chosen,) = cells_of(cells, "", inside).id
    assert chosen == at(work.progress.store, *MIDDLES[0])


def test_objects_come_back_as_cells_once(work, store):
    to_labels(work, classified(work), store, Task())
    assert from_labels(work, store, Task()) is None, "all of them are cells already"
    gone = at(work.progress.store, *MIDDLES[2])
    before = work.progress.store.read(work.slide.box) == gone
    delete_cells(work, [gone], Task())
    step = from_labels(work, store, Task())
    (cell,) = step.cells
    now = work.corrected()
    assert np.array_equal(now.progress.store.read(work.slide.box) == cell.id, before)
    assert step.info["names"] == [store.class_of(at(store, *MIDDLES[2]))]
    assert str(now.by_hand) == "corrected by hand: +1 -1"
    assert from_labels(work, store, Task()) is None


def test_regions_and_nothing_are_no_cells(work, store):
    with pytest.raises(LabelError, match="No object is committed"):
        from_labels(work, store, Task())
    delete_cells(work, work.cells.id.tolist(), Task())
    store.write(Box(0, 0, 200, 190), np.full((200, 190), 1))  # 2375 square microns
    assert from_labels(work, store, Task()) is None


def test_a_kept_count_is_listed_and_exported_as_it_was_corrected(work, path, tmp_path, capsys):
    gone = at(work.progress.store, *MIDDLES[0])
    delete_cells(work, [gone], Task())
    history = LabelHistory(work.folder, work.cells)
    labels = {1: "a", 2: "a", 4: "b", 5: "b"}
    now = history.now.with_class("a").with_class("b")
    for cell, name in labels.items():
        now = now.labelled([cell], name)
    history.change(now)
    assert main(["counts", "list", str(path), "--mpp", "0.25"]) == 0
    told = capsys.readouterr().out
    assert f"{work.folder.name[:8]}  4 cells, corrected by hand: +0 -1  classical-cells" in told
    out = tmp_path / "out"
    assert main(["counts", "export", str(path), "--mpp", "0.25", "--out", str(out)]) == 0
    assert (out / "recipe.toml").is_file()
    cells = read_cells(out / "cells.csv")
    assert gone not in cells.id
    assert len(cells) == 4
    kept = {i: n for i, n in zip(cells.id.tolist(), cells.class_names, strict=True) if i in labels}
    assert kept == {i: n for i, n in labels.items() if i != gone}
    assert json.loads((out / "count.json").read_text())["by_hand"]["removed"] == 1
    args = ["--as-found", "--count", work.folder.name[:6], "--out", str(tmp_path / "found")]
    assert main(["counts", "export", str(path), "--mpp", "0.25", *args]) == 0
    assert len(read_cells(tmp_path / "found" / "cells.csv")) == 5
    assert main(["counts", "export", str(path), "--mpp", "0.25", "--count", "zz", *args[3:]]) == 1
    assert "choose one of" in capsys.readouterr().err


def test_a_count_opened_to_be_read_is_the_same(work):
    read = open_count(work.slide, find_count(work.slide), Task())
    assert read.complete
    assert np.array_equal(read.cells.id, work.cells.id)
    assert read.mm2 == pytest.approx(work.mm2)
    assert read.ground.denominator == work.ground.denominator
