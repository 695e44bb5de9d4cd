"""Outlines and lines drawn by hand: a lasso for a prompt or an object, a cut through objects."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Shapes
from psygnal import Signal
from qtpy.QtCore import QTimer

from histoprompt._qt.layers import make as layers
from histoprompt._qt.layers.shape_regions import corners_of
from histoprompt._qt.shell.gestures import click, held, is_right

_CLOSED = ("add_polygon_lasso", "add_polygon", "add_rectangle", "add_ellipse")
_OPEN = ("add_line", "add_path", "add_polyline")
_CLICKED = ("pan_zoom",)
# How napari's other tools draw, which its keys turn to.
WAYS: Mapping[str, str] = {
    "add_polygon_lasso": "Drag along the outline.",
    "add_polygon": "Click corner by corner; Enter or a double click ends the outline.",
    "add_rectangle": "Drag a rectangle.",
    "add_ellipse": "Drag an ellipse.",
    "add_line": "Drag a straight line.",
    "add_path": "Drag a line of any form; Enter ends it where it was begun by a click.",
    "add_polyline": "Click point by point; Enter or a double click ends the line.",
}
MODES: Mapping[str, tuple[str, ...]] = {
    "lasso +": _CLOSED,
    "lasso -": _CLOSED,
    "draw": _CLOSED,
    "split": _OPEN,
    "wand": _CLICKED,
}


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
    clicked : Signal(str, float, float)
        Level-0 (row, col) of a click where a cut might have been drawn, or of the wand; and the
        tool.
    turned : Signal(str)
        A key of napari's changed how the tool draws: what to do now, for people.
    """

    turned = Signal(str)
    drawn = Signal(str, object)
    clicked = Signal(str, float, float)

    def __init__(self, viewer: ViewerModel, image: Image) -> None:
        self._viewer, self._image = viewer, image
        self._tool = "draw"
        self._taking, self._choosing = False, False
        self._click: tuple[float, float] | None = None
        self.layer: Shapes = layers.make_drawn(image)
        viewer.add_layer(self.layer)
        self.layer.events.data.connect(self._on_data)
        self.layer.events.mode.connect(self._on_mode)
        self.layer.mouse_drag_callbacks.append(self._on_press)
        self._done = QTimer(singleShot=True, interval=0)
        self._done.timeout.connect(self._take)

    @property
    def tool(self) -> str:
        """The tool in use; empty if another layer is, or nothing is drawn on this one.

        A line drawn while the tool is for outlines is a cut, an outline where a cut was meant a new
        object: what napari's own tools draw on this layer is never left lying.
        """
        active, mode = self._viewer.layers.selection.active, str(self.layer.mode)
        if active is not self.layer:
            return ""
        if mode in MODES[self._tool]:
            return self._tool
        return "split" if mode in _OPEN else "draw" if mode in _CLOSED else ""

    def choose(self, tool: str) -> None:
        """Draw with one of `MODES` from now on."""
        self._tool = tool
        self._choosing = True
        self.layer.mode = MODES[tool][0]
        self._choosing = False
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

    def _on_mode(self, _: Any) -> None:
        how = WAYS.get(str(self.layer.mode))
        if how is not None and self.tool and not self._choosing:
            self.turned.emit(how)

    def _on_press(self, layer: Any, event: Any) -> Generator[None, None, None]:
        clickable = str(layer.mode) == "add_line" or self.tool == "wand"
        if not clickable or held(event) or is_right(event):
            return
        if (yield from click(event)):
            row, col = self._image.world_to_data(event.position)[-2:]
            self._click = float(row), float(col)
            self._done.start()

    def _take(self) -> None:
        tool, place = self.tool, self._click
        self._click = None
        if not tool:
            return
        kinds = self.layer.shape_type
        shapes = [
            corners_of(np.asarray(data, float)[:, -2:], kind)
            for data, kind in zip(self.layer.data, kinds, strict=True)
        ]
        self._taking = True
        try:
            self.layer.data = []
        finally:
            self._taking = False
        if place is not None:  # napari made a line of no length of it
            self.clicked.emit(tool, *place)
            return
        for corners in shapes:
            self.drawn.emit(tool, corners)
