"""The part of the slide that is editable now.

napari paints single arrays only, and comfortably up to a few thousand pixels. So the label layers
of the plugin hold a *work area*: at most `SIDE` array pixels a side, at level 0 when the view is
close, at a power-of-two downsample when it is far. The whole slide's labels are in the label store.
"""

from __future__ import annotations

import math

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from histoprompt.core.geometry import Box, Frame, union_of

SIDE = 2048
# Painting coarse pixels rewrites whole level-0 blocks, so it is offered only this near.
MAX_EDIT_SCALE = 4
# Regions are large, and nobody draws them pixel by pixel.
MAX_REGION_SCALE = 16


def area_for(view: Box, bounds: Box, side: int = SIDE) -> Frame:
    """The work area for a view.

    Parameters
    ----------
    view : Box
        What the user sees, level-0 pixels; may reach off the slide.
    bounds : Box
        The slide.
    side : int
        Array pixels a side at most.

    Returns
    -------
    Frame
        Scale 1, 2, 4 ... on both axes, first pixel on a multiple of the scale. At the far edges
        the box may reach less than one array pixel over the slide.
    """
    seen = view.intersection(bounds) or view.shift_inside(bounds)
    scale = scale_for(max(seen.height, seen.width), side)
    rows = _interval(seen.r0, seen.r1, bounds.r1, scale, side)
    cols = _interval(seen.c0, seen.c1, bounds.c1, scale, side)
    shape = ((rows[1] - rows[0]) // scale, (cols[1] - cols[0]) // scale)
    return Frame(Box(rows[0], cols[0], rows[1], cols[1]), shape)


def scale_for(extent: float, side: int = SIDE) -> int:
    """The smallest power of two that fits `extent` level-0 pixels into `side` array pixels."""
    return 1 << max(0, math.ceil(math.log2(max(extent, 1) / side)))


def _interval(start: float, stop: float, end: float, scale: int, side: int) -> tuple[int, int]:
    """An aligned interval around [start, stop), `side` array pixels long if the slide has them."""
    pixels = math.ceil(end / scale)
    length = min(side, pixels)
    first = round((start + stop) / 2 / scale - length / 2)
    first = min(max(first, 0), pixels - length)
    return first * scale, (first + length) * scale


def suits(area: Frame, view: Box, bounds: Box) -> bool:
    """Whether the area still serves the view: holds what is seen, at the right scale."""
    seen = view.intersection(bounds)
    if seen is None:
        return True
    wanted = scale_for(max(seen.height, seen.width), max(area.shape))
    return area.box.covers(seen) and round(area.scale[0]) <= max(wanted, 1)


def view_box(viewer: ViewerModel, image: Image) -> Box:
    """What the canvas shows, in the image's level-0 pixels."""
    camera, (height, width) = viewer.scene.camera, viewer.canvas.size
    centre = np.asarray(camera.center, dtype=float)[-2:]
    half = np.array([height, width]) / (2 * max(camera.zoom, 1e-9))
    corners = [centre + half * sign for sign in ((-1, -1), (-1, 1), (1, -1), (1, 1))]
    return union_of(
        [Box.of_points(np.atleast_2d(image.world_to_data(corner))[:, -2:]) for corner in corners]
    )
