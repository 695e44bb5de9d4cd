"""What the network of nuclei learns to draw: foreground, distance and boundary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from histoprompt.training.augment import Float
from histoprompt.training.data import Labels


def instance_targets(labels: Labels, distance: NDArray[np.floating] | None = None) -> Float:
    """Targets of an (h, w) label image.

    Parameters
    ----------
    labels : (h, w) int32
    distance : (h, w) float, optional
        `relative_distance` of the labels, if it is known already.

    Returns
    -------
    (3, h, w) float32 in [0, 1]
        Foreground; distance to the outline over the greatest one in the same object; boundary, the
        outermost pixels of objects.
    """
    far = relative_distance(labels) if distance is None else distance
    return np.stack([labels > 0, far, inner_boundary(labels)]).astype(np.float32)


def inner_boundary(labels: Labels) -> NDArray[np.bool_]:
    """Pixels of objects beside a pixel of something else, (h, w)."""
    boundary = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        ahead, behind = (np.moveaxis(x, axis, 0) for x in (labels, boundary))
        differ = ahead[1:] != ahead[:-1]
        behind[1:] |= differ
        behind[:-1] |= differ
    return boundary & (labels > 0)


def relative_distance(labels: Labels) -> Float:
    """Distance to the outline of each object over its greatest, (h, w), 0 in the background."""
    out = np.zeros(labels.shape, np.float32)
    for value, where in enumerate(ndi.find_objects(labels), start=1):
        if where is None:
            continue
        inside = np.pad(labels[where] == value, 1)
        distance = ndi.distance_transform_edt(inside)[1:-1, 1:-1]
        out[where] += distance / distance.max()
    return out
