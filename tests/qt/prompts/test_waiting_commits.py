"""Commits that wait for their segmentation, and what a cancel leaves."""

from __future__ import annotations

import pytest
from five_nuclei import NUCLEI
from hand_acts import boxes, gate_of, put, status
from qtpy.QtTest import QTest
from stored_labels import stored

from histoprompt._qt.prompts.params import PromptParams

pytestmark = pytest.mark.gui


@pytest.fixture
def dock(kept_dock):
    """One for all tests here, as new for each."""
    return kept_dock


def test_a_commit_while_boxes_are_segmented_keeps_all_of_them(dock, until, monkeypatch):
    gate, annotator = gate_of(monkeypatch), dock.annotator
    dock.set_value(PromptParams(each_box=True, class_name="lymphocyte"))
    boxes(dock, *NUCLEI[:4])
    assert annotator.commit() == []
    assert "Commit waits for the segmentation of 4 objects" in status(dock)
    assert dock._busy.isVisibleTo(dock)
    assert annotator.prompts.empty, "hands are free for the next object"
    boxes(dock, NUCLEI[4])
    gate.set()
    until(lambda: annotator.store.count == 4)
    labels = stored(dock)
    assert len({int(labels[place]) for place in NUCLEI[:4]} - {0}) == 4
    assert labels[NUCLEI[4]] == 0
    assert set(annotator.store.classes().values()) == {"lymphocyte"}
    assert len(annotator.prompts.drawn_boxes) == 1, "what was begun meanwhile is not part of it"
    until(lambda: annotator.preview.shown)
    annotator.undo()
    assert annotator.store.count == 0


@pytest.mark.parametrize("how", ["cancel", "undo"])
def test_a_waiting_commit_that_is_stopped_gives_its_prompts_back(dock, until, monkeypatch, how):
    gate, annotator = gate_of(monkeypatch), dock.annotator
    boxes(dock, NUCLEI[0])
    annotator.commit()
    assert annotator.prompts.empty
    getattr(annotator, how)()
    until(lambda: not annotator.busy or how == "undo")
    assert len(annotator.prompts.drawn_boxes) == 1
    if how == "cancel":
        assert "Nothing was committed; the prompts are as they were" in status(dock)
        assert not dock._busy.isVisibleTo(dock)
    gate.set()
    QTest.qWait(50)
    assert annotator.store.count == 0


def test_a_commit_that_fails_late_gives_its_prompts_back(dock, until, monkeypatch):
    gate, annotator = gate_of(monkeypatch), dock.annotator
    put(dock, NUCLEI[0], side=61)
    annotator.prompts.points.add(NUCLEI[0])
    annotator.commit()
    gate.set()
    until(lambda: not annotator.busy)
    assert "Nothing was committed" in status(dock)
    assert annotator.prompts.points.data.tolist() == [list(NUCLEI[0])]
    assert annotator.store.count == 1


def test_cancel_is_there_from_the_start_and_acts_at_once(dock, until, monkeypatch):
    gate, annotator = gate_of(monkeypatch), dock.annotator
    annotator.prompts.points.add(NUCLEI[0])
    assert dock._busy.isVisibleTo(dock)
    assert dock._cancel.isEnabled()
    dock._cancel.click()
    assert "Cancelling" in status(dock)
    until(lambda: "Cancelled" in status(dock))  # while the model is still at it
    assert not gate.is_set()
    assert not dock._busy.isVisibleTo(dock)
    assert len(annotator.prompts.points.data) == 1
    gate.set()


def test_clearing_is_undone_and_says_what_is_so(dock, until):
    annotator = dock.annotator
    annotator.prompts.points.add(NUCLEI[0])
    until(lambda: annotator.preview.shown)
    assert "Press C" in status(dock)
    annotator.clear()
    assert "Cleared" in status(dock)
    assert not annotator.preview.shown
    annotator.undo()
    assert annotator.preview.shown
    assert len(annotator.prompts.points.data) == 1
