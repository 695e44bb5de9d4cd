"""The Prompt dock in a real viewer: prompts, previews, commits, corrections, undo."""

from __future__ import annotations

import numpy as np
import pytest
from five_nuclei import NUCLEI, RADIUS
from prompt_clicks import click, commit_click
from qtpy.QtCore import Qt
from stored_labels import stored

from histoprompt._qt.layers import make as layers
from histoprompt._qt.prompts.params import PromptParams
from histoprompt.core.geometry import Box
from histoprompt.models import registry

pytestmark = pytest.mark.gui


def _disc(row: int, col: int) -> np.ndarray:
    rr, cc = np.mgrid[:220, :200]
    return (rr - row) ** 2 + (cc - col) ** 2 <= RADIUS**2


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


@pytest.fixture
def dock(kept_dock):
    """One for all tests here, as new for each."""
    return kept_dock


def test_a_click_becomes_a_preview_and_then_an_object(dock, until):
    annotator = dock.annotator
    click(dock, *NUCLEI[0])
    until(lambda: annotator.preview.shown)
    assert _iou(annotator.preview.layer.data > 0, _disc(*NUCLEI[0])) > 0.8
    assert dock._actions["commit"].isEnabled()
    dock._actions["commit"].click()
    assert annotator.prompts.empty
    assert not annotator.preview.shown
    assert _iou(annotator.committed.layer.data > 0, _disc(*NUCLEI[0])) > 0.8
    assert np.array_equal(stored(dock), annotator.committed.layer.data)


def test_data_of_prompt_layers_are_level0_pixels_whatever_the_scale(dock):
    annotator = dock.annotator
    world = annotator.image.data_to_world((40, 50))
    for layer in (annotator.prompts.points, annotator.prompts.boxes, annotator.committed.layer):
        assert np.allclose(layer.world_to_data(world), (40, 50))


def test_a_scribble_and_a_box_segment_too(dock, until):
    annotator = dock.annotator
    row, col = NUCLEI[1]
    annotator.prompts.scribbles.paint((row, col), 1)
    until(lambda: annotator.preview.shown)
    assert _iou(annotator.preview.layer.data > 0, _disc(row, col)) > 0.7
    annotator.clear()
    row, col = NUCLEI[2]
    annotator.prompts.boxes.add_rectangles(layers.box_vertices(Box.around(row, col, 27)))
    until(lambda: annotator.preview.shown)
    assert _iou(annotator.preview.layer.data > 0, _disc(row, col)) > 0.8


def test_many_boxes_at_once_become_many_objects(dock, until):
    annotator = dock.annotator
    dock.set_value(PromptParams(each_box=True))
    for row, col in NUCLEI[:3]:
        annotator.prompts.boxes.add_rectangles(layers.box_vertices(Box.around(row, col, 27)))
    until(lambda: len(annotator.preview._found) == 3)
    assert len(annotator.commit()) == 3
    labels = stored(dock)
    found = {int(labels[row, col]) for row, col in NUCLEI[:3]}
    assert len(found) == 3
    assert 0 not in found
    annotator.undo()
    assert not stored(dock).any()


def test_prompts_are_undone_one_by_one_then_labels(dock, until):
    annotator = dock.annotator
    commit_click(dock, until, *NUCLEI[0])
    click(dock, *NUCLEI[1])
    click(dock, *NUCLEI[2])
    annotator.undo()
    assert annotator.prompts.points.data.tolist() == [list(NUCLEI[1])]
    annotator.redo()
    assert len(annotator.prompts.points.data) == 2
    annotator.undo()
    annotator.undo()
    assert annotator.prompts.empty
    assert stored(dock).any()
    annotator.undo()
    assert not stored(dock).any()
    annotator.redo()
    assert stored(dock).any()


def test_undo_gives_scribbles_and_boxes_back_exactly(dock):
    annotator = dock.annotator
    prompts = annotator.prompts
    prompts.scribbles.paint((30, 30), 1)
    before = prompts.snapshot()
    prompts.boxes.add_rectangles(layers.box_vertices(Box(10, 20, 40, 60)))
    prompts.choose("click -")
    prompts.points.add((5, 5))
    annotator.undo()
    annotator.undo()
    after = prompts.snapshot()
    assert np.array_equal(before.painted, after.painted)
    assert after.boxes == ()
    annotator.redo()
    assert prompts.drawn_boxes == [Box(10, 20, 40, 60)]
    annotator.redo()
    assert prompts.snapshot().labels.tolist() == [False]


def test_merge_delete_undo_redo_by_clicks(dock, until):
    annotator = dock.annotator
    first = commit_click(dock, until, *NUCLEI[0])
    second = commit_click(dock, until, *NUCLEI[1])
    corrections = annotator.corrections
    corrections.click(*NUCLEI[0], "merge")
    corrections.click(*NUCLEI[1], "merge")
    assert set(np.unique(stored(dock))) == {0, min(first, second)}
    corrections.click(*NUCLEI[0], "delete")
    assert not stored(dock).any()
    annotator.undo()
    annotator.undo()
    assert set(np.unique(stored(dock))) == {0, first, second}
    annotator.redo()
    assert set(np.unique(stored(dock))) == {0, min(first, second)}
    assert np.array_equal(stored(dock), annotator.committed.layer.data)


