"""A slide of bands and an encoder that tells them apart, without torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.slides.slide import Slide
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager

CARD = ModelCard("bands", "encoder", "Bands", "bands:load", input_size=16, mpp=1.0, memory_mib=1)
SIDE = 32  # level-0 pixels a tile covers at 0.5 µm
COLOURS = ((225, 150, 190), (150, 110, 180), (200, 120, 120))
GLASS = (243, 243, 243)


def slide_of(rows: tuple[int, ...], name: str, *, seed: int = 0, cols: int = 12) -> Slide:
    """A slide with a band of one tile's height for each number, an index of `COLOURS`.

    The last quarter of the columns is glass. Each band has a texture, so that tiles differ.
    """
    rng = np.random.default_rng(seed)
    image = np.empty((len(rows) * SIDE, cols * SIDE, 3), np.uint8)
    for k, colour in enumerate(rows):
        image[k * SIDE : (k + 1) * SIDE] = COLOURS[colour]
    image[:, cols * SIDE * 3 // 4 :] = GLASS
    noise = rng.integers(-6, 7, image.shape) + rng.integers(-5, 6, (*image.shape[:2], 1))
    return Slide.from_arrays(name, [(image + noise).clip(0, 255).astype(np.uint8)], mpp=0.5)


class Bands:
    """A `TileEncoder`: mean and spread of each colour."""

    width = 6

    def __init__(self) -> None:
        self.seen = 0

    def encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.seen += len(tiles)
        flat = tiles.reshape(len(tiles), -1, 3).astype(np.float32)
        return np.concatenate([flat.mean(1), flat.std(1)], axis=1)


def manager_of(model: Bands) -> ModelManager:
    """A manager that has this model for every card."""
    return ModelManager("cpu", 100.0, load=lambda *_: model)


def load(*_: object) -> Bands:
    """The loader its card names."""
    return Bands()
