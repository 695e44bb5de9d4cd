"""Clicks and keys on the layer of marks: which tile is meant, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Layer, Points
from psygnal import Signal

from histoprompt._qt.shell.gestures import click, held, is_right
from histoprompt._qt.shell.keys import MARKED
from histoprompt._qt.shell.modes import Modes
from histoprompt._qt.shell.shortcuts import bind_keys
from histoprompt._qt.shell.undo import UndoStack


class TileMarking:
    """A click marks the tile under the pointer; with Control held, it says no.

    The right button says the opposite of what clicks say.

    Parameters
    ----------
    viewer : ViewerModel
    modes : Modes
    mark_at : callable
        Marks the tile at a level-0 row and column with a yes or a no.
    steps : UndoStack
        Takes steps back.

    Attributes
    ----------
    yes : bool
        What a click says.
    toggled : Signal(bool)
        It says something else now.
    """

    toggled = Signal(bool)

    def __init__(
        self,
        viewer: ViewerModel,
        modes: Modes,
        mark_at: Callable[[float, float, bool], object],
        steps: UndoStack,
    ) -> None:
        self._viewer, self._modes, self._mark_at = viewer, modes, mark_at
        self._acts = {
            "mark_yes": self.mark_yes,
            "mark_no": self.mark_no,
            "toggle": self.toggle,
            "undo": steps.undo,
            "redo": steps.redo,
        }
        self._image: Image | None = None
        self._layer: Points | None = None
        self.yes = True

    @property
    def active(self) -> bool:
        """Whether clicks mark tiles: it was asked for, and they go to the layer of marks."""
        return self._is_chosen and self._modes.owner() is self

    @property
    def _is_chosen(self) -> bool:
        active = self._viewer.layers.selection.active
        return self._layer is not None and active is self._layer

    def attach(self, layer: Points, image: Image) -> None:
        """Serve a new layer of marks on an image."""
        self._layer, self._image = layer, image
        layer.mouse_drag_callbacks.append(self._on_press)
        bind_keys(layer, MARKED, self._acts.__getitem__)

    def choose(self, yes: bool) -> None:
        """Let clicks say this, and make them go to the layer of marks."""
        self.yes = yes
        if self._layer is not None and self._layer in self._viewer.layers:
            what = "belongs to the text" if yes else "does not belong to it"
            text = f"Marking tiles: a click says that a tile {what}"
            self._modes.begin(self, self._layer, text, self._ended)
        self.toggled.emit(yes)

    def resume(self) -> None:
        """Mark tiles where a person has chosen the layer of marks by hand."""
        if self._is_chosen and not self.active:
            self.choose(self.yes)

    def stop(self) -> None:
        """Let clicks mark nothing any more."""
        self._modes.end(self)

    def toggle(self) -> None:
        """Let clicks say the opposite."""
        self.choose(not self.yes)

    def mark_yes(self) -> None:
        """The tile under the pointer belongs to the text."""
        self._mark(self._viewer.cursor.position, True)

    def mark_no(self) -> None:
        """The tile under the pointer does not belong to the text."""
        self._mark(self._viewer.cursor.position, False)

    def _ended(self) -> None:
        # Clicks would go on to reach the layer if it stayed the active one.
        if self._is_chosen and self._image is not None and self._image in self._viewer.layers:
            self._viewer.layers.selection.active = self._image
        self.toggled.emit(self.yes)

    def _on_press(self, _: Layer, event: Any) -> Generator[None, None, None]:
        yes = not self.yes if is_right(event) else self.yes and "Control" not in held(event)
        if (yield from click(event)):
            self._mark(event.position, yes)

    def _mark(self, position: Any, yes: bool) -> None:
        if self._image is not None:
            row, col = self._image.world_to_data(position)[-2:]
            self._mark_at(float(row), float(col), yes)
