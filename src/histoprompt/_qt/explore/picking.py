"""Clicks that say: this is one, this is none."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from napari.layers import Image, Layer, Points

from histoprompt._qt.shell.gestures import click, held, is_right
from histoprompt._qt.shell.modes import Modes

_TEXT = "Click an example; with Control, what is not meant"


class Picking:
    """A mode of the canvas in which a click gives an example.

    Parameters
    ----------
    modes : Modes
    picked : callable
        Given the level-0 row and column, and whether it is one of what is meant.
    toggled : callable
        Told whether clicks give examples.
    text : str
        What the status bar says of the mode.
    """

    def __init__(
        self,
        modes: Modes,
        picked: Callable[[float, float, bool], object],
        toggled: Callable[[bool], object],
        text: str = _TEXT,
    ) -> None:
        self._text = text
        self._modes, self._picked, self._toggled = modes, picked, toggled
        self._image: Image | None = None

    @property
    def active(self) -> bool:
        """Whether clicks give examples."""
        return self._modes.owner() is self

    def attach(self, layer: Points) -> None:
        """Serve a new layer of examples."""
        layer.mouse_drag_callbacks.append(self._on_press)

    def begin(self, layer: Points, image: Image) -> None:
        """Let clicks on the layer of examples give examples of the image."""
        self._image = image
        self._modes.begin(self, layer, self._text, self._ended)
        self._toggled(True)

    def stop(self) -> None:
        """Let clicks give none any more."""
        self._modes.end(self)

    def _ended(self) -> None:
        self._toggled(False)

    def _on_press(self, _: Layer, event: Any) -> Generator[None, None, None]:
        like = not (is_right(event) or "Control" in held(event))
        if (yield from click(event)) and self.active and self._image is not None:
            row, col = self._image.world_to_data(event.position)[-2:]
            self._picked(float(row), float(col), like)
