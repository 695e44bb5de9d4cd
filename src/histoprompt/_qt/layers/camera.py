"""Where the camera looks, and which keys go to the canvas."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from histoprompt.core.geometry import Box

# Share of the canvas that what was flown to takes.
_SHARE = 0.25
# Share of the canvas that a whole slide takes, and the share below which it cannot be made out.
_ALMOST, _SPECK = 0.95, 0.1


def fly_to(viewer: ViewerModel, image: Image, box: Box) -> None:
    """Show a level-0 box of an image in the middle of the canvas, with its surroundings."""
    camera = viewer.scene.camera
    camera.center = (0, *image.data_to_world(box.centre)[-2:])
    side = max(box.height, box.width) * float(max(abs(image.scale)))
    camera.zoom = _SHARE * min(viewer.canvas.size) / side


def show_whole(viewer: ViewerModel, image: Image, box: Box) -> None:
    """Show all of a slide, if nothing of it is in view or it is much smaller than the view."""
    camera, size = viewer.scene.camera, np.array(viewer.canvas.size)
    middle = np.array(image.data_to_world(box.centre)[-2:])
    extent = np.array(box.shape) * np.abs(np.array(image.scale[-2:]))
    seen = size / max(camera.zoom, 1e-9)
    away = np.abs(middle - np.array(camera.center[-2:])) > (extent + seen) / 2
    if away.any() or (extent < _SPECK * seen).all():
        camera.center = (0, *middle)
        camera.zoom = float((_ALMOST * size / extent).min())


def focus_canvas(viewer: ViewerModel) -> None:
    """Let keys go to the canvas, so that none ends in a text field of a dock."""
    window: Any = getattr(viewer, "window", None)
    if window is not None:
        window._qt_viewer.canvas.native.setFocus()


def show_scale_bar(viewer: ViewerModel) -> None:
    """Show how large things are, where pixels have a known size."""
    viewer.canvas.overlays.scale_bar.visible = True
