"""The Text dock's one button: words, regions, cells in them, classes, counts, and their review."""

from __future__ import annotations

import csv
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from histoprompt import cli
from histoprompt._qt.count.dock import CountDock
from histoprompt._qt.count.layers import CELLS
from histoprompt._qt.layers.make import box_vertices
from histoprompt._qt.shell.docks import open_dock
from histoprompt._qt.shell.drawn_area import DrawnArea
from histoprompt._qt.text.dock import TextDock
from histoprompt.core.cell_table import UNSURE
from histoprompt.core.geometry import Box
from histoprompt.core.slides.sample import SLIDE, sample_file
from histoprompt.pipelines.cells import find as find_cells
from histoprompt.pipelines.embedding.tiles import EmbedJob
from histoprompt.pipelines.formats.cell_files import read_cells

pytestmark = [pytest.mark.gui, pytest.mark.usefixtures("small_windows")]

# One tile of tumour above one of stroma.
PART = Box(1792, 1024, 2304, 1280)
WORDS = ("tumour", "stroma")
CLASSES = ("tumour", "lymphocyte")


@pytest.fixture
def text(text_dock) -> TextDock:
    """The Text dock with a part of the slide drawn, words and classes typed."""
    text_dock.area._draw.click()
    image = text_dock.annotator.image
    DrawnArea(text_dock.viewer, image).layer.add_rectangles(box_vertices(PART))
    text_dock.words.set_value(WORDS)
    text_dock.cells.choose("classical-cells")
    text_dock.cells._words.setText(", ".join(CLASSES))
    return text_dock


def idle(dock: TextDock) -> bool:
    return not dock.control.batch.active


def press(dock: TextDock, until) -> None:
    dock.cells._all.click()
    until(lambda: idle(dock))


def rows(dock: TextDock) -> list[tuple[str, ...]]:
    shown = dock.cells._table
    return [
        tuple(shown.item(row, column).text() for column in range(4))
        for row in range(shown.rowCount())
    ]


