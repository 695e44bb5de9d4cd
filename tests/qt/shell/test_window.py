"""The window as a whole, shown and used with real events: its size, its modes, its closing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tifffile
from five_nuclei import NUCLEI
from napari.utils.notifications import notification_manager
from pointer import Pointer
from qtpy.QtCore import Qt, qInstallMessageHandler
from qtpy.QtGui import QCloseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLabel, QMessageBox, QPushButton

from histoprompt._qt.count.audit_layers import FIELD, MARKS
from histoprompt._qt.count.layers import CELLS
from histoprompt._qt.shell.docks import open_dock
from histoprompt._qt.shell.drawn_area import AREA
from histoprompt._qt.shell.session import session_of
from histoprompt._qt.widgets.recipe_menu import RecipeMenu
from histoprompt._qt.widgets.work_strip import NoteLabel
from histoprompt.core.errors import ExportError
from histoprompt.core.slides.sample import SLIDE, sample_file
from waiting import until

pytestmark = [pytest.mark.gui, pytest.mark.usefixtures("small_windows")]

PLUGIN = "napari-histoprompt"
DOCKS = (
    "Prompt", "Count", "Cells", "Objects", "Text", "Explore", "Tags", "Models", "Import", "Export",
    "Train", "Project", "Relate",
)  # fmt: skip
LAPTOP = (1366, 768)


@dataclass
class Shown:
    """What a pointer needs to know."""

    viewer: Any
    image: Any


@pytest.fixture
def viewer(make_napari_viewer, monkeypatch, tmp_path) -> Iterator[Any]:
    """A shown viewer on a laptop's screen, with nothing kept from other tests."""
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    found = make_napari_viewer(show=True)
    found.window.resize(*LAPTOP)
    yield found
    session_of(found).close()


def opened(viewer: Any, name: str) -> tuple[Any, Any]:
    """A dock opened as the Plugins menu opens it, and settled."""
    holder, dock = viewer.window.add_plugin_dock_widget(PLUGIN, name)
    until(lambda: dock.placed)
    QTest.qWait(50)
    return holder, dock


def window_size(viewer: Any) -> tuple[int, int]:
    size = viewer.window._qt_window.size()
    return size.width(), size.height()


def overlay(viewer: Any) -> str:
    shown = viewer.canvas.overlays.text
    return shown.text if shown.visible else ""


@pytest.fixture
def count(viewer, picture) -> tuple[Any, Pointer]:
    """The Count dock with the five nuclei counted, and a pointer over them."""
    image = viewer.add_image(picture, name="picture", scale=(0.25, 0.25), units=("um", "um"))
    _, dock = opened(viewer, "Count")
    dock.region._segmenter.setCurrentIndex(dock.region._index("classical-cells"))
    dock.region.area.choose("slide")
    dock.region._go.click()
    until(lambda: dock.counting.work is not None)
    viewer.fit_to_view()
    QTest.qWait(50)
    return dock, Pointer(Shown(viewer, image))


def teach_two_classes(dock: Any, pointer: Pointer) -> None:
    """Give a cell to each of two classes on their page; another cell is offered then."""
    dock.tabs.setCurrentIndex(1)
    for name, place in (("tumour", NUCLEI[0]), ("stroma", NUCLEI[3])):
        dock.counting.classes.add_class(name)
        dock.classes._list.setCurrentRow(dock.classes._list.count() - 1)
        dock.classes._label.setChecked(True)
        pointer.click(place)
    until(lambda: dock.counting.classes.suggestion is not None)


def labels_of(dock: Any) -> dict[int, str]:
    return dict(dock.counting.classes.labelling.review.labels)


# -- size --------------------------------------------------------------------------------------


def test_a_laptop_has_room_for_all_docks(viewer):
    viewer.open(str(sample_file(SLIDE)), plugin=PLUGIN)
    holders = [opened(viewer, name) for name in DOCKS]
    assert window_size(viewer) == LAPTOP
    window = viewer.window._qt_window
    assert window.minimumSizeHint().height() <= LAPTOP[1]
    tabbed = window.tabifiedDockWidgets(holders[0][0])
    assert {holder for holder, _ in holders[1:]} <= set(tabbed)
    for holder, dock in holders:
        holder.raise_()
        QTest.qWait(30)
        assert not dock.visibleRegion().isEmpty()
        # the canvas keeps more than a third of the screen, and no dock reaches past its edge
        assert dock.width() < LAPTOP[0] * 0.4
        assert dock.mapTo(window, dock.rect().bottomRight()).x() <= LAPTOP[0]
        assert dock.mapTo(window, dock.rect().bottomRight()).y() <= LAPTOP[1]
    shot = viewer.screenshot(canvas_only=False, flash=False)
    assert shot.shape[1] / shot.shape[0] == pytest.approx(LAPTOP[0] / LAPTOP[1], rel=0.02)


