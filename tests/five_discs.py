"""Five dark discs, and a cell segmenter that finds dark things."""

from __future__ import annotations

import numpy as np
from scipy import ndimage as ndi

from histoprompt.models.card import ModelCard

CARD = ModelCard("dark", "cells", "Dark things", "five_discs:dark_things", mpp=0.25, memory_mib=1)
MIDDLES = [(40, 50), (40, 120), (110, 60), (110, 140), (180, 90)]


def discs() -> np.ndarray:
    """(220, 200, 3) uint8."""
    seeds = np.ones((220, 200), bool)
    seeds[tuple(np.transpose(MIDDLES))] = False
    near = ndi.distance_transform_edt(seeds) <= 10
    return np.where(near[..., None], 60, 230).astype(np.uint8).repeat(3, axis=2)


class DarkThings:
    """Connected dark pixels are cells; a `CellSegmenter`."""

    def segment(self, image: np.ndarray) -> np.ndarray:
        return ndi.label(image[..., 0] < 128)[0].astype(np.int32)


def dark_things(*_: object) -> DarkThings:
    return DarkThings()
