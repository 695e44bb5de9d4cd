"""Slides with clustered cells, and a machine that misses some and makes some up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi


@dataclass(frozen=True)
class Tissue:
    """What a slide and its count are like.

    Attributes
    ----------
    mean : float
        Cells of a field.
    clustering : float
        Standard deviation of the logarithm of their density between regions.
    missed, made_up : float
        Typical share of cells that are missed, and of false ones; both vary between regions.
    """

    mean: float
    clustering: float
    missed: float
    made_up: float


def simulate(tissue: Tissue, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """True and found cells of each field, two (N,) arrays; N varies between 100 and 400."""
    side = int(rng.integers(10, 21))
    density = np.exp(tissue.clustering * _regions(side, rng) - tissue.clustering**2 / 2)
    true = rng.poisson(tissue.mean * density * rng.gamma(4, 1 / 4, (side, side)))
    quality = np.exp(0.6 * _regions(side, rng))
    found = rng.binomial(true, 1 - np.clip(tissue.missed * quality, 0, 0.9))
    false = tissue.made_up * tissue.mean * 0.7 / quality * rng.gamma(1, 1, (side, side))
    return true.ravel(), (found + rng.poisson(false)).ravel()


def _regions(side: int, rng: np.random.Generator) -> NDArray:
    """A smooth field of mean about 0 and deviation 1."""
    field = ndi.gaussian_filter(rng.normal(size=(side, side)), 2, mode="wrap")
    return field / field.std()