def test_every_dock_is_laid_out_once_and_scrolls(viewer):
    heard: list[str] = []
    before = qInstallMessageHandler(lambda _kind, _where, text: heard.append(text))
    try:
        holders = [opened(viewer, name) for name in DOCKS]
    finally:
        qInstallMessageHandler(before)
    assert [text for text in heard if "Layout" in text] == []
    # a tab says which dock it is, and leaves the plugin's name out
    assert tuple(holder.windowTitle() for holder, _ in holders) == DOCKS
    for _, dock in holders:
        assert len(dock.findChildren(RecipeMenu)) <= 1
        browsing = [b for b in dock.findChildren(QPushButton) if b.text() == "..."]
        assert all(button.accessibleName().startswith("Choose") for button in browsing)
        # the rows lie in the page, and the page and the foot in the dock
        assert dock.page.content is dock.content
        assert dock.content.layout().count() > 1
        assert dock.layout().itemAt(0).widget() is dock.page
        assert dock.layout().itemAt(1).layout() is dock.foot
        assert dock.minimumSizeHint().height() < LAPTOP[1] / 2


def test_a_count_does_not_widen_the_dock(count, viewer):
    dock, _ = count
    before = dock.minimumSizeHint().width()
    dock._say("5 cells are in /a/very/long/path/" + "without_any_space_in_it" * 20)
    dock.counts._below.setText("Per mm² of " + "unbreakable" * 40)
    dock.counting.classes.add_class("a class of cells with a name that is longer than the others")
    QTest.qWait(50)
    assert dock.minimumSizeHint().width() == before
    assert window_size(viewer) == LAPTOP


def test_a_note_breaks_long_words_and_gives_back_its_text(qapp):
    path = "/home/somebody/" + "x" * 200 + "/labels.tif"
    note = NoteLabel(f"<b>Written</b> to {path}.")
    note.resize(200, 400)
    assert note.text() == f"<b>Written</b> to {path}."
    assert note.minimumSizeHint().width() < 200
    assert note.heightForWidth(200) > 5 * note.fontMetrics().height()


# -- modes -------------------------------------------------------------------------------------


def test_adding_a_class_labels_nothing_until_label_cells_is_pressed(count):
    dock, pointer = count
    dock.tabs.setCurrentIndex(1)
    QTest.keyClicks(dock.classes._name, "tumour")
    QTest.keyClick(dock.classes._name, Qt.Key.Key_Return)
    assert dock.classes.current == "tumour"
    assert not dock.classes._label.isChecked()
    pointer.click(NUCLEI[0])
    assert labels_of(dock) == {}
    QTest.mouseClick(dock.classes._label, Qt.MouseButton.LeftButton)
    assert dock.classes._label.isChecked()
    assert "tumour" in overlay(dock.viewer)
    pointer.click(NUCLEI[0])
    assert list(labels_of(dock).values()) == ["tumour"]


@pytest.mark.parametrize("way", ["page", "classes from", "dock behind", "dock closed", "layer"])
def test_labelling_ends_when_nobody_sees_it_any_more(count, way):
    dock, pointer = count
    viewer = dock.viewer
    dock.tabs.setCurrentIndex(1)
    dock.counting.classes.add_class("tumour")
    dock.classes._label.click()
    pointer.click(NUCLEI[0])
    given = labels_of(dock)
    assert len(given) == 1
    cells = viewer.layers[CELLS]
    assert cells.cursor == "cross"
    holder = dock.parentWidget()
    if way == "page":
        dock.tabs.setCurrentIndex(3)
    elif way == "classes from":
        dock.classes._ways.setCurrentIndex(1)
    elif way == "dock behind":
        opened(viewer, "Models")
    elif way == "dock closed":
        holder.hide()
    else:
        viewer.layers.selection.active = viewer.layers["picture"]
    until(lambda: not dock.classes._label.isChecked())
    assert overlay(viewer) == ""
    assert cells.cursor != "cross"
    assert cells.mouse_pan
    viewer.layers.selection.active = cells
    pointer.click(NUCLEI[2])
    assert labels_of(dock) == given
    # a click chooses the cell, as it does without a mode
    place = dock.session.slide.image.data_to_world(NUCLEI[2])
    assert dock.counting.cell == dock._shown.id_at(place)


