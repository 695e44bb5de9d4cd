"""Nothing in hand is lost, nothing is undone by guess, and the status says what is so."""

from __future__ import annotations

import numpy as np
import pytest
from five_nuclei import NUCLEI
from hand_acts import boxes, gate_of, put, status
from pointer import LEFT, RIGHT, Pointer
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from stored_labels import stored
from vispy.color import Color

from histoprompt._qt.layers import make as layers
from histoprompt._qt.layers.make import scribbled
from histoprompt._qt.prompts.dock import PromptDock
from histoprompt._qt.prompts.object_colours import ObjectColormap
from histoprompt._qt.prompts.params import PromptParams
from histoprompt._qt.shell.session import session_of

pytestmark = pytest.mark.gui


@pytest.fixture
def empty(make_napari_viewer, monkeypatch, tmp_path):
    """The Prompt dock in a viewer that is shown, without a slide."""
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1000, 700)
    dock = PromptDock(viewer)
    viewer.window.add_dock_widget(dock, name="Prompt")
    dock.models.choose("classical")
    yield dock
    session_of(viewer).close()


@pytest.fixture
def shown(empty, picture):
    """The Prompt dock, opened before its slide."""
    empty.viewer.add_image(picture, name="picture", scale=(0.25, 0.25), units=("um", "um"))
    return empty


# -- commits that wait -------------------------------------------------------------------------


def test_undo_of_a_commit_brings_its_prompts_and_masks_back(dock, until):
    annotator = dock.annotator
    dock.set_value(PromptParams(each_box=True))
    boxes(dock, *NUCLEI[:3])
    until(lambda: annotator.preview.objects == 3)
    before = annotator.preview.layer.data.copy()
    assert len(annotator.commit()) == 3
    assert "Committed 3 objects (1, 2, 3). 3 objects, saved." in status(dock)
    annotator.undo()
    assert annotator.store.count == 0
    assert len(annotator.prompts.drawn_boxes) == 3
    assert np.array_equal(annotator.preview.layer.data, before)
    assert "Took back: committed 3 objects" in status(dock)
    annotator.undo()
    assert len(annotator.prompts.drawn_boxes) == 2
    annotator.redo()
    annotator.redo()
    assert annotator.store.count == 3
    assert annotator.prompts.empty


# -- another slide -----------------------------------------------------------------------------


def test_unfinished_prompts_wait_for_their_slide(dock, until, picture):
    session, viewer = dock.session, dock.viewer
    first = dock.annotator.image
    second = viewer.add_image(picture[::-1].copy(), name="other")
    dock.annotator.prompts.points.add(NUCLEI[0])
    dock.annotator.prompts.scribbles.paint((60, 60), 2)
    until(lambda: dock.annotator.preview.shown)
    masks = dock.annotator.preview.layer.data.copy()
    session.slide.choose(second)
    assert "On other" in status(dock)
    assert dock.annotator.prompts.empty
    session.steps.undo()
    assert dock.annotator.prompts.empty, "steps of another slide are not walked here"
    session.slide.choose(first)
    annotator = dock.annotator
    assert "Unfinished prompts back in hand" in status(dock)
    assert annotator.prompts.points.data.tolist() == [list(NUCLEI[0])]
    assert scribbled(annotator.prompts.scribbles)[60, 60] == 2
    assert np.array_equal(annotator.preview.layer.data, masks)


def test_a_waiting_commit_is_made_when_its_slide_comes_back(dock, until, picture, monkeypatch):
    gate, session = gate_of(monkeypatch), dock.session
    first = dock.annotator.image
    second = dock.viewer.add_image(picture[::-1].copy(), name="other")
    dock.annotator.prompts.points.add(NUCLEI[0])
    dock.annotator.commit()
    session.slide.choose(second)
    session.slide.choose(first)
    gate.set()
    until(lambda: dock.annotator.store.count == 1)
    assert dock.annotator.committed.at(*NUCLEI[0]) > 0


def test_edits_of_an_earlier_session_are_taken_back_by_name(dock):
    image = dock.annotator.image
    put(dock, NUCLEI[0])
    dock.session.slide.choose(None)
    dock.session.slide.choose(image)
    annotator = dock.annotator
    annotator.undo()
    assert annotator.store.count == 0
    assert "an edit of an earlier session (commit)" in status(dock)
    annotator.redo()
    assert annotator.store.count == 1
    annotator.undo()
    annotator.undo()
    assert "nothing to take back" in status(dock)


# -- the first click, tools and the field ------------------------------------------------------


