"""The three prompt layers as one thing that changes, is read, and can be undone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Shapes
from numpy.typing import NDArray
from psygnal import Signal
from superqt.utils import QSignalThrottler

from histoprompt._qt.layers import make as layers
from histoprompt._qt.layers.edits import EditWatcher
from histoprompt._qt.shell.gestures import held, is_right
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.labels.contours import enclosed
from histoprompt.core.prompts.prompt import INSIDE, OUTSIDE, Prompt, PromptKind

# Least time between two looks at what is being drawn, milliseconds.
LOOK_MS = 80
_DRAWING = ("add_rectangle", "add_ellipse", "paint", "erase")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The prompts at one moment; scribbles as indices and values of painted pixels of `area`."""

    area: Frame
    points: NDArray[np.float64]
    labels: NDArray[np.bool_]
    boxes: tuple[Box, ...]
    painted: NDArray[np.int32]
    values: NDArray[np.uint8]

    @classmethod
    def of(cls, prompt: Prompt, area: Frame) -> Snapshot:
        """The clicks and the box of a prompt; its scribbles are left out."""
        none = np.empty(0, np.int32)
        boxes = () if prompt.box is None else (prompt.box,)
        return cls(area, prompt.points, prompt.labels, boxes, none, none.astype(np.uint8))

    @property
    def empty(self) -> bool:
        """Whether nothing is prompted."""
        return not self.kinds

    def says_as(self, other: Snapshot) -> bool:
        """Whether the same is prompted."""
        return self.boxes == other.boxes and all(
            np.array_equal(getattr(self, part), getattr(other, part))
            for part in ("points", "labels", "painted", "values")
        )

    @property
    def kinds(self) -> frozenset[PromptKind]:
        """Which kinds of prompts there are."""
        there: dict[PromptKind, bool] = {
            "point": len(self.points) > 0,
            "box": bool(self.boxes),
            "scribble": len(self.painted) > 0,
        }
        return frozenset(kind for kind, is_there in there.items() if is_there)


