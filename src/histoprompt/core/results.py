"""What pipelines return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.geometry import Box, Frame


@dataclass(frozen=True, eq=False)
class Mask:
    """One segmented object.

    Attributes
    ----------
    array : (h, w) bool
        True inside the object.
    frame : Frame
        Where the array lies.
    score : float or None
        The model's own estimate of the mask's IoU in [0, 1]; None where it makes no usable one.
    """

    array: NDArray[np.bool_]
    frame: Frame
    score: float | None = None

    @property
    def empty(self) -> bool:
        """Whether no pixel is set."""
        return not self.array.any()

    def cropped(self) -> Mask:
        """The same mask on the smallest array that holds it; an empty mask is returned as is."""
        box = Box.of_mask(self.array)
        if box is None:
            return self
        frame = Frame(self.frame.box_to_slide(box), box.shape)
        return Mask(self.array[box.slices()], frame, self.score)

    def at_level0(self, bounds: Box) -> Mask:
        """The mask in level-0 pixels, cut at `bounds` and cropped to the object.

        Nearest-neighbour: a level-0 pixel gets the value of the array pixel its centre falls on.
        """
        tight = self.cropped()
        box = tight.frame.box.to_pixels().intersection(bounds)
        if box is None or tight.empty:
            return Mask(
                np.zeros((1, 1), bool),
                Frame(Box(bounds.r0, bounds.c0, bounds.r0 + 1, bounds.c0 + 1), (1, 1)),
                self.score,
            )
        rows = tight.frame.to_array(_axis(box.r0, box.shape[0], 0))[:, 0]
        cols = tight.frame.to_array(_axis(box.c0, box.shape[1], 1))[:, 1]
        index_r, index_c = np.rint(rows).astype(int), np.rint(cols).astype(int)
        h, w = tight.array.shape
        ok_r, ok_c = (index_r >= 0) & (index_r < h), (index_c >= 0) & (index_c < w)
        array = tight.array[np.ix_(index_r.clip(0, h - 1), index_c.clip(0, w - 1))]
        array = array & ok_r[:, None] & ok_c[None, :]
        return Mask(array, Frame(box, box.shape), self.score).cropped()


def _axis(start: float, count: int, axis: int) -> NDArray[np.float64]:
    points = np.zeros((count, 2))
    points[:, axis] = start + np.arange(count)
    return points
