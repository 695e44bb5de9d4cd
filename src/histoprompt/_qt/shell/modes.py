"""What clicks on the canvas do for a dock, one thing at a time, and said where one clicks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer

from histoprompt._qt.layers.camera import focus_canvas


@dataclass(frozen=True, eq=False)
class _Mode:
    owner: object
    layer: Layer
    cursor: str
    ended: Callable[[], object]


class Modes:
    """The mode that a dock has put a layer into, shown on the canvas while it lasts.

    It ends when its owner ends it, when another mode begins, and when clicks do not reach its layer
    any more: another layer is active, or the layer is gone. So no click ever does what nobody sees.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._now: _Mode | None = None
        viewer.layers.selection.events.active.connect(self._on_active)

    def begin(
        self,
        owner: object,
        layer: Layer,
        text: str,
        ended: Callable[[], object],
        cursor: str = "cross",
    ) -> None:
        """Let clicks on a layer do something from now on.

        Parameters
        ----------
        owner : object
            Who may end it again; beginning anew only changes the text.
        layer : Layer
            Becomes the active one.
        text : str
            What a click does, for the canvas.
        ended : callable
            Called once when it ends, for whatever reason.
        cursor : str
            One of napari's, for the layer.
        """
        if self._now is not None and (self._now.owner is not owner or self._now.layer is not layer):
            self._stop()
        if self._now is None:
            self._now = _Mode(owner, layer, str(layer.cursor), ended)
        self._viewer.layers.selection.active = layer
        layer.cursor = cursor
        self._show(text)
        focus_canvas(self._viewer)

    def end(self, owner: object) -> None:
        """End the mode of this owner, if it is on."""
        if self._now is not None and self._now.owner is owner:
            self._stop()

    def owner(self) -> object | None:
        """Whose mode is on."""
        return None if self._now is None else self._now.owner

    def close(self) -> None:
        """Listen no more; docks and canvas may be gone already."""
        self._now = None
        self._viewer.layers.selection.events.active.disconnect(self._on_active)

    def _stop(self) -> None:
        now, self._now = self._now, None
        if now is not None:
            now.layer.cursor = now.cursor
            self._show("")
            if not isinstance(now.owner, QObject) or isalive(now.owner):
                now.ended()

    def _show(self, text: str) -> None:
        overlay: Any = self._viewer.canvas.overlays.text
        overlay.text, overlay.visible = text, bool(text)
        # a colour bar of a map stands at the right
        overlay.position, overlay.box = "top_left", True

    def _on_active(self, _: object) -> None:
        # Adding a layer makes it the active one for a moment, until its owner puts that right.
        QTimer.singleShot(0, self._look)

    def _look(self) -> None:
        now = self._now
        if now is not None and self._viewer.layers.selection.active is not now.layer:
            self._stop()
