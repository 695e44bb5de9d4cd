"""One shown viewer with the sample slide for the tests of a module; a new Text dock for each.

The slide, its layers of prompts and the viewer take four seconds to make. The dock, and with it all
that was found, is made anew for each test, in a folder of its own; committed objects stay in that
of the first, and are taken away.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from kept_viewer import kept_viewer
from qtpy.QtWidgets import QApplication

import waiting
from histoprompt._qt.count.controller import Counting
from histoprompt._qt.prompts.annotating import Annotating
from histoprompt._qt.shell.session import session_of
from histoprompt._qt.text.dock import TextDock
from histoprompt.core.slides.sample import SLIDE, sample_file


class KeptTextViewer:
    """Makes the viewer when a dock is first asked for."""

    def __init__(self) -> None:
        self._viewer: Any = None
        self._around = ExitStack()
        self._names: list[str] = []

    def dock(self) -> TextDock:
        """A new Text dock on the slide, on which nothing is committed, counted or found."""
        if self._viewer is None:
            self._make()
        dock = TextDock(self._viewer)
        self._viewer.window.add_dock_widget(dock, name="Text")
        self._names = self._names or [layer.name for layer in self._viewer.layers]
        annotator = dock.annotator
        assert annotator is not None
        assert [layer.name for layer in self._viewer.layers] == self._names
        assert all(plane.store.count == 0 for plane in annotator.planes)
        assert dock.session.part(Counting).work is None
        assert dock.session.steps.titles == ()
        dock.session.steps.earlier = None  # what other tests did to the labels is no step of this
        return dock

    def let_go(self, dock: TextDock) -> None:
        """Take a dock away with what it found; the viewer, if layers of the slide are gone."""
        session, viewer = dock.session, self._viewer
        dock.control.batch.cancel()
        waiting.until(lambda: not session.jobs.at_work)
        session.part(Counting).drop()
        dock.control.bind()
        viewer.window.remove_dock_widget(dock)
        dock.close()
        dock.deleteLater()
        QApplication.processEvents()
        annotator = session.part(Annotating).annotator
        if annotator is None or {la.name for la in viewer.layers} - {"drawn_area"} != {
            *self._names
        }:
            self.close()
            return
        if "drawn_area" in viewer.layers:
            viewer.layers.remove("drawn_area")
        for plane in annotator.planes:
            plane.show_change(plane.store.clear(), "Put back")
        annotator.store.set_class_list(())
        session.steps._done.clear()
        session.steps._undone.clear()
        viewer.layers.selection.active = annotator.image
        viewer.reset_view()

    def close(self) -> None:
        """Close the viewer, so that others can be made."""
        self._viewer, self._names = None, []
        self._around.close()

    def _make(self) -> None:
        self._viewer = self._around.enter_context(kept_viewer(show=True))
        self._viewer.window.resize(1500, 950)
        self._viewer.open(str(sample_file(SLIDE)), plugin="napari-histoprompt")
        session_of(self._viewer).attach(self)  # it outlives each dock