def test_an_answer_by_key_is_one_to_a_question_in_sight(count):
    dock, pointer = count
    teach_two_classes(dock, pointer)
    given = labels_of(dock)
    assert len(given) == 2
    dock.tabs.setCurrentIndex(3)
    dock.viewer.layers.selection.active = dock.viewer.layers[CELLS]
    canvas = dock.viewer.window._qt_viewer.canvas.native
    QTest.keyClick(canvas, Qt.Key.Key_A)
    assert labels_of(dock) == given
    assert dock.tabs.currentIndex() == 1
    assert "Answer it now" in dock._status.text()
    QTest.keyClick(canvas, Qt.Key.Key_A)
    until(lambda: len(labels_of(dock)) == 3)


def test_an_answer_is_given_once_however_fast_the_keys(count):
    """Refusing the next cell before it is known must not turn the class just given around."""
    dock, pointer = count
    teach_two_classes(dock, pointer)
    classing = dock.counting.classes
    asked = classing.suggestion
    dock.viewer.layers.selection.active = dock.viewer.layers[CELLS]
    canvas = dock.viewer.window._qt_viewer.canvas.native
    for key in (Qt.Key.Key_A, Qt.Key.Key_R, Qt.Key.Key_R):
        QTest.keyClick(canvas, key)
    assert labels_of(dock)[asked.id] == asked.proposed
    assert len(labels_of(dock)) == 3
    assert "No cell is offered now" in dock._status.text()
    until(lambda: classing.suggestion is not None)
    assert classing.suggestion.id != asked.id


def test_the_count_dock_says_why_a_step_cannot_be_taken_back(count):
    dock, _ = count

    def refuse() -> None:
        raise ExportError("The disk is full. Free some space, then undo once more.")

    dock.session.steps.push("a cell named", refuse, refuse)
    dock.session.steps.undo()
    assert dock._status.text().startswith("The disk is full.")
    assert dock.session.steps.titles[-1] == "a cell named"


def test_a_page_takes_the_room_that_its_rows_need_later(viewer):
    _, dock = opened(viewer, "Count")
    width = dock.width()
    row = QLabel("x", minimumWidth=width + 60)
    dock.content.layout().addWidget(row)
    until(lambda: dock.page.viewport().width() >= width + 60)
    assert window_size(viewer) == LAPTOP


def test_a_rectangle_is_drawn_once_and_the_slide_is_moved_after_that(count):
    dock, pointer = count
    viewer = dock.viewer
    dock.tabs.setCurrentIndex(0)
    button = dock.region.area._draw
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    assert button.isChecked()
    assert "rectangle" in overlay(viewer)
    with pointer.dragged([(20.0, 20.0), (60.0, 60.0), (90.0, 120.0)]):
        pass
    until(lambda: not button.isChecked())
    layer = viewer.layers[AREA]
    assert len(layer.data) == 1
    assert layer.mode == "pan_zoom"
    assert overlay(viewer) == ""
    with pointer.dragged([(20.0, 20.0), (60.0, 60.0)]):
        pass
    assert len(layer.data) == 1


def test_points_of_an_audit_end_with_its_page_and_go_on_with_show_field(count):
    dock, pointer = count
    dock.tabs.setCurrentIndex(3)
    dock.audit._draw.click()
    until(lambda: "Audit" in overlay(dock.viewer))
    until(lambda: dock.session.modes.owner() is dock.audit)
    marks = dock.viewer.layers["audit"]
    pointer.click(NUCLEI[0])
    assert len(marks.data) == 1
    dock.tabs.setCurrentIndex(4)
    assert overlay(dock.viewer) == ""
    pointer.click(NUCLEI[1])
    assert len(marks.data) == 1
    dock.tabs.setCurrentIndex(3)
    assert dock.audit._asleep.isVisible()
    dock.audit._show.click()
    assert not dock.audit._asleep.isVisible()
    pointer.click(NUCLEI[1])
    assert len(marks.data) == 2


