"""The cells found so far, shown while a count runs, whichever dock began it."""

from __future__ import annotations

from typing import Self

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import CyclicLabelColormap
from qtpy.QtCore import QTimer

from histoprompt._qt.layers.make import provenance, transform_of
from histoprompt._qt.layers.removing import take_away
from histoprompt._qt.shell.job import Job
from histoprompt._qt.shell.session import Session
from histoprompt.core.geometry import Frame
from histoprompt.pipelines.count.so_far import CellsSoFar

SO_FAR = "cells_so_far"
# Least time between two drawings, milliseconds: tiles may come faster.
REFRESH_MS = 400


class Growing:
    """A layer of the cells that a running count has found, gone when the count ends.

    Drawing it costs one slice of what is in view, whatever the size of the slide.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._job: Job | None = None
        self._so_far: CellsSoFar | None = None
        self._drawn: list[tuple[int, int, int]] = []
        self.layer: Labels | None = None
        self._timer = QTimer(singleShot=True, interval=REFRESH_MS)
        self._timer.timeout.connect(self._draw)
        session.jobs.heard.connect(self._on_heard)
        session.jobs.ended.connect(self._on_ended)

    @classmethod
    def of(cls, session: Session) -> Self:
        """The part of a session."""
        return cls(session)

    @property
    def engaged(self) -> bool:
        """A running count is seen to by its job."""
        return False

    def close(self) -> None:
        """Draw no more."""
        self._timer.stop()
        self._session.jobs.heard.disconnect(self._on_heard)
        self._session.jobs.ended.disconnect(self._on_ended)

    def _on_heard(self, job: Job, news: object) -> None:
        if not isinstance(news, CellsSoFar):
            return
        if news is not self._so_far:
            self._leave()
            self._job, self._so_far = job, news
            self._add(news)
        elif not self._timer.isActive():
            self._timer.start()

    def _on_ended(self, job: Job) -> None:
        if job is self._job:
            self._leave()

    def _add(self, so_far: CellsSoFar) -> None:
        viewer, image = self._session.viewer, self._session.slide.image
        if image is None:
            return
        active = viewer.layers.selection.active
        several = len(so_far.levels) > 1
        layer = Labels(
            list(so_far.levels) if several else so_far.levels[0],
            multiscale=several,
            name=SO_FAR,
            opacity=0.55,
            metadata=provenance(kind="so far"),
            **transform_of(image, Frame(so_far.box, so_far.box.shape)),
        )
        layer.editable = False
        self._drawn = []
        self._colour(layer)
        self.layer = viewer.add_layer(layer)
        # the layer in use stays the one in use
        viewer.layers.selection.active = active

    def _draw(self) -> None:
        layer = self.layer
        if layer is not None and layer in self._session.viewer.layers:
            self._colour(layer)
            layer.refresh()

    def _colour(self, layer: Labels) -> None:
        """Give classes their colours, which are known once a tile with cells is there."""
        colours = [] if self._so_far is None else self._so_far.colours
        if colours != self._drawn:
            self._drawn = colours
            rows = [
                (0.0, 0.0, 0.0, 0.0),
                *((r / 255, g / 255, b / 255, 1.0) for r, g, b in colours),
            ]
            layer.colormap = CyclicLabelColormap(colors=np.array(rows, np.float32))

    def _leave(self) -> None:
        self._timer.stop()
        layer, self.layer, self._job, self._so_far = self.layer, None, None, None
        if layer is not None:
            take_away(self._session.viewer, [layer])