def test_painting_erasing_and_filling_reach_the_store_and_are_undone(dock):
    annotator = dock.annotator
    layer = annotator.committed.layer
    layer.selected_label, layer.brush_size = 7, 9
    layer.paint((100, 100), 7)
    assert (stored(dock)[98:103, 98:103] == 7).all()
    layer.paint((100, 100), 0)
    assert not stored(dock).any()
    layer.fill((0, 0), 3)
    assert (stored(dock) == 3).all()
    annotator.undo()
    annotator.undo()
    assert np.array_equal(layer.data, stored(dock))
    assert (layer.data[100, 100], layer.data[0, 0]) == (7, 0)


def test_a_hand_painted_preview_is_committed_as_painted(dock):
    annotator = dock.annotator
    annotator.preview.layer.brush_size = 11
    annotator.preview.layer.paint((60, 60), 1)
    painted = annotator.preview.layer.data == 1
    (found,) = annotator.commit()
    assert np.array_equal(stored(dock) == found, painted)


def test_an_object_wholly_under_others_is_refused_and_the_prompt_stays(dock, until):
    annotator = dock.annotator
    commit_click(dock, until, *NUCLEI[0])
    click(dock, *NUCLEI[0])
    until(lambda: annotator.preview.shown)
    assert annotator.commit() == []
    assert "overwrites" in dock._status.text()
    assert annotator.store.count == 1
    assert len(annotator.prompts.points.data) == 1


def test_a_class_is_kept_with_the_object(dock, until):
    dock.set_value(PromptParams(class_name="lymphocyte"))
    found = commit_click(dock, until, *NUCLEI[3])
    assert dock.annotator.store.class_of(found) == "lymphocyte"


def test_committing_nothing_says_so(dock, until):
    dock.annotator.commit()
    assert "no object" in dock._status.text()


def test_a_box_only_model_shows_the_box_a_click_became(dock, until):
    dock.models.choose("litemedsam")
    annotator = dock.annotator
    click(dock, *NUCLEI[0])
    until(lambda: annotator.preview.shown)
    assert "became a box" in dock._status.text()
    (drawn,) = layers.read_boxes(annotator.preview.used_box)
    assert drawn.contains(*NUCLEI[0])
    assert abs(drawn.height - 2 * RADIUS) < 12


@pytest.mark.parametrize("kind", ["click", "scribble", "box"])
def test_the_default_model_takes_every_prompt_as_it_is(dock, until, kind):
    dock.models.choose(registry.DEFAULT)
    annotator, (row, col) = dock.annotator, NUCLEI[0]
    if kind == "click":
        click(dock, row, col)
    elif kind == "scribble":
        annotator.prompts.scribbles.paint((row, col), 1)
    else:
        annotator.prompts.boxes.add_rectangles(layers.box_vertices(Box.around(row, col, 27)))
    until(lambda: annotator.preview.shown)
    assert "box" not in dock._status.text()
    assert annotator.preview.used_box is None
    assert annotator.preview.candidates == (3 if kind == "click" else 1)
    assert annotator.preview.layer.data[row, col] == 1


def test_missing_weights_say_which_file_and_where(dock, until):
    dock.models.choose("medsam")
    click(dock, *NUCLEI[0])
    until(lambda: "medsam_vit_b.pth" in dock._status.text())
    assert "zenodo" in dock._status.text()
    assert not dock.annotator.preview.shown
    assert not dock.annotator.prompts.empty


def test_cancel_leaves_layers_as_they_were(dock, until):
    annotator = dock.annotator
    found = commit_click(dock, until, *NUCLEI[0])
    click(dock, *NUCLEI[1])
    annotator.cancel()
    until(lambda: "Cancelled" in dock._status.text())
    assert annotator.store.ids().tolist() == [found]
    assert len(annotator.prompts.points.data) == 1


@pytest.mark.parametrize("name", ["points", "boxes", "scribbles"])
def test_keys_work_with_each_prompt_layer_active(dock, until, qtbot, name):
    annotator = dock.annotator
    click(dock, *NUCLEI[0])
    until(lambda: annotator.preview.shown)
    dock.viewer.layers.selection.active = getattr(annotator.prompts, name)
    canvas = dock.viewer.window._qt_viewer.canvas.native
    qtbot.keyClick(canvas, Qt.Key.Key_C)
    assert annotator.store.count == 1
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert annotator.store.count == 0


def test_t_switches_between_inside_and_outside(dock):
    annotator = dock.annotator
    annotator.prompts.choose("click +")
    assert annotator.prompts.toggle() == "click -"
    annotator.prompts.points.add((5, 5))
    assert annotator.prompts.prompt.labels.tolist() == [False]
    annotator.prompts.choose("scribble +")
    assert annotator.prompts.toggle() == "scribble -"
    assert annotator.prompts.scribbles.selected_label == 2


def test_all_nuclei_in_view_are_committed_as_one_step(dock, until):
    annotator = dock.annotator
    dock._actions["find_all"].click()
    until(lambda: "Found" in dock._status.text())
    assert annotator.store.count > 0
    assert np.array_equal(stored(dock), annotator.committed.layer.data)
    found = {int(stored(dock)[place]) for place in NUCLEI} - {0}
    assert len(found) >= 3
    annotator.undo()
    assert annotator.store.count == 0
