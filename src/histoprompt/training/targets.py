"""What the instance decoder learns to draw: foreground, depth and rim, at half resolution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.segmentation import find_boundaries

from histoprompt.training.augment import Float
from histoprompt.training.data import Labels


def instance_targets(labels: Labels) -> Float:
    """Targets of an (h, w) label image with even sides.

    Returns
    -------
    (3, h / 2, w / 2) float32 in [0, 1]
        Foreground (share of the 2 x 2 pixels covered); depth, the distance to the outline over
        the greatest one in the same object; rim, the share of pixels on an outline.
    """
    rims = find_boundaries(labels, mode="inner")
    planes = np.stack([labels > 0, relative_depth(labels), rims]).astype(np.float32)
    k, h, w = planes.shape
    return np.asarray(planes.reshape(k, h // 2, 2, w // 2, 2).mean((2, 4)), np.float32)


def relative_depth(labels: Labels) -> Float:
    """Distance to the outline of each object over its greatest, (h, w), 0 in the background."""
    depth = np.zeros(labels.shape, np.float32)
    for value, where in enumerate(ndi.find_objects(labels), start=1):
        if where is None:
            continue
        inside = np.pad(labels[where] == value, 1)
        distance = ndi.distance_transform_edt(inside)[1:-1, 1:-1]
        depth[where] += distance / distance.max()
    return depth


def half(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where all of the 2 x 2 pixels are known, (h / 2, w / 2)."""
    h, w = known.shape
    return np.asarray(known.reshape(h // 2, 2, w // 2, 2).all((1, 3)))
