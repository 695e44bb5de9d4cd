"""What is truly on the sample slide, to hold results against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tifffile
from numpy.typing import NDArray
from skimage.measure import regionprops

from histoprompt.core.geometry import Box
from histoprompt.core.sample import LABELS, sample_file

# A place of the sample slide with well separated nuclei, level-0 (row, col).
PLACE = (1150, 900)
# Nuclei smaller than this many pixels are left out.
LEAST_AREA = 250


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


def nuclei_near(count: int, place: tuple[int, int] = PLACE, reach: int = 150) -> list[Nucleus]:
    """The true nuclei nearest to a place, apart from each other."""
    truth = tifffile.imread(sample_file(LABELS))
    region = Box.around(*place, 2 * reach).to_pixels()
    found: list[Nucleus] = []
    items = regionprops(truth[region.slices()].astype(np.int32))
    for item in sorted(items, key=lambda p: np.hypot(*(np.array(p.centroid) - reach))):
        box = Box(*map(int, item.bbox)).shift(region.r0, region.c0)
        apart = all(box.pad(3).intersection(other.box) is None for other in found)
        if region.pad(-2).covers(box) and item.area > LEAST_AREA and apart:
            found.append(Nucleus(box, item.image))
    assert len(found) >= count, f"only {len(found)} nuclei lie near {place}"
    return found[:count]
