"""Merging and deleting committed objects by clicking them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from napari.layers import Labels

from histoprompt._qt.annotator import Annotator

Mode = Literal["off", "merge", "delete"]


class Corrections:
    """Clicks on the committed objects.

    Alt-click joins objects and Control-click removes one, always; in the modes "merge" and "delete"
    a plain click does the same. In merge, the first click picks and each further one joins.
    """

    def __init__(self, annotator: Annotator) -> None:
        self._annotator = annotator
        self._picked = 0
        self.mode: Mode = "off"
        annotator.committed.layer.mouse_drag_callbacks.append(self._on_press)

    def choose(self, mode: Mode) -> None:
        """Make plain clicks merge, delete, or do neither."""
        self.mode, self._picked = mode, 0
        layer = self._annotator.committed.layer
        if mode != "off":
            self._annotator.viewer.layers.selection.active = layer
            layer.mode = "pan_zoom"

    def click(self, row: float, col: float, action: Mode) -> None:
        """Merge or delete the object at a level-0 position."""
        found = self._annotator.committed.at(row, col)
        if action == "off" or not found:
            return
        if action == "delete":
            self._annotator.delete([found])
        elif self._picked in (0, found):
            self._picked = found
            self._annotator.status.emit(f"Object {found} picked: click the object to join to it.")
        else:
            pair = [self._picked, found]
            self._annotator.merge(pair)
            self._picked = min(pair)

    def _on_press(self, layer: Labels, event: Any) -> Iterator[None]:
        action = self._action(event.modifiers)
        yield
        dragged = event.type == "mouse_move"
        while event.type == "mouse_move":
            yield
        if dragged or action == "off":
            return
        position = self._annotator.image.world_to_data(event.position)
        self.click(*position[-2:], action)

    def _action(self, modifiers: Any) -> Mode:
        names = {str(getattr(m, "value", m)) for m in modifiers}
        if "Alt" in names:
            return "merge"
        return "delete" if names & {"Control", "Ctrl"} else self.mode
