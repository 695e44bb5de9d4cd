"""The three prompt layers as one thing that changes, is read, and can be undone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Shapes
from numpy.typing import NDArray
from psygnal import Signal
from superqt.utils import QSignalThrottler

from histoprompt._qt import layers
from histoprompt._qt.edits import EditWatcher
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.prompt import Prompt

# Least time between two looks at what is being drawn, milliseconds.
LOOK_MS = 80
_DRAWING = ("add_rectangle", "add_ellipse", "paint", "erase")
TOOLS = ("click +", "click -", "scribble +", "scribble -", "box")
HISTORY = 200


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The prompts at one moment; scribbles as the indices and values of painted pixels."""

    points: NDArray[np.float64]
    labels: NDArray[np.bool_]
    boxes: tuple[Box, ...]
    painted: NDArray[np.int64]
    values: NDArray[np.uint8]

    @property
    def empty(self) -> bool:
        """Whether nothing is prompted."""
        return not (len(self.points) or self.boxes or len(self.painted))


class PromptLayers:
    """Clicks, boxes and scribbles of the object in hand.

    Attributes
    ----------
    changed : Signal
        The user added, moved or removed a prompt, or undid one.
    drawing : Signal
        A box or a scribble is being drawn and has grown; `prompt` holds what there is of it. Not
        sent more often than every `LOOK_MS`, and not once the button is released.
    """

    changed = Signal()
    drawing = Signal()

    def __init__(self, viewer: ViewerModel, image: Image, area: Frame) -> None:
        self._viewer = viewer
        self._image = image
        self._area = area
        self._quiet = False
        self.points: Points = layers.make_points(image)
        self.boxes: Shapes = layers.make_boxes(image)
        self.scribbles: Labels = layers.make_scribbles(image, area)
        for layer in self.all:
            self._viewer.add_layer(layer)
        self.points.events.data.connect(self._on_data)
        self.boxes.events.data.connect(self._on_data)
        self._watcher = EditWatcher(self.scribbles, self._take_scribble)
        self.points.mouse_drag_callbacks.append(_negative_while_control)
        self._look = QSignalThrottler()
        self._look.setTimeout(LOOK_MS)
        self._look.triggered.connect(self._on_look)
        for layer in (self.boxes, self.scribbles):
            layer.mouse_drag_callbacks.append(self._while_drawing)
        self._past = [self.snapshot()]
        self._future: list[Snapshot] = []

    @property
    def all(self) -> tuple[Labels, Shapes, Points]:
        """The layers, lowest first."""
        return self.scribbles, self.boxes, self.points

    @property
    def prompt(self) -> Prompt:
        """Everything said about the object in hand."""
        return layers.prompt_of(self.points, self.boxes, self.scribbles, self._area)

    @property
    def drawn_boxes(self) -> list[Box]:
        """All boxes, for prompting many objects at once."""
        return layers.read_boxes(self.boxes)

    @property
    def empty(self) -> bool:
        """Whether nothing is prompted."""
        return self._past[-1].empty

    def move(self, area: Frame) -> None:
        """Serve another work area; scribbles do not move along, so clear first."""
        self._area = area
        with self.silence():
            self.scribbles.data = np.zeros(area.shape, np.uint8)
            layers.move(self.scribbles, self._image, area)
            layers.move(self.points, self._image)
            layers.move(self.boxes, self._image)

    def choose(self, tool: str) -> None:
        """Make a tool the active one: the right layer in the right mode."""
        if tool in ("click +", "click -"):
            self._polarity("negative" if tool == "click -" else "positive")
            self.points.mode, active = "add", self.points
        elif tool == "box":
            self.boxes.mode, active = "add_rectangle", self.boxes
        else:
            self.scribbles.selected_label = 2 if tool == "scribble -" else 1
            self.scribbles.brush_size = max(1, min(self.scribbles.brush_size, 6))
            self.scribbles.mode, active = "paint", self.scribbles
        self._viewer.layers.selection.active = active

    def toggle(self) -> str:
        """Switch between inside and outside; returns the tool now active."""
        if self._viewer.layers.selection.active is self.scribbles:
            tool = "scribble +" if self.scribbles.selected_label == 2 else "scribble -"
        else:
            negative = self.points.feature_defaults["label"].iloc[0] == "negative"
            tool = "click +" if negative else "click -"
        self.choose(tool)
        return tool

    def clear(self) -> None:
        """Forget all prompts and their history."""
        with self.silence():
            self._restore(_nothing())
        self._past, self._future = [self.snapshot()], []

    def undo(self) -> bool:
        """Take back the last prompt; False if there is none."""
        if len(self._past) < 2:
            return False
        self._future.append(self._past.pop())
        self._go(self._past[-1])
        return True

    def redo(self) -> bool:
        """Give back the prompt taken last; False if there is none."""
        if not self._future:
            return False
        self._past.append(self._future.pop())
        self._go(self._past[-1])
        return True

    def snapshot(self) -> Snapshot:
        """The prompts as they are now."""
        points, labels = layers.read_clicks(self.points)
        data = np.asarray(self.scribbles.data)
        painted = np.flatnonzero(data)
        boxes = tuple(layers.read_boxes(self.boxes))
        return Snapshot(points.copy(), labels, boxes, painted, data.reshape(-1)[painted])

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Change layers without it counting as the user's doing."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def _polarity(self, label: str) -> None:
        self.points.selected_data = set()
        self.points.feature_defaults = {"label": label}
        self.points.current_face_color = layers.RED if label == "negative" else layers.GREEN

    def _go(self, snapshot: Snapshot) -> None:
        with self.silence():
            self._restore(snapshot)
        self.changed.emit()

    def _restore(self, snapshot: Snapshot) -> None:
        default = str(self.points.feature_defaults["label"].iloc[0])
        names = np.where(snapshot.labels, "positive", "negative")
        self.points.data = snapshot.points
        self.points.features = {"label": names.astype("<U8")}
        layers.colour_clicks(self.points)
        self._polarity(default)
        self.boxes.data = []
        if snapshot.boxes:
            self.boxes.add_rectangles([layers.box_vertices(box) for box in snapshot.boxes])
        self.scribbles.data[...] = 0
        self.scribbles.data.reshape(-1)[snapshot.painted] = snapshot.values
        self.scribbles.refresh()

    def _while_drawing(self, layer: Layer, event: Any) -> Iterator[None]:
        yield
        while event.type == "mouse_move":
            if layer.mode in _DRAWING:
                self._look.throttle()
            yield
        self._look.cancel()

    def _on_look(self) -> None:
        self.drawing.emit()

    def _on_data(self, event: object) -> None:
        # Layers announce an edit before ("adding") and after ("added"); only then is it true.
        if getattr(event, "action", "changed") in ("added", "removed", "changed"):
            self._on_edit()

    def _take_scribble(self) -> bool:
        last, now = self._past[-1], self.snapshot()
        new = not np.array_equal(last.painted, now.painted) or bool(
            np.any(last.values != now.values)
        )
        if new:
            self._on_edit()
        return new

    def _on_edit(self) -> None:
        if self._quiet:
            return
        self._past.append(self.snapshot())
        del self._past[:-HISTORY]
        self._future.clear()
        self.changed.emit()


def _nothing() -> Snapshot:
    return Snapshot(
        np.empty((0, 2)), np.empty(0, bool), (), np.empty(0, np.int64), np.empty(0, np.uint8)
    )


def _negative_while_control(layer: Points, event: object) -> Iterator[None]:
    """A click with Control held lies outside the object."""
    if layer.mode != "add" or "Control" not in getattr(event, "modifiers", ()):
        return
    before, colour = str(layer.feature_defaults["label"].iloc[0]), layer.current_face_color
    layer.feature_defaults = {"label": "negative"}
    layer.current_face_color = layers.RED
    yield
    while getattr(event, "type", "") == "mouse_move":
        yield
    layer.feature_defaults = {"label": before}
    layer.current_face_color = colour
