"""Merging, deleting and choosing committed objects by clicking them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Literal

from napari.components import ViewerModel
from napari.layers import Image, Layer
from psygnal import Signal

from histoprompt._qt.prompts.committed import CommittedObjects
from histoprompt._qt.shell.gestures import click, held, is_right

Mode = Literal["off", "merge", "delete", "refine"]
Action = Literal["off", "merge", "delete", "choose", "refine"]

_HINTS: dict[Mode, str] = {
    "merge": "Click the objects to join, one after another.",
    "delete": "Click the objects to remove.",
    "refine": "Click the object to take up again, then click or scribble what is wrong of it.",
}


class Corrections:
    """Clicks on the committed objects.

    Alt-click joins objects, Control-click removes one and Shift-click chooses the one that painting
    extends, always; in the modes "merge", "delete" and "refine" a plain click does these. In merge,
    the first click picks and each further one joins. With a tool of prompts in use, Alt-click takes
    an object up again.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        The slide's layer.
    committed : CommittedObjects
    merge, delete : callable
        Given ids, do it.
    refine : callable
        Given an id, does it.
    prompts : sequence of Layer
        The layers of prompts.

    Attributes
    ----------
    mode : "off", "merge" or "delete"
        What a plain click does.
    said : Signal(str)
        What to do next, or that nothing was hit.
    """

    said = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        committed: CommittedObjects,
        *,
        merge: Callable[[Sequence[int]], object],
        delete: Callable[[Sequence[int]], object],
        refine: Callable[[int], object],
        prompts: Sequence[Layer],
    ) -> None:
        self._viewer, self._image, self._committed = viewer, image, committed
        self._merge, self._delete, self._refine = merge, delete, refine
        self._picked = 0
        self.mode: Mode = "off"
        self.pressing = False
        for layer in (committed.layer, *prompts):
            layer.mouse_drag_callbacks.append(self._on_press)

    def choose(self, mode: Mode) -> None:
        """Make plain clicks merge, delete, refine, or do none of these."""
        self.mode, self._picked = "off", 0
        if mode == "off":
            return
        self._viewer.layers.selection.active = self._committed.layer
        self._committed.layer.mode = "pan_zoom"
        # Only now: turning to the layer ends a mode that was on.
        self.mode = mode
        self.said.emit(_HINTS[mode])

    def click(self, row: float, col: float, action: Action) -> None:
        """Merge, delete, choose or refine the object at a level-0 position."""
        found = self._committed.at(row, col)
        if action == "off":
            return
        if action == "choose":
            self._committed.choose(found)
            self.said.emit(self._committed.painting)
        elif not found:
            self._picked = 0
            self.said.emit("There is no committed object at that place.")
        elif action == "delete":
            self._delete([found])
        elif action == "refine":
            self._refine(found)
        else:
            self._join(found)

    def _join(self, found: int) -> None:
        if not self._committed.store.area_of(self._picked) or found == self._picked:
            self._picked = found
            self.said.emit(f"Object {found} picked: click the object to join to it.")
            return
        pair = [self._picked, found]
        self._merge(pair)
        self._picked = min(pair)

    def _on_press(self, layer: Any, event: Any) -> Generator[None, None, None]:
        action = self._action(layer, event)
        if action == "off" or is_right(event):
            return
        mode = layer.mode
        self.pressing = True
        # napari's own tools must not draw where a gesture was meant.
        layer.mode = "pan_zoom"
        try:
            clicked = yield from click(event)
        finally:
            layer.mode = mode
            self.pressing = False
        if clicked:
            row, col = self._image.world_to_data(event.position)[-2:]
            self.click(row, col, action)

    def _action(self, layer: Any, event: Any) -> Action:
        keys = held(event)
        if layer is not self._committed.layer:
            return "refine" if "Alt" in keys else "off"
        if "Alt" in keys:
            return "merge"
        if "Shift" in keys:
            return "choose"
        return "delete" if "Control" in keys else self.mode
