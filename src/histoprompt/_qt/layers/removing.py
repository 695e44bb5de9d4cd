"""Layers of ours leave a viewer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Layer

from histoprompt._qt.layers.make import is_result


def take_away(viewer: ViewerModel, layers: Iterable[Layer]) -> None:
    """Remove those of some layers that are still there, a drawn frame after each.

    The canvas frees the buffers and textures of a removed layer when it draws the next time. If
    those of a Labels and of a Points layer are freed in one frame, software OpenGL goes on to draw
    from freed memory once a further layer is added, and the program crashes. So it does if they go
    one by one where no slide is left: then all go at once.
    """
    if not any(isinstance(layer, Image) and not is_result(layer) for layer in viewer.layers):
        with viewer.layers.batched_update():
            for layer in [one for one in layers if one in viewer.layers]:
                viewer.layers.remove(layer)
        return
    for layer in layers:
        if layer in viewer.layers:
            viewer.layers.remove(layer)
            _draw(viewer)


def _draw(viewer: ViewerModel) -> None:
    """Draw the canvas at once; one that is not shown has nothing to free."""
    window: Any = getattr(viewer, "window", None)
    if window is not None and window._qt_viewer.canvas.native.isVisible():
        window._qt_viewer.canvas.native.repaint()
