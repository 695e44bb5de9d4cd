"""One Prompt dock for the tests of a module: made once, as new for each of them.

A viewer with the layers of the Prompt dock takes two seconds to make and to close. Whatever a test
can change is put back, and that nothing is left is checked before the next one; where a test took
layers or the slide away, viewer and dock are made anew.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from kept_viewer import kept_viewer
from napari.layers import Labels
from numpy.typing import NDArray

import waiting
from histoprompt._qt.prompts.dock import HINT, PromptDock
from histoprompt._qt.prompts.params import PromptParams


class KeptDock:
    """Makes the dock when it is first asked for.

    Parameters
    ----------
    picture : (h, w, 3) uint8
        What it is on, at 0.25 um a pixel.
    """

    def __init__(self, picture: NDArray[np.uint8]) -> None:
        self._picture = picture
        self._dock: PromptDock | None = None
        self._around = ExitStack()
        self._names: list[str] = []
        self._brushes: list[tuple[Labels, float]] = []

    def as_new(self) -> PromptDock:
        """The dock as it is when it has just been opened on a slide without labels."""
        if self._dock is not None and not self._is_whole():
            self.close()
        if self._dock is None:
            self._dock = self._made()
        else:
            _put_back(self._dock)
            for layer, size in self._brushes:
                layer.brush_size = size
        _check(self._dock)
        return self._dock

    def close(self) -> None:
        """Close the viewer, so that others can be made."""
        self._dock, self._brushes = None, []
        self._around.close()

    def _made(self) -> PromptDock:
        patch = self._around.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("HISTOPROMPT_HOME", tempfile.mkdtemp(prefix="kept-dock-"))
        viewer: Any = self._around.enter_context(kept_viewer(show=False))
        viewer.add_image(self._picture, name="picture", scale=(0.25, 0.25), units=("um", "um"))
        dock = PromptDock(viewer)
        viewer.window.add_dock_widget(dock, name="Prompt")
        dock.models.choose("classical")
        dock.session.steps.earlier = None  # what other tests did to the labels is no step of this
        self._names = [layer.name for layer in viewer.layers]
        labels = (layer for layer in viewer.layers if isinstance(layer, Labels))
        self._brushes = [(layer, layer.brush_size) for layer in labels]
        return dock

    def _is_whole(self) -> bool:
        dock = self._dock
        assert dock is not None
        names = [layer.name for layer in dock.viewer.layers]
        return dock.annotator is not None and names == self._names


def _put_back(dock: PromptDock) -> None:
    annotator, steps = dock.annotator, dock.session.steps
    assert annotator is not None
    annotator.cancel()
    waiting.until(lambda: not annotator.segmenting.active and not dock.session.jobs.at_work)
    annotator.clear()
    for plane in annotator.planes:
        plane.show_change(plane.store.clear(), "Put back")
        plane.layer.visible, plane.layer.mode = True, "pan_zoom"
        plane.outline(plane.store.plane == "regions")
    annotator.store.set_class_list(())
    dock.set_value(PromptParams())
    dock.models.choose("classical")
    dock.viewer.reset_view()
    dock.choose("click +")
    steps._done.clear()
    steps._undone.clear()
    steps.earlier = None
    dock.report.say(HINT)


def _check(dock: PromptDock) -> None:
    """Nothing is left of other tests."""
    annotator = dock.annotator
    assert annotator is not None
    assert annotator.prompts.empty
    assert not annotator.preview.shown
    assert not annotator.preview.layer.data.any()
    assert annotator.hand.refined is None
    assert not annotator.commits.waiting
    for plane in annotator.planes:
        assert plane.store.count == 0
        assert not plane.layer.data.any()
    assert dock.session.steps.titles == ()
    assert dock.value() == PromptParams()
    assert annotator.tool == "click +"
    assert dock.models.card.id == "classical"
