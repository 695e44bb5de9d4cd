"""A committed object is taken up again, changed by more prompts, and replaced as one edit."""

from __future__ import annotations

import numpy as np
import pytest
from five_nuclei import NUCLEI
from pointer import Pointer

from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask

pytestmark = pytest.mark.gui


@pytest.fixture
def annotator(shown_dock):
    return shown_dock.annotator


def _block(annotator, box: Box, class_name: str = "") -> int:
    mask = Mask(np.ones(box.shape, bool), Frame(box, box.shape))
    (found,), change = annotator.committed.commit([mask], "keep", {}, class_name)
    annotator.committed.show_change(change, "Put there")
    return found


def _settled(annotator):
    return lambda: annotator.preview.shown and not annotator.segmenting.active


def _labels(annotator) -> np.ndarray:
    return annotator.store.read(annotator.slide.box)


def test_more_clicks_change_an_object_and_its_commit_is_one_edit(shown_dock, annotator, until):
    pointer, asked = Pointer(annotator), []
    annotator.segmenting.answered.connect(asked.append)
    row, col = NUCLEI[0]
    first = _block(annotator, Box(row - 6, col - 6, row + 6, col + 6), "tumour")
    before, edits = _labels(annotator), len(annotator.store.history())
    pointer.click(NUCLEI[0], "Alt")
    assert annotator.hand.refined.id == first
    said = shown_dock._status.text()
    assert f"Object {first} is in hand" in said
    assert "cannot be shown an outline" in said
    assert not asked, "nothing is segmented before something is said"
    shown = annotator.preview.layer.data > 0
    assert np.array_equal(shown, before == first)
    pointer.click((row - 11, col))
    until(lambda: len(asked) > 0)
    assert annotator.preview.layer.data.sum() > shown.sum()
    pointer.key("Control-Z")
    assert np.array_equal(annotator.preview.layer.data > 0, before == first), "as it was"
    pointer.key("Control-Shift-Z")
    until(lambda: len(asked) > 1)
    until(_settled(annotator))
    new = annotator.preview.layer.data > 0
    pointer.key("C")
    assert annotator.hand.now.empty
    assert np.array_equal(_labels(annotator) == first, new)
    assert annotator.store.ids().tolist() == [first]
    assert annotator.store.class_of(first) == "tumour"
    assert len(annotator.store.history()) == edits + 1
    assert f"Refined object {first}" in shown_dock._status.text()
    pointer.key("Control-Z")
    assert np.array_equal(_labels(annotator), before)
    assert annotator.hand.refined.id == first, "object and prompts are both back"
    assert len(annotator.prompts.points.data) == 2
    pointer.key("Control-Shift-Z")
    assert np.array_equal(_labels(annotator) == first, new)
    assert annotator.hand.now.empty


def test_an_object_of_this_session_comes_with_its_own_prompts(shown_dock, annotator, until):
    pointer = Pointer(annotator)
    pointer.click(NUCLEI[1])
    until(_settled(annotator))
    (first,) = annotator.commit()
    pointer.click(NUCLEI[1], "Alt")
    assert np.allclose(annotator.prompts.points.data, [NUCLEI[1]], atol=2)
    assert "its own prompts" in shown_dock._status.text()
    pointer.key("C")
    assert f"Object {first} is as it was" in shown_dock._status.text()
    assert annotator.hand.now.empty
    # once it was changed by hand they do not stand for it any more
    annotator.edits.reshape("expand", [first])
    pointer.click(NUCLEI[1], "Alt")
    assert "in its place" in shown_dock._status.text()


def test_what_is_in_hand_is_not_lost_to_another_object(shown_dock, annotator, until):
    pointer = Pointer(annotator)
    first = _block(annotator, Box(100, 50, 120, 70))
    pointer.click(NUCLEI[0])
    until(_settled(annotator))
    pointer.click(NUCLEI[2], "Alt")
    assert annotator.hand.refined is None
    assert len(annotator.prompts.points.data) == 1
    assert f"then take up object {first}" in shown_dock._status.text()
    annotator.clear()
    pointer.click(NUCLEI[2], "Alt")
    annotator.delete([first])
    annotator.prompts.points.add(NUCLEI[2])
    until(_settled(annotator))
    (new,) = annotator.commit()
    assert new != first, "the object is gone: what was made of it is a new one"
    assert annotator.store.area_of(new) > 0


def test_painting_a_part_of_an_object_in_hand_keeps_the_rest(annotator):
    first = _block(annotator, Box(100, 50, 120, 70))
    annotator.refine(first)
    data = annotator.preview.layer.data
    data[110:120, 50:70] = 0
    annotator.preview.layer.refresh()
    assert annotator.commit() == [first]
    assert annotator.store.area_of(first) == 200
    annotator.undo()
    assert annotator.store.area_of(first) == 400
    assert (annotator.preview.layer.data > 0).sum() == 200


def test_the_buttons_of_the_dock_reshape_the_chosen_object(shown_dock, annotator):
    first = _block(annotator, Box(100, 50, 120, 70))
    forms = shown_dock.forms
    forms._buttons["expand"].click()
    assert "No object is chosen" in shown_dock._status.text()
    annotator.committed.choose(first)
    forms.amount = 1.0
    assert annotator.params.amount == 1.0
    assert forms._amount.suffix() == " µm"
    forms._buttons["expand"].click()
    assert annotator.store.box_of(first) == Box(96, 46, 124, 74)
    forms.amount = 5.0
    forms._buttons["shrink"].click()
    assert "3.5 µm deep" in shown_dock._status.text()
    assert annotator.store.box_of(first) == Box(96, 46, 124, 74)


def test_an_ellipse_is_drawn_round_and_a_line_is_always_a_cut(annotator, until):
    annotator.choose("draw")
    layer = annotator.drawing.layer
    layer.mode = "add_ellipse"
    layer.add_ellipses(np.array([[100, 50], [100, 70], [130, 70], [130, 50]], float))
    until(lambda: annotator.store.count == 1)
    (drawn,) = annotator.store.objects()
    rows, cols = np.mgrid[90:140, 40:80]
    away = ((rows - 115) / 15) ** 2 + ((cols - 60) / 10) ** 2
    # centres of pixels inside the ellipse, and at most those on its line
    assert (away < 1 - 1e-9).sum() <= drawn.area_px <= (away < 1 + 1e-9).sum()
    layer.mode = "add_line"
    assert annotator.tool == "split"
    layer.add_lines(np.array([[115, 40], [115, 80]], float))
    until(lambda: annotator.store.count == 2)
    assert len(layer.data) == 0