def command(out: Path, *more: str) -> list[dict[str, str]]:
    """The counts that `histoprompt score --count` writes for the same words."""
    words = [part for word in WORDS for part in ("--text", word)]
    classes = [part for word in CLASSES for part in ("--cell-text", word)]
    where = ("--region", ",".join(str(round(v)) for v in PART), "--device", "cpu")
    counting = ("--count", "--segmenter", "classical-cells", *classes)
    slide = str(sample_file(SLIDE))
    assert cli.main(["score", slide, *words, *where, *counting, *more, "--out", str(out)]) == 0
    with (out / "region_counts.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_press_gives_the_counts_of_the_command(text, until, monkeypatch, tmp_path):
    texts: list[str] = []
    text.control.batch.progress.connect(lambda progress: texts.append(progress.text))
    press(text, until)
    assert text.control.work.texts == WORDS
    assert any("Looking at" in told for told in texts)
    assert "named by words" in text._status.text()
    assert "tumour 0.50, stroma 0.50" in text.cells._note.text()
    shown = rows(text)
    text.control.regions.export(tmp_path / "dock")
    until(lambda: "written to" in text._status.text())
    with (tmp_path / "dock" / "region_counts.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "other"))
    assert written == command(tmp_path / "command")
    assert [row[:3] for row in shown] == [
        (row["region"], row["class"], f"{int(row['cells']):,}") for row in written
    ]
    assert {row["region"].split()[0] for row in written} == set(WORDS)
    assert sum(int(row["cells"]) for row in written) > 20


def test_another_threshold_counts_anew_without_looking_again(text, until, monkeypatch, tmp_path):
    press(text, until)
    first = rows(text)
    text.calibration._slider.setValue(0.97)
    assert "Changed since for stroma" in text.cells._note.text()
    assert rows(text) == first
    monkeypatch.setattr(EmbedJob, "embed", None)
    press(text, until)
    assert rows(text) != first
    assert "stroma 0.97" in text.cells._note.text()
    assert "Changed" not in text.cells._note.text()
    assert text.control.work.is_manual("stroma")
    text.calibration._reset.click()
    press(text, until)
    assert rows(text) == first


def test_its_count_is_the_one_of_the_other_docks(text, until, tmp_path):
    press(text, until)
    counting = text.control.counting
    assert counting.work.ground.regions
    assert counting.cells.classes == (*CLASSES, UNSURE)
    points = next(la for la in text.viewer.layers if la.name == "region_cells")
    assert points.visible
    text.cells._review.click()
    count = open_dock(text.viewer, "Count")
    assert count.tabs.currentWidget().content is count.classes
    layer = text.viewer.layers[CELLS]
    assert text.viewer.layers.selection.active is layer
    assert not points.visible
    assert layer.features["class"].tolist() == counting.cells.class_names
    table = open_dock(text.viewer, "Cells", area="bottom")
    assert table.model.rowCount() == len(counting.cells)
    assert {count.counts._rows.item(row, 0).text() for row in range(4)} >= set(CLASSES)
    count.files.folder.setText(str(tmp_path / "files"))
    count.files._go.click()
    until((tmp_path / "files" / "count.json").exists)
    until(lambda: "are in" in count._status.text())
    written = read_cells(tmp_path / "files" / "cells.csv")
    assert written.class_names == counting.cells.class_names


def test_unsure_cells_are_asked_about_and_answers_teach(text, until):
    press(text, until)
    counting = text.control.counting
    classing = counting.classes
    until(lambda: classing.suggestion is not None)
    before = counting.cells
    assert UNSURE in before.counts()
    unsure = before.counts()[UNSURE]
    assert unsure > 0
    asked = classing.suggestion
    assert before.class_names[asked.id - 1] == UNSURE
    assert classing.fit is None
    text.review()
    count = open_dock(text.viewer, "Count")
    assert f"cell {asked.id} " in count.classes.question.text()
    keys = {str(k): f for k, f in text.viewer.layers[CELLS].keymap.items()}
    list(keys["U"](text.viewer.layers[CELLS]) or ())
    until(lambda: classing.suggestion is not None and classing.suggestion.id != asked.id)
    assert counting.cells is before
    second = classing.suggestion
    list(keys["A"](text.viewer.layers[CELLS]) or ())
    until(lambda: classing.fit is not None)
    assert counting.cells.class_names[second.id - 1] == second.proposed
    assert "learnt from" in classing.how
    ids = text.control.cells.counts.cells.id
    assert text.control.cells.counts.cells.class_names == counting.cells[ids - 1].class_names
    classing.undo()
    until(lambda: classing.fit is None)
    assert counting.cells.class_names == before.class_names


def test_cancel_while_counting_keeps_regions_and_cells(text, until, monkeypatch):
    goes_on, tiles = threading.Event(), []
    monkeypatch.setattr(find_cells, "TILE_UM", 32.0)
    find = find_cells.ModelCells.find

    def slow(*given):
        tiles.append(given)
        assert len(tiles) <= 3 or goes_on.wait()
        return find(*given)

    monkeypatch.setattr(find_cells.ModelCells, "find", slow)
    text.cells._all.click()
    until(lambda: len(tiles) > 3)
    until(lambda: text.control.region_count > 0)
    assert text._busy.isVisibleTo(text)
    assert 400 < text._bar.value() < 1000
    text._cancel.click()
    goes_on.set()
    until(lambda: idle(text) and text.control.cells.counts is not None)
    assert "Stopped after" in text._status.text()
    work = text.control.counting.work
    assert 0 < len(work.progress.done) < work.progress.total
    assert len(text.control.cells.counts.cells) == len(work.cells)
    press(text, until)
    assert text.control.counting.work.complete
    assert text.control.counting.work.progress.resumed == len(work.progress.done)
    assert "named by words" in text._status.text()


def test_cancel_while_looking_keeps_the_map_and_counts_nothing(text, until, monkeypatch):
    monkeypatch.setattr(EmbedJob, "embed", lambda *_: time.sleep(0.01) or text._cancel.click())
    text.cells._all.click()
    until(lambda: idle(text))
    assert text.control.cells.counts is None
    assert text.control.counting.work is None
    assert not text._busy.isVisibleTo(text)


def test_words_that_cannot_name_cells_are_told_before_anything_is_looked_at(text, until):
    text.cells._words.setText("tumour, giraffe")
    press(text, until)
    assert "giraffe" in text._status.text()
    assert text.words.texts == WORDS
    assert text.control.work is None
    text.cells._words.setText("tumour")
    press(text, until)
    assert "two texts or more" in text._status.text()
    text.words.set_value(("zebra",))
    text.cells._words.setText("")
    press(text, until)
    # what the word means is read before it is refused
    until(lambda: "zebra" in text._status.text())


def test_no_region_is_said_and_maps_stay(text, until):
    text.words.set_value(("bone",))
    press(text, until)
    assert "no tile reached the threshold" in text._status.text()
    assert text.control.work.texts == ("bone",)
    assert text.control.cells.counts is None


def test_without_words_cells_are_of_one_kind(text, until):
    text.cells._words.setText("")
    press(text, until)
    counts = text.control.cells.counts
    assert {row[1] for row in rows(text)} == {"all"}
    assert len(rows(text)) == len(counts.names)
    assert sum(counts.inside.sum(axis=0)) == sum(int(row[2].replace(",", "")) for row in rows(text))


def test_the_window_answers_while_it_works(text, until):
    """No stretch of the job runs in the thread of the window."""
    ran: set[str] = set()
    find = find_cells.ModelCells.find

    def where(*given):
        ran.add(threading.current_thread().name)
        return find(*given)

    find_cells.ModelCells.find, beats = where, []
    try:
        text.cells._all.click()
        while not idle(text):
            QApplication.processEvents()
            beats.append(time.monotonic())
    finally:
        find_cells.ModelCells.find = find
    assert ran == {"histoprompt-batch"}
    assert len(beats) > 10


def choose(dock: CountDock, image) -> None:
    """Choose an image in the dock's own row."""
    index = dock.images.images.index(image)
    dock.images._combo.setCurrentIndex(index)
    dock.images._combo.activated.emit(index)


def test_the_docks_of_a_viewer_work_on_one_slide(text, until):
    count = CountDock(text.viewer)
    text.viewer.window.add_dock_widget(count, name="Count")
    image = text.annotator.image
    other = text.viewer.add_image(np.zeros((50, 50, 3), np.uint8), name="another")
    choose(count, other)
    assert text.annotator.image is other
    assert text.images._combo.currentText() == "another"
    choose(count, image)
    press(text, until)
    assert count.session.slide.image is image
    assert text.viewer.layers[CELLS].metadata["histoprompt"]["kind"] == "count"
