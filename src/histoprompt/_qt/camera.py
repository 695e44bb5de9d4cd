"""Where the camera looks, and where keys go."""

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
    """Let keys go to the canvas, so that none ends in a text field of a dock."""
    window: Any = getattr(viewer, "window", None)
    if window is not None:
        window._qt_viewer.canvas.native.setFocus()


def show_scale_bar(viewer: ViewerModel) -> None:
    """Show how large things are, where pixels have a known size."""
    viewer.canvas.overlays.scale_bar.visible = True
