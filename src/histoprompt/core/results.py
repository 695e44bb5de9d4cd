"""What pipelines return."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.geometry import Box, Frame
from histoprompt.core.labels.regrid import regrid

SURE = 6.9
"""The logit a mask without logits stands for: a probability of 0.999."""


@dataclass(frozen=True, eq=False)
class Logits:
    """What a network said of every pixel before it became a mask: above 0 inside, below outside.

    Attributes
    ----------
    array : (h, w) float32
    frame : Frame
        Where the array lies; it may reach beyond the image.
    """

    array: NDArray[np.float32]
    frame: Frame

    def into(self, frame: Frame) -> Logits:
        """The same in the pixels of an array that lies at `frame`."""
        return Logits(self.array, Frame(frame.box_to_array(self.frame.box), self.frame.shape))

    def sample(self, frame: Frame) -> NDArray[np.float32]:
        """The logits on another grid, (rows, cols) float32, linearly; surely outside beyond them.

        On their own grid they come back as they are, to the last digit.
        """
        if self.frame.shape == frame.shape and np.allclose(
            tuple(self.frame.box), tuple(frame.box), rtol=0, atol=1e-6 * max(frame.scale)
        ):
            return self.array
        from scipy import ndimage  # a prompt and a card of a model are known without it

        rows, cols = (np.arange(n) for n in frame.shape)
        (sr, sc), (r, c) = frame.scale, frame.origin
        at_rows = self.frame.to_array(np.stack([rows * sr + r, np.zeros(len(rows))], axis=1))[:, 0]
        at_cols = self.frame.to_array(np.stack([np.zeros(len(cols)), cols * sc + c], axis=1))[:, 1]
        grid_of = np.meshgrid(at_rows, at_cols, indexing="ij")
        # A grid position up to half a pixel beyond the outermost centres is still covered.
        low, high = -0.5 - 1e-9, np.array(self.frame.shape)[:, None, None] - 0.5 + 1e-9
        covered = ((np.stack(grid_of) >= low) & (np.stack(grid_of) <= high)).all(axis=0)
        found = ndimage.map_coordinates(self.array, grid_of, order=1, mode="nearest")
        return np.where(covered, found, -SURE).astype(np.float32)


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
    logits : Logits or None
        What the mask was made of, for a model that is to correct it; in the plane of `frame`.
    """

    array: NDArray[np.bool_]
    frame: Frame
    score: float | None = None
    logits: Logits | None = None

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

    def into(self, frame: Frame) -> Mask:
        """The same mask in the pixels of an array that lies at `frame`."""
        return replace(
            self,
            frame=Frame(frame.box_to_array(self.frame.box), self.frame.shape),
            logits=None if self.logits is None else self.logits.into(frame),
        )

    def onto(self, frame: Frame) -> Mask:
        """A mask in the pixels of an array that lies at `frame`, as one on the slide."""
        logits = self.logits
        if logits is not None:
            logits = Logits(
                logits.array, Frame(frame.box_to_slide(logits.frame.box), logits.frame.shape)
            )
        where = Frame(frame.box_to_slide(self.frame.box), self.frame.shape)
        return replace(self, frame=where, logits=logits)

    def as_logits(self, frame: Frame) -> NDArray[np.float32]:
        """The logits of the mask on another grid; those a sure mask would have if it has none."""
        if self.logits is not None:
            return self.logits.sample(frame)
        return np.where(self.sample(frame), SURE, -SURE).astype(np.float32)

    def at_level0(self, bounds: Box) -> Mask:
        """The mask in level-0 pixels, cut at `bounds` and cropped to the object; without logits."""
        tight = self.cropped()
        box = tight.frame.box.to_pixels().intersection(bounds)
        if box is None or tight.empty:
            corner = Box(bounds.r0, bounds.c0, bounds.r0 + 1, bounds.c0 + 1)
            return Mask(np.zeros((1, 1), bool), Frame(corner, (1, 1)), self.score)
        frame = Frame(box, box.shape)
        return Mask(tight.sample(frame), frame, self.score).cropped()


def mean_score(masks: Iterable[Mask]) -> float | None:
    """The mean IoU a model expects of its masks; None if it says so of none."""
    scores = [mask.score for mask in masks if mask.score is not None]
    return float(np.mean(scores)) if scores else None
