"""napari's list of layers: short, and nothing is lost whatever way layers are removed from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from five_nuclei import NUCLEI
from napari.layers import LayerLock
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from histoprompt._qt.layers import make as layers
from histoprompt._qt.prompts.dock import PromptDock
from histoprompt._qt.shell.session import session_of

pytestmark = pytest.mark.gui


def listed(dock: PromptDock) -> list[str]:
    """What a person sees in napari's list, from above."""
    view = dock.viewer.window._qt_viewer.layers
    model = view.model()
    rows = [row for row in range(model.rowCount()) if not view.isRowHidden(row)]
    return [model.index(row, 0).data(Qt.ItemDataRole.UserRole).name for row in rows]


def test_the_list_leaves_out_what_only_tools_work_with(dock):
    assert listed(dock) == [layers.COMMITTED, layers.REGIONS, "picture"]
    dock._helpers.click()
    assert listed(dock) == [layer.name for layer in reversed(dock.viewer.layers)]
    assert layers.POINTS in listed(dock)
    dock.viewer.layers.move(0, 3)
    dock._helpers.click()
    assert sorted(listed(dock)) == sorted([layers.COMMITTED, layers.REGIONS, "picture"])
    dock.viewer.add_image(np.zeros((4, 4)), name="mine")
    assert "mine" in listed(dock)


def in_hand(dock: PromptDock, until: Callable[[Callable[[], bool]], None]) -> int:
    """Commit an object by a click, and have another click in hand."""
    points = dock.annotator.prompts.points
    points.add(NUCLEI[0])
    until(lambda: dock.annotator.preview.shown)
    (found,) = dock.annotator.commit()
    points.add(NUCLEI[1])
    until(lambda: dock.annotator.preview.shown)
    return found


def delete_all(dock: PromptDock) -> None:
    """Select all in the list, and press Delete there."""
    view = dock.viewer.window._qt_viewer.layers
    dock.viewer.layers.select_all()
    QTest.keyClick(view, Qt.Key.Key_Delete)


def delete_all_though_locked(dock: PromptDock) -> None:
    """As a person who opens the locks first."""
    for layer in dock.viewer.layers:
        layer.locked = LayerLock.NONE
    delete_all(dock)


def clear(dock: PromptDock) -> None:
    """As a script does it."""
    dock.viewer.layers.clear()


def cut(dock: PromptDock) -> None:
    """As a script does it, with the image last."""
    del dock.viewer.layers[1:]
    del dock.viewer.layers[0]


@pytest.mark.parametrize("way", [delete_all, delete_all_though_locked, clear, cut])
def test_nothing_is_lost_when_layers_are_deleted_together(shown_dock, until, way):
    dock = shown_dock
    image, found = dock.annotator.image, in_hand(dock, until)
    way(dock)
    until(lambda: dock.annotator is None)
    assert "safe" in dock._status.text()
    assert not any(layer.name == layers.POINTS for layer in dock.viewer.layers)
    dock.viewer.add_layer(image)
    until(lambda: dock.annotator is not None)
    assert dock.annotator.store.ids().tolist() == [found]
    assert np.array_equal(layers.read_clicks(dock.annotator.prompts.points)[0], [NUCLEI[1]])
    dock.viewer.screenshot(canvas_only=True, flash=False)


def test_all_but_the_image_are_kept_by_their_locks(shown_dock, until):
    dock = shown_dock
    in_hand(dock, until)
    dock.viewer.add_image(np.zeros((4, 4)), name="mine")
    dock.viewer.layers.selection = set(dock.viewer.layers) - {dock.annotator.image}
    annotator = dock.annotator
    dock.viewer.layers.remove_selected()
    QTest.qWait(0)
    assert dock.annotator is annotator
    assert "mine" not in dock.viewer.layers
    assert all(own in dock.viewer.layers for own in annotator.own_layers)


def test_layers_deleted_together_are_told_of_together(dock, until):
    in_hand(dock, until)
    own = [dock.annotator.committed.layer, dock.annotator.prompts.points]
    for layer in own:
        layer.locked = LayerLock.NONE
    dock.viewer.layers.selection = set(own)
    dock.viewer.layers.remove_selected()
    until(lambda: dock.annotator is None)
    told = dock._status.text()
    assert layers.COMMITTED in told
    assert layers.POINTS in told
    assert "so is what was in hand" in told
    dock.session.slide.choose(dock.session.slide.image)
    assert not dock.annotator.prompts.empty


def test_a_sample_that_is_opened_second_takes_the_place_of_the_first_slide(make_napari_viewer):
    viewer = make_napari_viewer()
    slide = session_of(viewer).slide
    (first,) = viewer.open_sample("napari-histoprompt", "slide")
    (second,) = viewer.open_sample("napari-histoprompt", "ihc")
    assert slide.image is second
    assert not first.visible
    session_of(viewer).close()
