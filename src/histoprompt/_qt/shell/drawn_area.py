"""A rectangle drawn on a slide to say: work here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Shapes
from qtpy.QtCore import QTimer

from histoprompt._qt.layers import make as layers
from histoprompt._qt.shell.modes import Modes
from histoprompt.core.geometry import Box

AREA = "drawn_area"
_COLOUR = "#f0a30a"
_HOW = "Drag a rectangle on the slide: the last one counts"


class DrawnArea:
    """The layer of the rectangle, one for an image, made when it is wanted.

    Docks of one viewer share it.
    """

    def __init__(self, viewer: ViewerModel, image: Image) -> None:
        self._viewer, self._image = viewer, image

    @property
    def layer(self) -> Shapes | None:
        """The layer, if it is there."""
        for layer in self._viewer.layers:
            facts = layer.metadata.get("histoprompt", layers.NONE_GIVEN)
            if isinstance(layer, Shapes) and facts.get("area_of") == self._image.unique_id:
                return layer
        return None

    def draw(self, modes: Modes, owner: object, ended: Callable[[], object]) -> None:
        """Let the user drag one rectangle; `ended` is called when it is drawn, or given up."""
        layer = self.layer
        if layer is None:
            layer = self._make()
            self._viewer.add_layer(layer)
        layer.mode = "add_rectangle"
        modes.begin(owner, layer, _HOW, partial(_stop, layer, ended))
        layer.mouse_drag_callbacks.append(partial(_once_drawn, partial(modes.end, owner)))

    def box(self, bounds: Box) -> Box | None:
        """The last rectangle, in whole level-0 pixels inside `bounds`; None if there is none."""
        layer = self.layer
        drawn = [] if layer is None else layers.read_boxes(layer)
        inside = drawn[-1].to_pixels().intersection(bounds) if drawn else None
        return None if inside is None else inside.to_pixels()

    def _make(self) -> Shapes:
        return Shapes(
            ndim=2,
            name=AREA,
            edge_color=_COLOUR,
            edge_width=3,
            face_color="transparent",
            metadata=layers.provenance(kind="area", area_of=self._image.unique_id),
            **layers.transform_of(self._image),
        )


def _stop(layer: Shapes, ended: Callable[[], object]) -> None:
    layer.mouse_drag_callbacks[:] = [
        call
        for call in layer.mouse_drag_callbacks
        if getattr(call, "func", None) is not _once_drawn
    ]
    layer.mode = "pan_zoom"
    ended()


def _once_drawn(end: Callable[[], object], _: Shapes, event: Any) -> Iterator[None]:
    """End the mode after a drag, once napari is done with it."""
    yield
    moved = False
    while event.type == "mouse_move":
        moved = True
        yield
    if moved:
        QTimer.singleShot(0, end)
