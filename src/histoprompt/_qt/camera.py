"""Where the camera looks."""

from __future__ import annotations

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
