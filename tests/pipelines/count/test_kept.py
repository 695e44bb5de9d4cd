"""A count that is worked on: kept, taken up again, classified, audited and written."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from five_discs import dark_things
from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import LabelError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.classes.active_learning import Suggestion
from histoprompt.pipelines.classes.classifier_file import write_classifier
from histoprompt.pipelines.classes.labelling import FILE, LabelHistory, Labelling, read_labelling
from histoprompt.pipelines.classes.lesson import hint, learn
from histoprompt.pipelines.classes.step import ClassifyParams
from histoprompt.pipelines.classes.train_params import TrainParams
from histoprompt.pipelines.count import audit as count_audit
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.count.kept import (
    CountFindings,
    KeptCount,
    lines_of,
    open_or_run,
    waiting,
    write_work,
)
from histoprompt.pipelines.count.pyramid import label_pyramid
from histoprompt.pipelines.count.report_step import ReportParams
from histoprompt.pipelines.count.store import CountStore, TileLogHeader
from histoprompt.pipelines.count.store_files import record_type
from histoprompt.pipelines.formats.cell_files import read_cells
from histoprompt.pipelines.recipes.step import StepInput, step

pytestmark = pytest.mark.usefixtures("small_windows")

CHOICE = CountChoice(segmenter="classical-cells", tile=128)
RNG = np.random.default_rng(5)


def two_sizes() -> np.ndarray:
    """Discs of radius 7 and 12 in turn on a grid, (480, 640, 3) uint8."""
    image = np.full((480, 640, 3), (235, 205, 220), float)
    rr, cc = np.mgrid[:480, :640]
    for i, row in enumerate(range(30, 460, 40)):
        for j, col in enumerate(range(30, 620, 40)):
            radius = 12 if (i + j) % 2 else 7
            image[(rr - row) ** 2 + (cc - col) ** 2 <= radius**2] = (90, 55, 135)
    return np.clip(image + RNG.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


SLIDE = Slide.from_arrays("sizes", [two_sizes()], mpp=0.25)


@pytest.fixture(scope="module")
def manager() -> ModelManager:
    return ModelManager("cpu", 100.0, load=dark_things)


@pytest.fixture
def home(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def work(home, manager) -> KeptCount:
    return open_or_run(SLIDE, CHOICE, manager, SLIDE.box, task=Task())


def by_size(cells: CellTable, each: int) -> dict[int, str]:
    order = np.argsort(cells.area_um2)
    small = {int(cells.id[i]): "small" for i in order[:each]}
    return small | {int(cells.id[i]): "large" for i in order[-each:]}


def test_a_finished_count_is_taken_up_at_once(work, manager):
    assert work.complete
    assert len(work.cells) > 100
    again = open_or_run(SLIDE, CHOICE, manager, SLIDE.box, task=Task())
    assert again.folder == work.folder
    assert again.progress.resumed == again.progress.total
    assert np.array_equal(again.cells.id, work.cells.id)


def test_another_region_is_another_count(work, manager):
    other = open_or_run(SLIDE, CHOICE, manager, Box(0, 0, 200, 200), task=Task())
    assert other.folder != work.folder
    assert (work.folder / ".unfinished").is_dir()


def test_a_cancelled_count_is_kept_and_goes_on(home, manager):
    class Stop(Task):
        def step(self, done: int, total: int, text: str = "", unit: str = "") -> None:
            if text.startswith("Counting") and done >= 3:
                self.cancel()
            super().step(done, total, text, unit)

    part = open_or_run(SLIDE, CHOICE, manager, SLIDE.box, task=Stop())
    assert not part.complete
    assert len(part.cells) > 0
    assert part.mm2[1] < SLIDE.box.area * 0.25**2 / 1e6
    whole = open_or_run(SLIDE, CHOICE, manager, SLIDE.box, task=Task())
    assert whole.complete
    assert whole.progress.resumed == len(part.progress.done)
    with pytest.raises(RegionError, match="Finish the count"):
        count_audit.start_audit(part, part.cells, 5, 0, task=Task())


def test_what_is_missing_of_a_partial_count_is_known(home, manager):
    choice = CountChoice(segmenter="classical-cells", tile=128)

    class Stop(Task):
        def step(self, done: int, total: int, text: str = "", unit: str = "") -> None:
            if text.startswith("Counting") and done >= 3:
                self.cancel()
            super().step(done, total, text, unit)

    part = open_or_run(SLIDE, choice, manager, SLIDE.box, task=Stop())
    mask, frame = waiting(part), part.ground.tissue.frame
    missing = mask.sum() * frame.scale[0] * frame.scale[1]
    done = sum(box.area for box in part.progress.done)
    assert missing == pytest.approx(SLIDE.box.area - done, rel=0.05)
    whole = open_or_run(SLIDE, choice, manager, SLIDE.box, task=Task())
    assert not waiting(whole).any()


def test_files_hold_the_classes_of_now(work, home):
    labels = by_size(work.cells, 5)
    review = given_labels(labels).review
    lesson = learn(work.cells, None, TrainParams(), review, task=Task())
    cells = lesson.fit.cells
    findings = CountFindings("learnt", classifier=lesson.fit.classifier)
    counted = write_work(work, cells, home / "out", findings, task=Task())
    table = read_cells(home / "out" / "cells.csv")
    assert table.class_names == cells.class_names
    assert counted.tally.total == len(cells)
    made = json.loads((home / "out" / "count.json").read_text())
    assert made["classifier"] == "learnt"
    page = (home / "out" / "report.html").read_text()
    assert "learnt" in page
    assert page.index("Counts that allow for mistakes") > page.index('id="audit"')
    methods = made["result"]["methods"]
    assert {m["name"] for m in methods} == set(lesson.fit.classifier.classes)
    for way in ("counted", "adjusted", "expected"):
        assert sum(m[way] for m in methods) == pytest.approx(len(cells), abs=0.1)
    # the steps of a recipe tell the same: cells classified by a file, and the page with them
    write_classifier(home / "mine.hpc", lesson.fit.classifier)
    (home / "steps").mkdir()
    write_work(work, work.cells, home / "steps" / "count", CountFindings(), task=Task())
    given = StepInput(SLIDE, home / "steps", ModelManager("cpu"), Task())
    classify = ClassifyParams(home / "mine.hpc")
    step("classify").run(given, classify, home / "steps" / "classify")
    step("report").run(given, ReportParams(), home / "steps" / "report")
    again = (home / "steps" / "report" / "report.html").read_text()
    assert "Counts that allow for mistakes" in again
    assert "Counts that allow" not in (home / "steps" / "count" / "report.html").read_text()
    image = tifffile.imread(home / "out" / "labels.tif")
    assert set(np.unique(image)) == {0, *cells.id.tolist()}
    with (home / "out" / "counts.csv").open() as file:
        rows = {r["class"]: int(r["count"]) for r in csv.DictReader(file)}
    assert rows == {line.name: line.count for line in lines_of(work, cells)}
    assert work.progress.store.table().classes == ("",)


def given_labels(labels: dict[int, str]) -> Labelling:
    found = Labelling()
    for name in sorted(set(labels.values())):
        found = found.with_class(name).labelled([i for i, n in labels.items() if n == name], name)
    return found


def test_three_labels_tell_large_from_small(work):
    review = given_labels(by_size(work.cells, 3)).review
    lesson = learn(work.cells, None, TrainParams(), review, task=Task())
    large = work.cells.area_um2 > 20
    names = np.array(lesson.fit.cells.class_names)
    sure = names != "unsure"
    assert sure.mean() > 0.5
    assert (names[sure] == np.where(large, "large", "small")[sure]).mean() > 0.95
    assert lesson.suggestion is not None
    assert lesson.suggestion.id not in by_size(work.cells, 3)
    assert "help" in hint(review, lesson.fit)
    forest = TrainParams(method="forest")
    again = learn(work.cells, lesson.trainer, forest, review, task=Task())
    assert again.trainer is lesson.trainer
    assert again.fit.classifier.method == "forest"


# -- what a person said ------------------------------------------------------------------------


def table(n: int) -> CellTable:
    return CellTable(np.arange(1, n + 1), *np.zeros((3, n)))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("label"), st.integers(1, 9), st.sampled_from("ab")),
        st.tuples(st.sampled_from(["undo", "redo"]), st.just(0), st.just("")),
        st.tuples(st.sampled_from("aru"), st.integers(1, 9), st.sampled_from("ab")),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
def test_what_was_said_is_on_disk_after_every_step(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("labels")
    history = LabelHistory(folder, table(9))
    history.change(history.now.with_class("a").with_class("b"))
    for what, cell, name in steps:
        if what == "label":
            history.change(history.now.labelled([cell], name))
        elif what in "aru":
            offered = Suggestion(cell, 0.0, 0.0, name, 0.5, "torn")
            history.change(history.now.answered(offered, what))
        else:
            getattr(history, what)()
        assert read_labelling(folder / FILE, table(9)) == history.now


def test_undo_walks_back_to_the_beginning(tmp_path):
    history = LabelHistory(tmp_path, table(4))
    seen = [history.now]
    for change in (
        history.now.with_class("a"),
        history.now.with_class("a").labelled([2], "a"),
    ):
        history.change(change)
        seen.append(history.now)
    assert history.undo()
    assert history.now == seen[1]
    assert history.redo()
    assert history.now == seen[2]
    assert history.undo()
    assert history.undo()
    assert not history.undo()
    assert history.now == seen[0]


def test_labels_of_cells_that_are_gone_are_left_out(tmp_path):
    history = LabelHistory(tmp_path, table(9))
    history.change(history.now.with_class("a").labelled([2, 8], "a"))
    assert LabelHistory(tmp_path, table(5)).now.review.labels == {2: "a"}


@pytest.mark.parametrize("text", ["", "[]", '{"format": 9}', '{"format": 1, "labels": 3}'])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(LabelError, match="labels_given"):
        LabelHistory(tmp_path, table(3))


@pytest.mark.parametrize("name", ["", "  ", "unsure", "a"])
def test_names_that_cannot_be_classes(name):
    with pytest.raises(LabelError):
        Labelling(("a",)).with_class(name)


def test_a_removed_class_takes_its_labels_along():
    found = given_labels({1: "a", 2: "b"}).without_class("a")
    assert found.classes == ("b",)
    assert found.counts() == {"b": 1}


# -- audit -------------------------------------------------------------------------------------


def test_an_audit_is_kept_and_corrects(work, tmp_path):
    audit = count_audit.start_audit(work, work.cells, 4, 1, task=Task())
    while not audit.finished:
        truth = [n + 1 for n in audit.found(len(audit.seen))]
        audit = audit.entered(truth)
        count_audit.save_audit(tmp_path, audit)
    found = count_audit.load_audit(tmp_path)
    assert found.seen == audit.seen
    (total,) = found.corrected()
    assert total.estimate > len(work.cells)
    assert found.box(0) == audit.box(0)
    count_audit.write_audit_table(tmp_path / "audit.csv", found)
    assert len((tmp_path / "audit.csv").read_text().splitlines()) == 2
    assert audit.taken_back().entered(audit.seen[-1]).seen == audit.seen


def test_a_damaged_audit_is_named(tmp_path):
    assert count_audit.load_audit(tmp_path) is None
    (tmp_path / count_audit.FILE).write_text("{}")
    with pytest.raises(LabelError, match="audit"):
        count_audit.load_audit(tmp_path)


# -- the pyramid -------------------------------------------------------------------------------


def test_reduced_labels_lie_where_the_cells_do(tmp_path):
    """Pixel (r, c) of the i-th copy covers the level-0 pixels [r, r + 1) x 2^i of the region."""
    region = Box(7, 9, 7 + 1700, 9 + 2300)
    store = CountStore(tmp_path, region, {})
    at = np.argwhere(np.ones((9, 12), bool)) * 24 + 15
    at = at + np.random.default_rng(0).integers(-3, 4, at.shape)
    rows, cols = np.indices((230, 310))
    labels = np.zeros((230, 310), np.int32)
    for value, (r, c) in enumerate(at, start=1):
        labels[(rows - r) ** 2 + (cols - c) ** 2 <= 8**2] = value
    box = Box(420, 430, 650, 740)
    store.draw(labels, box)
    store.append((0, 0), np.zeros(len(at), record_type(0)), TileLogHeader(), box)
    levels = label_pyramid(store, Task())
    assert [level.shape for level in levels] == [(1700, 2300), (850, 1150), (425, 575)]
    for i, level in enumerate(levels):
        shown = np.asarray(level[:])
        middles = np.array([np.argwhere(shown == v).mean(axis=0) for v in range(1, len(at) + 1)])
        moved = (middles + 0.5) * 2**i - 0.5 + (7, 9) - at - (420, 430)
        assert np.abs(moved.mean(axis=0)).max() < 0.08 * 2**i
        assert (shown > 0).sum() * 4**i == pytest.approx((labels > 0).sum(), rel=0.05)


def test_a_new_count_in_the_place_of_another_shows_no_copy_of_the_old_one(tmp_path):
    """As many cells as before, elsewhere: the copies of the first count must be gone."""
    region = Box(0, 0, 2100, 2100)
    for corner in (40, 1600):
        with CountStore(tmp_path / "count", region, {"corner": corner}) as store:
            box = Box(corner, corner, corner + 20, corner + 20)
            store.draw(np.ones((20, 20), np.int32), box)
            store.append((0, 0), np.zeros(1, record_type(0)), TileLogHeader(), box)
            _, half, quarter = (np.asarray(level[:]) for level in label_pyramid(store, Task()))
        assert np.argwhere(half).min() == corner // 2
        assert np.argwhere(quarter).min() == corner // 4
    store.remove()
    assert not (tmp_path / "count").exists()


def test_two_windows_keep_each_others_labels(tmp_path):
    one, two = LabelHistory(tmp_path, table(9)), LabelHistory(tmp_path, table(9))
    one.change(one.now.with_class("a"))
    two.change(two.now.with_class("b"))
    one.change(one.now.labelled([1, 2], "a"))
    two.change(two.now.labelled([3], "b"))
    one.change(one.now.labelled([4], "a"))
    assert LabelHistory(tmp_path, table(9)).now.review.labels == {1: "a", 2: "a", 3: "b", 4: "a"}
    assert one.now.classes == ("a", "b")
    two.undo()  # its own
    assert one.undo()
    assert LabelHistory(tmp_path, table(9)).now.review.labels == {1: "a", 2: "a"}
    one.redo()
    two.redo()
    assert LabelHistory(tmp_path, table(9)).now.review.labels == {1: "a", 2: "a", 3: "b", 4: "a"}
    one.change(one.now.without_class("b"))
    now = LabelHistory(tmp_path, table(9)).now
    assert (now.classes, now.review.labels) == (("a",), {1: "a", 2: "a", 4: "a"})


def test_another_way_to_find_cells_counts_anew_and_keeps_what_was_said(home, manager, monkeypatch):
    first = open_or_run(SLIDE, CHOICE, manager, SLIDE.box, task=Task())
    assert first.notes == ()
    LabelHistory(first.folder, first.cells).change(Labelling(("a",)).labelled([1], "a"))
    monkeypatch.setattr("histoprompt.pipelines.cells.tile_context.HALO_UM", 25.0)
    second = open_or_run(SLIDE, CHOICE, manager, SLIDE.box, task=Task())
    assert second.folder == first.folder
    assert second.progress.resumed == 0
    assert "counted anew" in second.notes[0]
    assert "labels_given.json-1" in second.notes[0]
    assert (first.folder / "labels_given.json-1").is_file()
    assert LabelHistory(second.folder, second.cells).now == Labelling()
