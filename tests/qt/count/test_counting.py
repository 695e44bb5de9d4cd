"""Counting and classing without a viewer: what they tell, cancelled, failing and resumed."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from five_discs import DarkThings
from histoprompt._qt.count.controller import Counting
from histoprompt._qt.shell.jobs import Jobs
from histoprompt.core.cell_table import UNSURE
from histoprompt.core.errors import ModelError
from histoprompt.core.labels.classes import cell_colours
from histoprompt.core.slides.slide import Slide
from histoprompt.core.stain.ihc import DabThresholds
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.audit.marks import NOT_A_CELL, AuditMark
from histoprompt.pipelines.classes.labelling import FILE
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.formats.cell_files import read_cells
from waiting import until

pytestmark = pytest.mark.usefixtures("small_windows")

IN_TILES = CountChoice(segmenter="classical-cells", tile=128)
CHOICE = CountChoice(segmenter="classical-cells", tile=384)


def pixels() -> np.ndarray:
    """Discs of radius 7 and 12 in turn on a grid, (256, 384, 3) uint8."""
    image = np.full((256, 384, 3), (235, 205, 220), float)
    rr, cc = np.mgrid[:256, :384]
    for i, row in enumerate(range(24, 250, 40)):
        for j, col in enumerate(range(24, 380, 40)):
            radius = 12 if (i + j) % 2 else 7
            image[(rr - row) ** 2 + (cc - col) ** 2 <= radius**2] = (90, 55, 135)
    noise = np.random.default_rng(5).normal(0, 4, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


SLIDE = Slide.from_arrays("sizes", [pixels()], mpp=0.25)


class Gated(DarkThings):
    """Finds dark things, but only so many times until the gate is opened."""

    def __init__(self, free: int = 10_000) -> None:
        self.free, self.calls, self.gate = free, 0, threading.Event()

    def segment(self, image: np.ndarray) -> np.ndarray:
        self.calls += 1
        if self.calls > self.free:
            self.gate.wait()
        return super().segment(image)

    @property
    def held(self) -> bool:
        """Whether somebody waits at the gate."""
        return self.calls > self.free


class Heard:
    """What a controller told, in its order."""

    def __init__(self, counting: Counting) -> None:
        self.busy: list[bool] = []
        self.texts: list[str] = []
        self.failed: list[str] = []
        self.counted: list[int] = []
        counting.busy.connect(self.busy.append)
        counting.status.connect(self.texts.append)
        counting.failed.connect(self.failed.append)
        counting.counted.connect(lambda: self.counted.append(1))


@pytest.fixture
def jobs(qapp, monkeypatch, tmp_path):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    found = Jobs(notify=lambda _: None)
    yield found
    found.shutdown()


def controller(jobs: Jobs, finder: Gated | None = None) -> tuple[Counting, Heard]:
    model = finder or Gated()
    found = Counting(jobs, ModelManager("cpu", 100.0, load=lambda *_: model))
    return found, Heard(found)


@pytest.fixture
def counted(jobs, qtbot) -> tuple[Counting, Heard]:
    counting, heard = controller(jobs)
    counting.count(SLIDE, CHOICE, SLIDE.box)
    until(lambda: counting.work is not None)
    return counting, heard


def test_a_count_is_told_of_and_found_again(counted, jobs, qtbot):
    counting, heard = counted
    assert heard.busy == [True, False]
    assert heard.counted == [1]
    assert heard.texts[-1].startswith(f"{len(counting.cells)} cells counted.")
    again, _ = controller(jobs, Gated(free=0))
    again.count(SLIDE, CHOICE, SLIDE.box)
    until(lambda: again.work is not None)
    assert len(again.cells) == len(counting.cells)


def test_a_cancelled_count_is_kept_and_goes_on(jobs, qtbot):
    finder = Gated(free=2)
    counting, heard = controller(jobs, finder)
    counting.count(SLIDE, IN_TILES, SLIDE.box)
    until(lambda: finder.held)
    counting.cancel()
    assert heard.texts == ["Cancelling ..."]
    finder.gate.set()
    until(lambda: counting.work is not None)
    part = counting.work
    assert not part.complete
    assert heard.texts[-1].startswith("Partial: ")
    assert heard.busy[-1] is False
    counting.cancel()
    assert heard.texts[-1].startswith("Partial: ")
    counting.count(SLIDE, IN_TILES, SLIDE.box)
    until(lambda: counting.work is not part)
    assert counting.work.complete
    assert counting.work.progress.resumed == len(part.progress.done)


def test_a_count_that_was_let_go_is_not_shown(jobs, qtbot):
    finder = Gated(free=1)
    counting, heard = controller(jobs, finder)
    counting.count(SLIDE, IN_TILES, SLIDE.box)
    until(lambda: finder.held)
    counting.drop()
    finder.gate.set()
    until(lambda: heard.busy[-1] is False)
    assert counting.work is None
    assert heard.counted == [1]


def test_a_count_that_fails_says_why_and_the_one_before_stays(counted, qtbot):
    counting, heard = counted
    work = counting.work

    def broken(*_: object) -> DarkThings:
        raise ModelError("The model is broken.")

    counting._manager = ModelManager("cpu", 100.0, load=broken)
    counting.count(SLIDE, CountChoice(segmenter="classical-cells", tile=200), SLIDE.box)
    until(lambda: heard.busy[-1] is False)
    assert "broken" in heard.texts[-1]
    assert counting.work is work


def test_files_that_cannot_be_written_are_named(counted, qtbot, tmp_path):
    counting, heard = counted
    (tmp_path / "taken").write_text("a file")
    counting.export(tmp_path / "taken" / "out")
    until(lambda: heard.busy[-1] is False)
    assert "taken" in heard.texts[-1]
    counting.export(tmp_path / "out")
    until(lambda: "cells are in" in heard.texts[-1])
    assert len(read_cells(tmp_path / "out" / "cells.csv")) == len(counting.cells)


def test_nothing_is_done_without_a_count(jobs):
    counting, heard = controller(jobs)
    counting.cancel()
    counting.export(Path("nowhere"))
    counting.begin_audit(5, 0)
    assert heard.texts == ["Count some cells first."] * 2
    assert counting.truth == ()
    assert counting.place(1) is None
    assert heard.busy == []


def test_an_audit_counts_what_was_pointed_at_until_classes_change(counted, qtbot, tmp_path):
    counting, heard = counted
    counting.begin_audit(3, 0)
    until(lambda: counting.audit is not None)
    (found,) = counting.truth
    box, cells = counting.audit.box(0), counting.cells
    inside = next(i for i in range(len(cells)) if box.contains(cells.row[i], cells.col[i]))
    on_cell = float(cells.row[inside]), float(cells.col[inside])
    counting.mark((AuditMark(*on_cell, NOT_A_CELL),))
    assert counting.truth == (found - 1,)
    counting.keep_audit(counting.audit.entered(counting.truth))
    counting.export(tmp_path / "a")
    until(lambda: "cells are in" in heard.texts[-1])
    assert (tmp_path / "a" / "audit.csv").exists()
    assert counting.audit.corrected()[0].estimate < len(cells)
    counting.classes.grade(DabThresholds())
    assert counting.outdated
    counting.export(tmp_path / "b")
    until(lambda: "left out" in heard.texts[-1])
    assert not (tmp_path / "b" / "audit.csv").exists()


# -- classes -----------------------------------------------------------------------------------


def test_labels_teach_classes_and_undo_forgets_them(counted, qtbot):
    counting, heard = counted
    classing = counting.classes
    by_area = counting.cells.id[counting.cells.area_um2.argsort()].tolist()
    classing.answer("a")
    assert "No cell is offered" in heard.texts[-1]
    for name, ids in (("small", by_area[:3]), ("large", by_area[-3:])):
        classing.add_class(name)
        classing.label([*ids, 10_000], name)
    until(lambda: classing.fit is not None and len(classing.fit.examples) == 2)
    assert {"small", "large"} <= set(classing.cells.classes)
    assert classing.how.endswith("3 large, 3 small")
    # the status follows the classes that cells have now
    found = classing.cells.counts()
    said = heard.texts[-1]
    assert said.startswith(f"{len(classing.cells)} cells: ")
    for name in ("small", "large"):
        assert f"{found[name]} {name}" in said
    assert classing.suggestion is not None
    # a round of hard negatives, and out of it
    for name in ("small", "large"):
        classing.ask_alike(name)
        why = f"most like your {name}: is it one?"
        until(lambda why=why: classing.suggestion and classing.suggestion.why == why)
    classing.ask_alike("")
    until(lambda: classing.suggestion and "is it one?" not in classing.suggestion.why)
    classing.compare_features()
    until(lambda: "one set of features" in heard.texts[-1])
    for _ in range(4):
        classing.undo()
    until(lambda: classing.fit is None)
    assert classing.cells.classes == ("",)
    assert f"{len(classing.cells)} cells counted." in heard.texts
    assert classing.suggestion is None
    told: list[str] = []
    counting.steps.told.connect(told.append)
    classing.undo()
    assert told == ["There is nothing to take back."]


def test_what_cannot_be_is_said_and_changes_nothing(counted, tmp_path):
    counting, heard = counted
    classing = counting.classes
    classing.add_class("unsure")
    assert "unsure" in heard.failed[-1]
    assert classing.labelling.classes == ()
    classing.save(tmp_path / "mine.safetensors")
    assert "no classifier yet" in heard.texts[-1]
    assert not (tmp_path / "mine.safetensors").exists()


def test_damaged_labels_do_not_keep_a_count_from_being_shown(counted, jobs, qtbot):
    counting, _ = counted
    (counting.work.folder / FILE).write_text("{")
    again, heard = controller(jobs)
    again.count(SLIDE, CHOICE, SLIDE.box)
    until(lambda: again.work is not None)
    assert FILE in heard.failed[-1]
    again.classes.label([1], "a")
    assert heard.texts[-1] == "Count some cells first."


def test_a_missing_classifier_is_named(counted, qtbot):
    counting, heard = counted
    counting.classes.load(Path("nowhere.safetensors"))
    until(lambda: "nowhere" in heard.texts[-1])
    assert counting.classes.how == ""


def test_classes_keep_their_colours_when_they_are_learnt_and_when_others_go(counted, jobs, qtbot):
    """Made as tumour, lymphocyte; learnt classes are sorted by name, colours are not."""
    counting, _ = counted
    alone = cell_colours(["tumour", "lymphocyte"])
    tumour, lymphocyte = alone["tumour"], alone["lymphocyte"]
    classing = counting.classes
    classing.add_class("tumour")
    classing.add_class("lymphocyte")
    large = np.argsort(counting.cells.area_um2)
    classing.label(counting.cells.id[large[-3:]].tolist(), "tumour")
    classing.label(counting.cells.id[large[:3]].tolist(), "lymphocyte")
    until(lambda: len(counting.cells.classes) == 3)

    def colours() -> dict[str, object]:
        return cell_colours(counting.cells.classes, counting.cells.palette)

    assert list(counting.cells.classes) == ["lymphocyte", "tumour", UNSURE]
    assert (colours()["tumour"], colours()["lymphocyte"]) == (tumour, lymphocyte)
    classing.remove_class("tumour")
    classing.add_class("a new one")
    assert colours()["lymphocyte"] == lymphocyte
    classing.undo()
    classing.undo()
    assert colours()["tumour"] == tumour
    again, _ = controller(jobs)
    again.count(SLIDE, CHOICE, SLIDE.box)
    until(lambda: again.work is not None)
    found = cell_colours(["lymphocyte", "tumour"], again.cells.palette)
    assert (found["tumour"], found["lymphocyte"]) == (tumour, lymphocyte)
    assert again.cells.palette[2] == "a new one"