class PromptLayers:
    """Clicks, boxes and scribbles of the object in hand.

    Attributes
    ----------
    changed : Signal
        There are other prompts.
    edited : Signal(str, Snapshot, Snapshot)
        The user added, moved or removed a prompt: what it was, before and after; `changed` follows.
    drawing : Signal
        A box or a scribble is being drawn and has grown; `prompt` holds what there is of it. Not
        sent more often than every `LOOK_MS`, and not once the button is released.
    """

    changed = Signal()
    edited = Signal(str, Snapshot, Snapshot)
    drawing = Signal()

    def __init__(self, viewer: ViewerModel, image: Image, area: Frame) -> None:
        self._viewer = viewer
        self._image = image
        self._area = area
        self._quiet = False
        self._inside = True
        # What the press in hand says, where that is not what the tool says.
        self._once: bool | None = None
        self.points: Points = layers.make_points(image)
        self.boxes: Shapes = layers.make_boxes(image)
        self.scribbles: Labels = layers.make_scribbles(image, area)
        for layer in self.all:
            self._viewer.add_layer(layer)
        self.points.events.data.connect(self._on_data)
        self.points.events.features.connect(self._on_features)
        self.boxes.events.data.connect(self._on_data)
        self._watcher = EditWatcher(self.scribbles, self._take_scribble)
        self.points.mouse_drag_callbacks.append(self._on_press)
        self._look = QSignalThrottler()
        self._look.setTimeout(LOOK_MS)
        self._look.triggered.connect(self._on_look)
        for layer in (self.boxes, self.scribbles):
            layer.mouse_drag_callbacks.append(self._while_drawing)
        self._now = self.snapshot()

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
        return self._now.empty

    @property
    def tool(self) -> str:
        """The tool that the next click or stroke uses; empty if another layer or mode is active."""
        active = self._viewer.layers.selection.active
        if active is self.points and self.points.mode == "add":
            return "click +" if self._inside else "click -"
        if active is self.scribbles and self.scribbles.mode == "paint":
            return "scribble -" if self.scribbles.selected_label == OUTSIDE else "scribble +"
        if active is self.boxes and self.boxes.mode in _DRAWING:
            return "box"
        return ""

    def move(self, area: Frame) -> None:
        """Serve another work area; scribbles do not move along, so clear first."""
        self._area = area
        with self.silence():
            self.scribbles.data = np.zeros(area.shape, np.uint8)
            layers.move(self.scribbles, self._image, area)
            layers.move(self.points, self._image)
            layers.move(self.boxes, self._image)
        self._now = self.snapshot()

    def choose(self, tool: str) -> None:
        """Make a tool the active one: the right layer in the right mode."""
        if tool in ("click +", "click -"):
            self._inside = tool == "click +"
            self._show_sign()
            self.points.mode, active = "add", self.points
        elif tool == "box":
            self.boxes.mode, active = "add_rectangle", self.boxes
        else:
            self.scribbles.selected_label = OUTSIDE if tool == "scribble -" else INSIDE
            self.scribbles.brush_size = max(1, min(self.scribbles.brush_size, 6))
            self.scribbles.mode, active = "paint", self.scribbles
        self._viewer.layers.selection.active = active

    def toggle(self) -> str:
        """Switch between inside and outside; returns the tool now active."""
        if self._viewer.layers.selection.active is self.scribbles:
            outside = self.scribbles.selected_label == OUTSIDE
            tool = "scribble +" if outside else "scribble -"
        else:
            tool = "click -" if self._inside else "click +"
        self.choose(tool)
        return tool

    def fill(self, corners: NDArray[np.float64], inside: bool) -> bool:
        """Scribble all over what an outline encloses; whether that is anything.

        Parameters
        ----------
        corners : (n, 2) float
            Of the outline, level-0 (row, col).
        inside : bool
            Whether it is part of the object.
        """
        whole = Box.of_shape(self._area.shape)
        within = enclosed(self._area.to_array(corners), whole)
        if not within.any():
            return False
        self.scribbles.data[within] = INSIDE if inside else OUTSIDE
        self.scribbles.refresh()
        self._on_edit("the lasso")
        return True

    def clear(self) -> None:
        """Forget all prompts."""
        self.put(self.nothing())

    def put(self, snapshot: Snapshot) -> None:
        """Put prompts in the place of those there are; scribbles must be of the present area."""
        with self.silence():
            self._restore(snapshot)
        self._now = self.snapshot()

    def nothing(self) -> Snapshot:
        """No prompts."""
        return Snapshot.of(Prompt(), self._area)

    def snapshot(self) -> Snapshot:
        """The prompts as they are now."""
        points, labels = layers.read_clicks(self.points)
        data = layers.scribbled(self.scribbles)
        painted = np.flatnonzero(data).astype(np.int32)
        boxes = tuple(layers.read_boxes(self.boxes))
        values = data.reshape(-1)[painted]
        return Snapshot(self._area, points.copy(), labels, boxes, painted, values)

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Change layers without it counting as the user's doing."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def _show_sign(self) -> None:
        """Show what the next click says where napari shows its own tools."""
        self.points.selected_data = set()
        self.points.feature_defaults = {"label": _label(self._inside)}
        colour = layers.GREEN if self._inside else layers.RED
        self.points.current_face_color, self.points.current_border_color = colour, colour
        symbol = layers.INSIDE_SYMBOL if self._inside else layers.OUTSIDE_SYMBOL
        self.points.current_symbol = symbol

    def _restore(self, snapshot: Snapshot) -> None:
        self.points.data = snapshot.points
        names = [_label(inside) for inside in snapshot.labels]
        self.points.features = {"label": np.array(names, dtype="<U8")}
        layers.draw_clicks(self.points)
        self._show_sign()
        self.boxes.data = []
        if snapshot.boxes:
            self.boxes.add_rectangles([layers.box_vertices(box) for box in snapshot.boxes])
        self.scribbles.data[...] = 0
        self.scribbles.data.reshape(-1)[snapshot.painted] = snapshot.values
        layers.hatch_outside(self.scribbles)
        self.scribbles.refresh()

    def _on_press(self, _: Points, event: Any) -> None:
        """Note what this press says; napari adds the point on release, whoever hears it first."""
        if is_right(event):
            self._once = not self._inside
        else:
            self._once = False if "Control" in held(event) else None

    def _while_drawing(self, layer: Layer, event: Any) -> Iterator[None]:
        yield
        while event.type == "mouse_move":
            if layer.mode in _DRAWING:
                self._look.throttle()
            yield
        self._look.cancel()

    def _on_look(self) -> None:
        self.drawing.emit()

    def _on_data(self, event: Any) -> None:
        # Layers announce an edit before ("adding") and after ("added"); only then is it true.
        if event.action not in ("added", "removed", "changed") or self._quiet:
            return
        if event.source is self.boxes:
            self._on_edit("the box")
            return
        if event.action == "added":
            self._say_of_new(event.data_indices)
        self._on_edit("the click")

    def _on_features(self, _: object) -> None:
        """Select no new click: napari would cover its colour with that of the selection."""
        if self.points.mode == "add" and self.points.selected_data:
            self.points.selected_data = set()

    def _say_of_new(self, indices: Sequence[int]) -> None:
        """Give new clicks what tool or gesture say; napari's own defaults follow selections."""
        inside = self._inside if self._once is None else self._once
        self._once = None
        labels = self.points.features["label"].astype(str).to_numpy(dtype="<U8", copy=True)
        labels[list(indices)] = _label(inside)
        self.points.features = {"label": labels}
        layers.draw_clicks(self.points)

    def _take_scribble(self) -> bool:
        layers.hatch_outside(self.scribbles)
        last, now = self._now, self.snapshot()
        new = not np.array_equal(last.painted, now.painted) or bool(
            np.any(last.values != now.values)
        )
        if new and not self._quiet:
            self._on_edit("the scribble")
        return new

    def _on_edit(self, what: str) -> None:
        before, self._now = self._now, self.snapshot()
        self.edited.emit(what, before, self._now)
        self.changed.emit()


def _label(inside: bool) -> str:
    return "positive" if inside else "negative"
