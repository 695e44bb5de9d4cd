"""Previews while a box or a scribble is being drawn, with a real pointer on a real canvas."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from five_nuclei import NUCLEI, RADIUS
from pointer import Pointer

from histoprompt._qt.layers import make as layers
from histoprompt._qt.prompts import segmenting
from histoprompt.core.geometry import Box
from histoprompt.core.task import Task

pytestmark = pytest.mark.gui

ROW, COL = NUCLEI[0]
BOX_WAY = [(ROW - 15 + k, COL - 15 + k) for k in range(0, 31, 5)]
STROKE = [(ROW, COL - 6 + k) for k in range(0, 13, 2)]


@pytest.fixture
def annotator(shown_dock):
    """What works on the five nuclei, in a viewer that is shown, with the classical model."""
    return shown_dock.session.annotator


def _disc() -> np.ndarray:
    rr, cc = np.mgrid[:220, :200]
    return (rr - ROW) ** 2 + (cc - COL) ** 2 <= RADIUS**2


def _iou(annotator) -> float:
    shown, truth = annotator.preview.layer.data > 0, _disc()
    return (shown & truth).sum() / (shown | truth).sum()


@pytest.mark.parametrize(("tool", "way"), [("box", BOX_WAY), ("scribble +", STROKE)])
def test_a_preview_is_there_before_the_button_is_released(annotator, until, tool, way):
    annotator.prompts.choose(tool)
    answers = []
    annotator.segmenting.answered.connect(answers.append)
    with Pointer(annotator).dragged(way):
        until(lambda: annotator.preview.shown and _iou(annotator) > 0.7)
        assert annotator.preview.is_sketch
        assert answers == []
        assert annotator.prompts.empty, "nothing is a prompt, or can be undone, before release"
    until(lambda: len(answers) == 1)
    assert not annotator.preview.is_sketch
    assert _iou(annotator) > 0.7
    assert annotator.steps.titles == (("the box" if tool == "box" else "the scribble"),)
    assert annotator.store.count == 0
    annotator.undo()
    assert annotator.prompts.empty
    assert not annotator.preview.shown


def test_the_drawing_is_committed_as_after_release(annotator, until):
    annotator.prompts.choose("box")
    with Pointer(annotator).dragged(BOX_WAY):
        until(lambda: annotator.preview.shown)
    until(lambda: not annotator.preview.is_sketch)
    final = annotator.preview.layer.data > 0
    annotator.commit()
    assert np.array_equal(annotator.store.read(annotator.slide.box) > 0, final)
    annotator.undo()
    assert annotator.store.count == 0


def test_behind_a_slow_model_only_the_newest_drawing_waits(annotator, until, monkeypatch):
    gate, seen, looks = threading.Event(), [], []

    def slowly(slide, objects, job, task: Task):
        seen.append(objects[0].prompt.box.area)
        gate.wait()
        return []

    monkeypatch.setattr(segmenting, "_segment_drawing", slowly)
    annotator.prompts.drawing.connect(lambda: looks.append(1))
    annotator.prompts.choose("box")
    way = [*BOX_WAY, *((ROW + 16 + k, COL + 16 + k) for k in range(0, 40, 2))]
    with Pointer(annotator).dragged(way):
        until(lambda: len(seen) == 1 and len(looks) > 3)
        gate.set()
        until(lambda: seen[-1] > 0.9 * annotator.prompts.drawn_boxes[-1].area)
    assert len(seen) <= 3 < len(looks)
    until(lambda: annotator.preview.shown)


def test_what_is_wrong_with_a_drawing_is_said_once_it_is_finished(annotator, until):
    told = []
    annotator.failed.connect(told.append)
    statuses = []
    annotator.status.connect(statuses.append)
    annotator.prompts.choose("box")
    off = [(-30 + k, -30 + k) for k in range(0, 28, 4)]
    with Pointer(annotator).dragged(off):
        assert not any("outside" in text for text in statuses)
    until(lambda: any("outside" in text for text in statuses))
    assert not annotator.preview.shown


def test_panning_draws_nothing(annotator):
    annotator.prompts.choose("box")
    annotator.prompts.boxes.mode = "pan_zoom"
    looks = []
    annotator.prompts.drawing.connect(lambda: looks.append(1))
    with Pointer(annotator).dragged(BOX_WAY):
        pass
    assert looks == []


def test_a_sketch_leaves_no_trace_when_its_prompt_fails(annotator, until):
    annotator.prompts.choose("box")
    annotator.prompts.boxes.add_rectangles(layers.box_vertices(Box.around(ROW, COL, 30)))
    until(lambda: annotator.preview.shown)
    annotator.preview.sketch(annotator.preview._found)
    annotator.segmenting.failed.emit("no")
    assert not annotator.preview.shown
