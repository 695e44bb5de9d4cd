"""Where the camera looks, and which keys go to the canvas."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from napari.layers import Image

from histoprompt.core.geometry import Box

# Share of the canvas that what was flown to takes.
_SHARE = 0.25


def fly_to(viewer: ViewerModel, image: Image, box: Box) -> None:
    """Show a level-0 box of an image in the middle of the canvas, with its surroundings."""
    camera = viewer.scene.camera
    camera.center = (0, *image.data_to_world(box.centre)[-2:])
    side = max(box.height, box.width) * float(max(abs(image.scale)))
    camera.zoom = _SHARE * min(viewer.canvas.size) / side


def focus_canvas(viewer: ViewerModel) -> None:
    """Let the next key go to the canvas; nothing happens in a viewer without a window."""
    window: Any = getattr(viewer, "window", None)
    if window is not None:
        # napari has no public way to the canvas of its window.
        window._qt_viewer.canvas.native.setFocus()
