"""Images with nuclei at known places, for the tests of what works without weights."""

from __future__ import annotations

import numpy as np
from scipy import ndimage as ndi

NUCLEUS = {"he": (90, 60, 140), "dab": (90, 55, 30), "grey": (90, 90, 90), "dark": (230, 230, 230)}
GROUND = {"he": (225, 170, 205), "dab": (215, 225, 235), "grey": (215,) * 3, "dark": (12,) * 3}
# (row, col, half height, half width); the third and fourth touch.
PLACES = ((40, 40, 9, 12), (40, 110, 12, 8), (110, 50, 11, 10), (110, 69, 10, 11), (90, 130, 8, 8))


def field(kind: str = "he", scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """An (h, w, 3) uint8 image and its (h, w) int32 labels, `scale` times 150 x 170 pixels."""
    shape = round(150 * scale), round(170 * scale)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, np.int32)
    for value, (r, c, a, b) in enumerate(PLACES, 1):
        inside = ((rows / scale - r) / a) ** 2 + ((cols / scale - c) / b) ** 2 <= 1
        labels[inside & (labels == 0)] = value
    image = np.where((labels > 0)[..., None], NUCLEUS[kind], GROUND[kind]).astype(float)
    image = ndi.gaussian_filter(image, (1, 1, 0))
    image += np.random.default_rng(1).normal(0, 4, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), labels


def centre(value: int, scale: float = 1.0) -> tuple[float, float]:
    """Where the nucleus of this label lies."""
    return PLACES[value - 1][0] * scale, PLACES[value - 1][1] * scale
