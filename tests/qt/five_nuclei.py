"""A small picture with five nuclei whose places are known."""

from __future__ import annotations

import numpy as np

NUCLEI = [(40, 50), (40, 120), (110, 60), (110, 140), (180, 90)]
RADIUS = 13


def five_nuclei() -> np.ndarray:
    """Five dark purple discs on pink, (220, 200, 3) uint8."""
    rng = np.random.default_rng(0)
    image = np.full((220, 200, 3), (232, 190, 215), float)
    rr, cc = np.mgrid[:220, :200]
    for row, col in NUCLEI:
        image[(rr - row) ** 2 + (cc - col) ** 2 <= RADIUS**2] = (90, 60, 140)
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