def test_the_first_click_on_a_new_slide_is_a_prompt(shown, until):
    until(shown._tools["click +"].isChecked)
    annotator = shown.annotator
    assert shown.viewer.layers.selection.active is annotator.prompts.points
    Pointer(annotator).click(NUCLEI[0])
    assert len(annotator.prompts.points.data) == 1
    until(lambda: annotator.preview.shown)
    shown.viewer.layers.selection.active = annotator.image
    assert not any(button.isChecked() for button in shown._modes.values())
    assert "the layer picture is selected" in status(shown)
    Pointer(annotator).click(NUCLEI[1])
    assert len(annotator.prompts.points.data) == 1
    shown.choose("click +")
    Pointer(annotator).click(NUCLEI[1])
    assert len(annotator.prompts.points.data) == 2
    annotator.committed.layer.mode = "paint"
    shown.viewer.layers.selection.active = annotator.committed.layer
    assert shown._correct["paint"].isChecked(), "napari's own buttons are followed"


def test_that_no_tool_is_active_is_said_only_while_none_is(shown, until, picture):
    shown.viewer.add_image(picture, name="a second slide")
    shown.session.slide.choose(shown.viewer.layers["a second slide"])
    until(shown._tools["click +"].isChecked)
    QTest.qWait(50)
    assert "No tool is active" not in status(shown)
    shown.viewer.layers.selection.active = shown.annotator.image
    assert "the layer a second slide is selected" in status(shown)
    shown.choose("box")
    assert "No tool is active" not in status(shown)


def test_enter_in_the_class_field_gives_the_keyboard_to_the_canvas(shown, until):
    annotator = shown.annotator
    put(shown, NUCLEI[4], "tumour")
    Pointer(annotator).click(NUCLEI[0])
    until(lambda: annotator.preview.shown and not annotator.segmenting.active)
    assert shown._class.known == ["tumour"]
    shown._class.setFocus()
    QTest.keyClicks(shown._class, "tumor")
    QTest.keyClick(shown._class, Qt.Key.Key_Return)
    assert "There is a class 'tumour' already" in status(shown)
    window = shown.viewer.window._qt_window
    focused = window.focusWidget()
    assert focused is shown.viewer.window._qt_viewer.canvas.native
    QTest.keyClick(focused, Qt.Key.Key_C)
    assert shown._class.text() == "tumor"
    assert annotator.store.class_of(annotator.committed.at(*NUCLEI[0])) == "tumor"


def test_without_a_slide_nothing_can_be_pressed(make_napari_viewer):
    viewer = make_napari_viewer()
    dock = PromptDock(viewer)
    buttons = {**dock._modes, **dock._actions}
    assert [name for name, button in buttons.items() if button.isEnabled()] == []
    assert all(button.accessibleName() for button in buttons.values())
    assert "Open a slide" in status(dock)
    dock.session.close()


def test_a_dock_opened_on_an_open_slide_serves_each_click_once(dock, until):
    annotator, told = dock.annotator, []
    second = PromptDock(dock.viewer)
    ours = [
        call
        for call in annotator.committed.layer.mouse_drag_callbacks
        if getattr(call, "__self__", None) is annotator.corrections
    ]
    assert len(ours) == 1
    annotator.failed.connect(told.append)
    annotator.commit()
    assert len(told) == 1
    second.close()


# -- painting ----------------------------------------------------------------------------------


def test_painting_keeps_other_objects_unless_told_to_overwrite(shown):
    annotator, pointer = shown.annotator, Pointer(shown.annotator)
    first = put(shown, NUCLEI[0])
    before = stored(shown) == first
    shown.set_value(PromptParams(class_name="stroma"))
    shown.choose("paint")
    annotator.committed.layer.brush_size = 7
    row, col = NUCLEI[0]
    way = [(row, col + step) for step in range(0, 31, 5)]
    pointer.drag(way)
    assert np.array_equal(stored(shown) == first, before)
    (second,) = set(annotator.store.ids().tolist()) - {first}
    assert annotator.store.class_of(second) == "stroma"
    assert np.array_equal(annotator.committed.layer.data, stored(shown))
    pointer.drag([(row, col - 2), (row, col + 2)])
    assert "other objects keep their pixels" in status(shown)
    assert annotator.store.count == 2
    shown.set_value(PromptParams(rule="overwrite"))
    pointer.drag([(row, col - 2), (row, col + 2)])
    assert annotator.store.count == 3
    assert annotator.committed.at(row, col) not in (first, second)


def test_an_object_cut_in_two_is_pointed_out(shown):
    annotator, pointer = shown.annotator, Pointer(shown.annotator)
    found = put(shown, NUCLEI[0])
    shown.choose("erase")
    assert shown._correct["erase"].isChecked()
    assert "erased" in status(shown)
    annotator.committed.layer.brush_size = 3
    row, col = NUCLEI[0]
    pointer.drag([(row - 14 + step, col) for step in range(0, 29, 2)])
    assert f"Erased from object {found}; object {found} has 2 parts now" in status(shown)
    assert annotator.steps.titles[-1].startswith("erased from object")