@pytest.mark.parametrize("way", ["page", "dock"])
def test_the_field_of_an_audit_is_shown_with_its_page_only(count, viewer, way):
    dock, _ = count
    dock.tabs.setCurrentIndex(3)
    dock.audit._draw.click()
    until(lambda: MARKS in viewer.layers)
    shown = [viewer.layers[name] for name in (FIELD, MARKS)]
    cells = viewer.layers[CELLS]
    assert [layer.visible for layer in shown] == [True, True]
    assert cells.contour == 2
    viewer.layers[MARKS].add([100.0, 5.0])
    if way == "page":
        dock.tabs.setCurrentIndex(4)
    else:
        holder, _ = opened(viewer, "Objects")
        holder.raise_()
    until(lambda: not any(layer.visible for layer in shown))
    assert cells.contour == 0
    dock.tabs.setCurrentIndex(3)
    if way == "dock":
        open_dock(viewer, "Count")
    until(lambda: all(layer.visible for layer in shown))
    assert cells.contour == 2
    assert len(viewer.layers[FIELD].data) == len(viewer.layers[MARKS].data) == 1
    assert dock.audit._asleep.isVisibleTo(dock.audit)


def test_tiles_are_marked_while_the_text_dock_is_in_sight(viewer):
    viewer.open(str(sample_file(SLIDE)), plugin=PLUGIN)
    _, text = opened(viewer, "Text")
    text.area.choose("slide")
    QTest.keyClicks(text.words._line, "tumour")
    QTest.keyClick(text.words._line, Qt.Key.Key_Return)
    until(lambda: text.control.work is not None and text.gallery.count() > 0)
    work, pointer = text.control.work, Pointer(text.annotator)
    viewer.fit_to_view()
    first, second = (int(t) for t in work.scores.top("tumour", 2))
    text.calibration._yes.click()
    assert "Marking tiles" in overlay(viewer)
    pointer.click(work.scores.box(first).centre)
    assert work.marks("tumour") == {first: True}
    opened(viewer, "Models")
    until(lambda: overlay(viewer) == "")
    pointer.click(work.scores.box(second).centre)
    assert work.marks("tumour") == {first: True}


# -- other things --------------------------------------------------------------------------------


def test_a_calibrated_slide_has_a_scale_bar_and_a_plain_picture_none(viewer, picture, tmp_path):
    from PIL import Image

    bar = viewer.canvas.overlays.scale_bar
    path = tmp_path / "plain.png"
    Image.fromarray(picture).save(path)
    viewer.open(str(path), plugin=PLUGIN)
    assert not bar.visible
    viewer.open(str(sample_file(SLIDE)), plugin=PLUGIN)
    assert bar.visible


def test_files_that_are_there_are_replaced_only_if_the_person_agrees(count, monkeypatch, tmp_path):
    dock, _ = count
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cells.csv").write_text("my own table")
    asked = []
    answers = {"now": QMessageBox.StandardButton.No}

    def answer(parent: Any, title: str, text: str) -> QMessageBox.StandardButton:
        asked.append(text)
        return answers["now"]

    monkeypatch.setattr(QMessageBox, "question", answer)
    dock.files.folder.setText(str(tmp_path / "out"))
    dock.files._go.click()
    assert "1 file already, such as cells.csv" in asked[0]
    assert not dock._busy.isVisible()
    assert (tmp_path / "out" / "cells.csv").read_text() == "my own table"
    answers["now"] = QMessageBox.StandardButton.Yes
    dock.files._go.click()
    until(lambda: "cells are in" in dock._status.text())
    assert (tmp_path / "out" / "cells.csv").read_text() != "my own table"


def test_export_chooses_an_image_of_its_own(viewer, picture):
    viewer.add_image(picture, name="one")
    viewer.add_image(picture[:100].copy(), name="two")
    _, export = opened(viewer, "Export")
    assert "No image" in export._source.text()
    export.images._combo.setCurrentIndex(1)
    export.images._combo.activated.emit(1)
    assert "two" in export._source.text()
    assert export._go.isEnabled()


def test_a_docks_place_is_with_ours_and_beside_no_other_plugins(viewer):
    _, models = opened(viewer, "Models")
    holder, export = opened(viewer, "Export")
    assert not export.visibleRegion().isEmpty()
    assert models.visibleRegion().isEmpty()
    assert models.parentWidget() in viewer.window._qt_window.tabifiedDockWidgets(holder)


def test_the_keys_are_a_tab_beside_the_docks(viewer):
    holder, _ = opened(viewer, "Export")
    window = viewer.window._qt_window
    keys, _ = viewer.window.add_plugin_dock_widget(PLUGIN, "Keys")
    until(lambda: keys in window.tabifiedDockWidgets(holder))
    assert window_size(viewer) == LAPTOP
    # and whichever comes first
    later, _ = opened(viewer, "Models")
    assert {holder, keys} <= set(window.tabifiedDockWidgets(later))


# -- closing -------------------------------------------------------------------------------------

