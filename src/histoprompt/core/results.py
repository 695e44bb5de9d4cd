"""What pipelines return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.geometry import Box, Frame
from histoprompt.core.labels.regrid import regrid


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

    def sample(self, frame: Frame) -> NDArray[np.bool_]:
        """The mask on another grid: a (rows, cols) bool array lying at `frame`.

        False outside the mask's array; place and area are kept as `regrid` keeps them.
        """
        return regrid(self.array.astype(np.int32), self.frame, frame) > 0

    def at_level0(self, bounds: Box) -> Mask:
        """The mask in level-0 pixels, cut at `bounds` and cropped to the object."""
        tight = self.cropped()
        box = tight.frame.box.to_pixels().intersection(bounds)
        if box is None or tight.empty:
            corner = Box(bounds.r0, bounds.c0, bounds.r0 + 1, bounds.c0 + 1)
            return Mask(np.zeros((1, 1), bool), Frame(corner, (1, 1)), self.score)
        frame = Frame(box, box.shape)
        return Mask(tight.sample(frame), frame, self.score).cropped()
