"""What is truly on the sample slide, to hold results against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.geometry import Box
from histoprompt.core.slides import sample

PLACE = sample.PLACE


@dataclass(frozen=True, eq=False)
class Nucleus:
    """One nucleus of the sample slide.

    Attributes
    ----------
    box : Box
        Around it, level-0 pixels.
    mask : (h, w) bool
        Its pixels inside the box.
    """

    box: Box
    mask: NDArray[np.bool_]

    @property
    def middle(self) -> list[float]:
        """The (row, col) inside the nucleus that lies nearest to its centroid."""
        inside = np.argwhere(self.mask)
        nearest = inside[np.square(inside - inside.mean(axis=0)).sum(axis=1).argmin()]
        return [float(nearest[0] + self.box.r0), float(nearest[1] + self.box.c0)]

    def iou(self, found: NDArray[np.bool_], origin: tuple[int, int] = (0, 0)) -> float:
        """Of this nucleus with a (rows, cols) bool array whose first pixel lies at `origin`."""
        truth = np.zeros(found.shape, bool)
        truth[self.box.slices(origin)] = self.mask
        return float((truth & found).sum() / (truth | found).sum())


def nuclei_near(count: int, place: tuple[int, int] = PLACE) -> list[Nucleus]:
    """The true nuclei nearest to a place, apart from each other."""
    found = sample.nuclei_near(place, count)
    assert len(found) == count, f"only {len(found)} nuclei lie near {place}"
    return [Nucleus(mask.frame.box, mask.array) for mask in found]