_CLOSING = """
import sys, threading, time
import napari
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QMessageBox
from histoprompt._qt.shell.session import session_of

viewer, asked, begun = napari.Viewer(), [], threading.Event()
session = session_of(viewer)
answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]

def answer(parent, title, text):
    asked.append(text)
    return answers[len(asked) - 1]

QMessageBox.question = answer

def never_ends(task):
    begun.set()
    while True:
        time.sleep(0.05)
        if task.cancelled and {fails}:
            raise RuntimeError("cannot schedule new futures after shutdown")

session.jobs.submit(never_ends, lane="batch", title="Counting")
begun.wait()
window = viewer.window._qt_window

def close_twice():
    window.close()
    assert window.isVisible(), "it closed although the answer was no"
    window.close()

QTimer.singleShot(0, close_twice)
napari.run()
print(len(asked), asked[0].startswith("Still at work: Counting."), flush=True)
"""


@pytest.mark.parametrize("fails", [False, True])
def test_closing_in_mid_job_asks_and_the_process_ends(tmp_path, fails):
    """The job never ends by itself, or fails when it shall stop: neither keeps the process."""
    code = _CLOSING.replace("{fails}", str(fails))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2", "True"]
    assert "Traceback" not in done.stderr
    assert "Fatal" not in done.stderr


_CLOSED_BY_A_PROGRAM = """
import threading
import napari
from histoprompt._qt.prompts.dock import PromptDock
from histoprompt._qt.shell import jobs
from histoprompt._qt.shell.session import session_of

jobs.EXIT_S = 1e6  # as long as a program that never had a window waits
viewer, begun = napari.Viewer(show={shown}), threading.Event()
viewer.window.add_dock_widget(PromptDock(viewer), name="Prompt")

def never_ends(task):
    begun.set()
    threading.Event().wait()

session_of(viewer).jobs.submit(never_ends, lane="batch", title="Counting")
begun.wait()
viewer.close()
print("closed", flush=True)
"""


@pytest.mark.parametrize("shown", [True, False])
def test_a_program_that_closes_the_window_in_mid_job_ends(shown):
    code = _CLOSED_BY_A_PROGRAM.replace("{shown}", str(shown))
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["closed"]
    assert "Traceback" not in done.stderr
    assert "Fatal" not in done.stderr


def test_an_idle_window_closes_unasked(viewer, monkeypatch):
    monkeypatch.setattr(QMessageBox, "question", lambda *_: pytest.fail("it asked"))
    opened(viewer, "Export")
    session = session_of(viewer)
    until(lambda: not session.jobs.at_work)
    assert not session._closing.eventFilter(viewer.window._qt_window, QCloseEvent())


# -- two slides ----------------------------------------------------------------------------------


@pytest.fixture
def second_slide(picture, tmp_path) -> str:
    path = tmp_path / "second.ome.tif"
    facts = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    tifffile.imwrite(path, picture, photometric="rgb", ome=True, metadata=facts)
    return str(path)


def test_a_second_slide_takes_the_place_of_the_first(viewer, second_slide):
    (first,) = viewer.open(str(sample_file(SLIDE)), plugin=PLUGIN)
    _, export = opened(viewer, "Export")
    assert export.annotator.image is first
    (second,) = viewer.open(second_slide, plugin=PLUGIN)
    assert export.annotator.image is second
    assert second.name in export._source.text()
    assert (first.visible, second.visible) == (False, True)
    # the smaller slide is not lost in a corner: it fills most of the canvas on one side
    zoom = viewer.scene.camera.zoom
    shares = np.array([220, 200]) * 0.25 * zoom / np.array(viewer.canvas.size)
    assert shares.max() > 0.5
    export.session.slide.choose(first)
    assert (first.visible, second.visible) == (True, False)


def test_a_second_slide_waits_while_there_is_work_on_the_first(viewer, second_slide):
    (first,) = viewer.open(str(sample_file(SLIDE)), plugin=PLUGIN)
    _, export = opened(viewer, "Export")
    for name in ("Prompt", "Text"):
        opened(viewer, name)
    told: list[str] = []
    notification_manager.notification_ready.connect(lambda note: told.append(note.message))
    export.annotator.prompts.points.add([1200.0, 1500.0])
    (second,) = viewer.open(second_slide, plugin=PLUGIN)
    assert export.annotator.image is first
    assert not second.visible
    assert second.name in export._status.text()
    # told once, however many docks are open
    assert [second.name in text for text in told] == [True]
    assert len(export.annotator.prompts.points.data) == 1
