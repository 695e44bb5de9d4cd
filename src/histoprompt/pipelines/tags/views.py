"""Ten views of a picture: turned, mirrored, larger and smaller, dyed more and less."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histoprompt.core.stain.deconvolution import EOSIN, HAEMATOXYLIN, optical_density, unmix

VIEWS: Final = 10
# How much smaller or larger, and how much more or less of each dye, at most.
ZOOM: Final = 0.15
DYE: Final = 0.1
_SEED: Final = 20261201


@dataclass(frozen=True)
class Augmentation:
    """How one view is made.

    Attributes
    ----------
    turns : int
        Quarter turns.
    mirrored : bool
    zoom : float
        Side of what is shown over the side of the picture.
    dyes : (float, float)
        Amounts of haematoxylin and eosin over those of the picture.
    """

    turns: int
    mirrored: bool
    zoom: float
    dyes: tuple[float, float]


@cache
def views() -> tuple[Augmentation, ...]:
    """The views, the same ones for every picture; the first is the picture itself."""
    rng = np.random.default_rng(_SEED)
    made = [Augmentation(0, False, 1.0, (1.0, 1.0))]
    for number in range(1, VIEWS):
        zoom = float(rng.uniform(1 - ZOOM, 1 + ZOOM))
        h, e = rng.uniform(1 - DYE, 1 + DYE, 2).tolist()
        made.append(Augmentation(number % 4, number % 8 >= 4, zoom, (h, e)))
    return tuple(made)


def seen(square: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    """All views of a picture.

    Parameters
    ----------
    square : (s, s, 3) uint8
        The picture with a rim of `ZOOM` of its side in all.
    pixels : int
        Side of each view.

    Returns
    -------
    (10, pixels, pixels, 3) uint8
    """
    side = square.shape[0]
    inner, image = side / (1 + ZOOM), Image.fromarray(square)
    found = np.empty((VIEWS, pixels, pixels, 3), np.uint8)
    for number, view in enumerate(views()):
        before = (side - inner * view.zoom) / 2
        box = (before, before, side - before, side - before)
        shown = np.asarray(image.resize((pixels, pixels), Image.Resampling.BILINEAR, box=box))
        shown = np.rot90(shown, view.turns)
        found[number] = shown[:, ::-1] if view.mirrored else shown
    return dyed(found)


def dyed(stack: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The views with each its amounts of dyes; what no dye explains stays as it is."""
    density = optical_density(stack)
    amounts = unmix(density, (HAEMATOXYLIN, EOSIN))
    dyes = np.stack([np.asarray(d) / np.linalg.norm(d) for d in (HAEMATOXYLIN, EOSIN)])
    factors = np.array([view.dyes for view in views()], np.float32) - 1
    density = density + (amounts * factors[:, None, None]) @ dyes.astype(np.float32)
    return np.clip(np.rint(256 * 10**-density - 1), 0, 255).astype(np.uint8)
