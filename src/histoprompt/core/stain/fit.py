"""The dyes of one slide: colours vary with batch and scanner, so they are fitted to its pixels.

The two dyes span a plane in optical density; the extreme directions within it are the pure ones:
M. Macenko et al., "A method for normalizing histology slides for quantitative analysis", ISBI 2009,
1107-1110. A direction far from the published dye is not believed, and the published one is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.stain.deconvolution import (
    DAB,
    EOSIN,
    HAEMATOXYLIN,
    has_dab,
    optical_density,
    unmix,
)

Dye = tuple[float, float, float]
Stain = Literal["H&E", "H-DAB"]

# Macenko's settings: least density of a stained pixel, and the percentile taken as extreme.
_LEAST_DENSITY = 0.15
_EXTREME = 1.0
_FEWEST_PIXELS = 500
_MOST_PIXELS = 100_000
# Pixels looked at to find the stained ones.
_MOST_SEEN = 600_000
# Degrees from the published dye beyond which a fit is not believed. Eosins differ most.
_FARTHEST: Final = {"haematoxylin": 25.0, "eosin": 30.0, "dab": 20.0}
_LEAST_APART = 12.0


@dataclass(frozen=True)
class StainMatrix:
    """What a slide is stained with.

    Attributes
    ----------
    stain : {"H&E", "H-DAB"}
    haematoxylin, other : (red, green, blue)
        Optical densities of the pure dyes, of length 1; `other` is eosin or DAB.
    fitted : frozenset of str
        Which of ``"haematoxylin"``, ``"eosin"`` and ``"dab"`` were found in the slide; the others
        are as published by Ruifrok and Johnston.
    """

    stain: Stain
    haematoxylin: Dye
    other: Dye
    fitted: frozenset[str] = frozenset()

    @classmethod
    def published(cls, stain: Stain) -> StainMatrix:
        """The dyes of Ruifrok and Johnston."""
        return cls(stain, _unit(HAEMATOXYLIN), _unit(EOSIN if stain == "H&E" else DAB))

    def amounts(self, density: NDArray[np.float32]) -> NDArray[np.float32]:
        """Haematoxylin, eosin and DAB of (..., 3) optical densities, (..., 3) float32.

        The dye that the slide was not stained with is 0 everywhere.
        """
        found = unmix(density, (self.haematoxylin, self.other))
        out = np.zeros(density.shape, np.float32)
        out[..., 0] = found[..., 0]
        out[..., 1 if self.stain == "H&E" else 2] = found[..., 1]
        return out


def fit_dyes(image: NDArray[np.uint8], stain: Stain | None = None) -> StainMatrix:
    """Find the dyes of a slide in a picture of it.

    Fit once a slide, on an overview or a few fields with tissue, and use the result in every tile:
    else the same cell would measure differently in two tiles.

    Parameters
    ----------
    image : (h, w, 3) uint8 RGB
        Brightfield.
    stain : {"H&E", "H-DAB"}, optional
        Decided by whether there is brown, if not given. An immunostain without any positive cell
        has no brown, so state it where it is known.

    Returns
    -------
    Dyes
        Each dye as fitted, or as published where there are too few stained pixels or the fit lies
        too far from it.
    """
    pixels = image.reshape(-1, 1, 3)
    density = optical_density(pixels[:: max(1, len(pixels) // _MOST_SEEN)])
    kind: Stain = stain or ("H-DAB" if has_dab(density) else "H&E")
    published = StainMatrix.published(kind)
    ends = _extremes(density.reshape(-1, 3))
    if ends is None:
        return published
    second = "eosin" if kind == "H&E" else "dab"
    first, other = sorted(ends, key=lambda v: _angle(v, published.haematoxylin))
    fitted = set()
    dyes = {"haematoxylin": published.haematoxylin, second: published.other}
    for name, found in (("haematoxylin", first), (second, other)):
        if _angle(found, dyes[name]) <= _FARTHEST[name]:
            dyes[name] = found
            fitted.add(name)
    if _angle(dyes["haematoxylin"], dyes[second]) < _LEAST_APART:
        return published
    return StainMatrix(kind, dyes["haematoxylin"], dyes[second], frozenset(fitted))


def _extremes(pixels: NDArray[np.float32]) -> tuple[Dye, Dye] | None:
    """The extreme directions of stained pixels within their plane; None if there are too few."""
    stained = pixels[(pixels > _LEAST_DENSITY).any(axis=1) & (pixels.max(axis=1) < 2.0)]
    stained = stained[:: max(1, len(stained) // _MOST_PIXELS)].astype(np.float64)
    if len(stained) < _FEWEST_PIXELS:
        return None
    _, vectors = np.linalg.eigh(np.cov(stained.T))
    plane = vectors[:, [2, 1]]
    plane = plane * np.where(plane.sum(axis=0) < 0, -1, 1)
    x, y = (stained @ plane).T
    low, high = np.percentile(np.arctan2(y, x), [_EXTREME, 100 - _EXTREME])
    first, second = (plane @ [np.cos(angle), np.sin(angle)] for angle in (low, high))
    return _unit(first), _unit(second)


def _unit(vector: Dye | NDArray[np.float64]) -> Dye:
    values = np.maximum(np.asarray(vector, float), 0)
    red, green, blue = (values / max(float(np.linalg.norm(values)), 1e-9)).tolist()
    return red, green, blue


def _angle(first: Dye, second: Dye) -> float:
    """Degrees between two directions."""
    cosine = float(np.dot(first, second) / (np.linalg.norm(first) * np.linalg.norm(second) + 1e-12))
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
