"""What the network of nuclei learns to draw: foreground, depth and rim."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from histoprompt.training.augment import Float
from histoprompt.training.data import Labels


def instance_targets(labels: Labels, depth: NDArray[np.floating] | None = None) -> Float:
    """Targets of an (h, w) label image.

    Parameters
    ----------
    labels : (h, w) int32
    depth : (h, w) float, optional
        `relative_depth` of the labels, if it is known already.

    Returns
    -------
    (3, h, w) float32 in [0, 1]
        Foreground; depth, the distance to the outline over the greatest one in the same object;
        rim, the outermost pixels of objects.
    """
    rims = inner_rims(labels)
    deep = relative_depth(labels) if depth is None else depth
    return np.stack([labels > 0, deep, rims]).astype(np.float32)


def inner_rims(labels: Labels) -> NDArray[np.bool_]:
    """Pixels of objects beside a pixel of something else, (h, w)."""
    rims = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        ahead, behind = (np.moveaxis(x, axis, 0) for x in (labels, rims))
        differ = ahead[1:] != ahead[:-1]
        behind[1:] |= differ
        behind[:-1] |= differ
    return rims & (labels > 0)


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
