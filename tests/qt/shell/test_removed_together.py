"""Layers that a person removes together, and steps taken back after that: nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest
from five_nuclei import NUCLEI
from qtpy.QtTest import QTest
from stored_labels import stored

from histoprompt._qt.count.dock import CountDock
from histoprompt._qt.count.layers import CELLS
from histoprompt._qt.layers import make as layers
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask

pytestmark = pytest.mark.gui

WALKS = 12  # more than there are steps


@pytest.fixture
def worked(dock, until):
    """Two committed objects, a box in hand, and a count with two classes."""
    for n, place in enumerate(NUCLEI[:2]):
        put(dock, place, f"kind {n}")
    dock.annotator.prompts.boxes.add_rectangles(layers.box_vertices(Box.around(*NUCLEI[4], 30)))
    counter = CountDock(dock.viewer)
    dock.viewer.window.add_dock_widget(counter, name="Count")
    counter.region._segmenter.setCurrentIndex(counter.region._index("classical-cells"))
    counter.region.area.choose("slide")
    counter.region._go.click()
    until(lambda: counter.counting.work is not None)
    classing = counter.counting.classes
    for name, cell in (("tumour", 1), ("stroma", 2)):
        classing.add_class(name)
        classing.label([cell], name)
    until(lambda: classing.fit is not None)
    return dock, counter


def put(dock, place: tuple[int, int], class_name: str) -> None:
    inside = np.hypot(*(np.indices((21, 21)) - 10)) <= 10
    mask = Mask(inside, Frame(Box.around(*place, 21), inside.shape))
    committed = dock.annotator.committed
    _, change = committed.commit([mask], "keep", {}, class_name)
    committed.show_change(change, "Put there")


def remove(viewer, names) -> None:
    """As napari's *Delete selected layers* does, with several selected."""
    viewer.layers.selection = {layer for layer in viewer.layers if layer.name in names}
    viewer.layers.remove_selected()
    QTest.qWait(100)


def walk(session) -> list[str]:
    """Take everything back, and do it again; what was told meanwhile."""
    told: list[str] = []
    session.steps.told.connect(told.append)
    session.failed.connect(told.append)
    for act in (session.steps.undo, session.steps.redo):
        for _ in range(WALKS):
            act()
            QTest.qWait(10)
    return told


def test_steps_go_back_and_forth_after_all_layers_but_the_slide_were_removed(worked, until):
    dock, counter = worked
    before, classes = stored(dock), dict(dock.annotator.store.classes())
    labels = dict(counter.counting.classes.labelling.review.labels)
    assert labels == {1: "tumour", 2: "stroma"}
    remove(dock.viewer, {layer.name for layer in dock.viewer.layers} - {"picture"})
    assert CELLS not in dock.viewer.layers
    assert layers.COMMITTED in dock.viewer.layers, "it is guarded"
    told = walk(dock.session)
    until(lambda: counter.counting.classes.fit is not None)
    assert np.array_equal(stored(dock), before)
    assert dict(dock.annotator.store.classes()) == classes
    assert dict(counter.counting.classes.labelling.review.labels) == labels
    back = [text for text in told if text.startswith("Took back")]
    assert len(back) >= 4, told
    assert len(back) == len([text for text in told if text.startswith("Did again")])
    assert len(dock.annotator.prompts.drawn_boxes) == 1


def test_a_slide_that_goes_with_all_layers_comes_back_with_all_that_was_done(
    worked, picture, until
):
    dock, counter = worked
    before, labels = stored(dock), dict(counter.counting.classes.labelling.review.labels)
    remove(dock.viewer, {layer.name for layer in dock.viewer.layers})
    until(lambda: dock.session.slide.image is None)
    told = walk(dock.session)
    assert set(told) <= {"There is nothing to take back.", "There is nothing to do again."}
    dock.viewer.add_image(picture, name="picture", scale=(0.25, 0.25), units=("um", "um"))
    until(lambda: dock.annotator is not None)
    assert np.array_equal(stored(dock), before)
    assert len(dock.annotator.prompts.drawn_boxes) == 1, "what was in hand is given back"
    counter.region.area.choose("slide")
    counter.region._go.click()
    until(lambda: counter.counting.work is not None)
    assert dict(counter.counting.classes.labelling.review.labels) == labels
    dock.session.steps.undo()  # of the earlier session: it is kept on disk
    until(lambda: not np.array_equal(stored(dock), before))
    dock.session.steps.redo()
    until(lambda: np.array_equal(stored(dock), before))