# -- how objects look --------------------------------------------------------------------------


def colours(dock: PromptDock, *places: tuple[int, int]) -> list[tuple[float, ...]]:
    committed = dock.annotator.committed
    return [
        tuple(np.round(committed.layer.get_color(committed.at(*p))[:3], 3).tolist()) for p in places
    ]


def test_objects_are_coloured_by_class_and_tell_it(shown):
    layer = shown.annotator.committed.layer
    for place, name in zip(NUCLEI, ("tumour", "stroma", "tumour", "", ""), strict=True):
        put(shown, place, name)
    a, b, c, d, e = colours(shown, *NUCLEI)
    assert a == c
    assert len({a, b, d, e}) == 4
    assert isinstance(layer.colormap, ObjectColormap)
    world = shown.annotator.image.data_to_world(NUCLEI[1])
    assert "stroma" in layer.get_status(world, world=True)["value"]
    put(shown, (180, 20), "abscess")
    assert colours(shown, NUCLEI[0], NUCLEI[1]) == [a, b], "a class keeps its colour"
    picture = shown.viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    shown._hidden.click()
    assert not layer.visible
    bare = shown.viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    assert np.abs(picture - bare).max() > 60, "objects are drawn"


def test_clicks_have_one_size_on_the_screen(shown, until):
    annotator = shown.annotator
    until(shown._tools["click +"].isChecked)
    Pointer(annotator).click((75, 95))
    annotator.cancel()
    sizes = []
    for zoom in (8.0, 40.0):
        shown.viewer.scene.camera.zoom = zoom
        shown.viewer.scene.camera.center = (0, *annotator.image.data_to_world((75, 95)))
        annotator.preview.layer.visible = False
        canvas = shown.viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
        green = (canvas[..., 1] > canvas[..., 0] + 60) & (canvas[..., 1] > canvas[..., 2] + 20)
        sizes.append(int(green.sum()))
    assert 30 < sizes[0] < 200
    assert abs(sizes[0] - sizes[1]) <= 0.2 * sizes[0]


@pytest.mark.parametrize("button", [LEFT, RIGHT])
def test_a_click_is_drawn_in_the_colour_of_what_it_says_at_any_zoom(shown, until, button):
    annotator = shown.annotator
    until(shown._tools["click +"].isChecked)
    Pointer(annotator).click((75, 95), button=button)
    annotator.cancel()
    assert annotator.prompts.points.selected_data == set()
    annotator.preview.layer.visible = False
    expected = np.array(Color(layers.GREEN if button is LEFT else layers.RED).rgb) * 255
    for zoom in (1.0, 8.0, 40.0):
        shown.viewer.scene.camera.zoom = zoom
        shown.viewer.scene.camera.center = (0, *annotator.image.data_to_world((75, 95)))
        picture = shown.viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
        row, col = np.array(picture.shape[:2]) // 2
        around = picture[row - 7 : row + 8, col - 7 : col + 8].reshape(-1, 3)
        coloured = np.abs(around - expected).max(axis=1) < 30
        greys = np.abs(around - 105).max(axis=1) < 12  # napari's own border is dimgrey
        assert coloured.sum() > 40
        assert greys.sum() == 0


def test_objects_are_shown_wherever_one_looks_while_a_prompt_is_in_hand(empty, until):
    """The work area of scribbles stays where it is; committed objects follow the view."""
    dock, viewer = empty, empty.viewer
    large = np.full((5000, 5000, 3), 200, np.uint8)
    viewer.add_image(large, name="large", scale=(0.25, 0.25), units=("um", "um"))
    annotator, scene = dock.annotator, viewer.scene
    far, near = (4600, 4700), (300, 300)
    value = put(dock, far, side=41)
    scene.camera.zoom = 8.0
    scene.camera.center = (0, *annotator.image.data_to_world(near))
    until(lambda: annotator.area.scale == (1, 1))
    Pointer(annotator).click(near)
    until(lambda: not annotator.busy)
    held = annotator.area
    assert annotator.committed.at(*far) == 0
    scene.camera.center = (0, *annotator.image.data_to_world(far))
    until(lambda: annotator.committed.at(*far) == value)
    assert annotator.area == held
    assert len(annotator.prompts.points.data) == 1
    # an object there is corrected as any other
    viewer.layers.selection.active = annotator.committed.layer
    Pointer(annotator).click(far, "Control")
    assert annotator.store.count == 0
    # and once nothing is in hand, all of it follows
    dock._actions["clear"].click()
    until(lambda: annotator.area == annotator.committed.area != held)
    dock._actions["undo"].click()
    assert len(annotator.prompts.points.data) == 1
    assert annotator.area == held
