"""Outlines and lines drawn by hand: a lasso for a prompt or an object, a cut through objects."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Shapes
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.QtCore import QTimer

from histoprompt._qt.layers import make as layers

_CLOSED = ("add_polygon_lasso", "add_polygon", "add_rectangle", "add_ellipse")
_OPEN = ("add_line", "add_path", "add_polyline")
MODES = {"lasso +": _CLOSED, "lasso -": _CLOSED, "draw": _CLOSED, "split": _OPEN}


class Drawing:
    """One layer for all that is drawn and taken at once; napari's own tools draw on it.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image

    Attributes
    ----------
    layer : Shapes
        Empty but while something is drawn.
    drawn : Signal(str, object)
        A shape is done: the tool it was drawn with and its (n, 2) corners, level-0 (row, col).
    """

    drawn = Signal(str, object)

    def __init__(self, viewer: ViewerModel, image: Image) -> None:
        self._viewer, self._image = viewer, image
        self._tool = "draw"
        self._taking = False
        self.layer: Shapes = layers.make_drawn(image)
        viewer.add_layer(self.layer)
        self.layer.events.data.connect(self._on_data)
        self._done = QTimer(singleShot=True, interval=0)
        self._done.timeout.connect(self._take)

    @property
    def tool(self) -> str:
        """The tool in use; empty if another layer or mode is."""
        if self._viewer.layers.selection.active is not self.layer:
            return ""
        return self._tool if self.layer.mode in MODES[self._tool] else ""

    def choose(self, tool: str) -> None:
        """Draw with one of `MODES` from now on."""
        self._tool = tool
        self.layer.mode = MODES[tool][0]
        self._viewer.layers.selection.active = self.layer

    def move(self) -> None:
        """Lie on the image as it is scaled now."""
        layers.move(self.layer, self._image)

    def close(self) -> None:
        """Take nothing any more."""
        self._done.stop()

    def _on_data(self, event: Any) -> None:
        if event.action == "added" and not self._taking:
            self._done.start()  # napari is not through with the shape yet

    def _take(self) -> None:
        shapes: list[NDArray[np.float64]] = [np.asarray(s, float)[:, -2:] for s in self.layer.data]
        if self.layer.mode not in MODES[self._tool]:
            return
        self._taking = True
        try:
            self.layer.data = []
        finally:
            self._taking = False
        for corners in shapes:
            self.drawn.emit(self._tool, corners)
