"""How likely what was found is a nucleus. numpy and scipy only.

What a network sees of a nucleus says how sure it is of pixels, not of the nucleus. A logistic
function of it, fitted to nuclei that people outlined, says how many of a hundred such are there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from scipy.special import expit

# What is looked at of each nucleus, in this order.
EVIDENCE = ("foreground", "undecided", "distance", "boundary", "size")


@dataclass(frozen=True, slots=True)
class ProbabilityCalibration:
    """A logistic function of the evidence.

    Attributes
    ----------
    intercept : float
    weights : tuple of float
        One for each of `EVIDENCE`.
    """

    intercept: float
    weights: tuple[float, ...]

    def probability(self, seen: NDArray[np.floating]) -> NDArray[np.float32]:
        """Probability of each of n cells, (n,), from their (n, k) evidence; NaN stays NaN."""
        return np.asarray(expit(seen @ np.array(self.weights) + self.intercept), np.float32)


def evidence(maps: NDArray[np.floating], labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """What the maps show of each nucleus.

    Parameters
    ----------
    maps : (3, h, w) float
        Foreground, distance and boundary, in [0, 1].
    labels : (h, w) int32
        Nuclei from 1.

    Returns
    -------
    (n, k) float32
        The mean foreground, the share of pixels whose foreground is between .2 and .8, the greatest
        distance, the mean boundary at the outline, and the logarithm of the area in pixels; NaN for
        a label that no pixel has.
    """
    count = int(labels.max(initial=0))
    if not count:
        return np.zeros((0, len(EVIDENCE)), np.float32)
    rows, cols = np.nonzero(labels)
    of = labels[rows, cols] - 1
    front, distance, boundary = (np.asarray(m[rows, cols], np.float64) for m in maps)
    outer = ndi.minimum_filter(labels, 3, mode="nearest") != ndi.maximum_filter(labels, 3)
    edge = outer[rows, cols]

    def mean(
        values: NDArray[np.float64], where: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        here, what = (of, values) if where is None else (of[where], values[where])
        total = np.bincount(here, weights=what, minlength=count)
        return np.asarray(total / np.maximum(np.bincount(here, minlength=count), 1))

    area = np.bincount(of, minlength=count)
    deepest = np.zeros(count)
    np.maximum.at(deepest, of, distance)
    undecided = ((front > 0.2) & (front < 0.8)).astype(float)
    size = np.log(np.maximum(area, 1))
    seen = np.stack([mean(front), mean(undecided), deepest, mean(boundary, edge), size], axis=1)
    seen[area == 0] = np.nan
    return seen.astype(np.float32)
