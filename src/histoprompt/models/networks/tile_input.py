"""Tiles as the published encoders want them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histoprompt.core.errors import ModelError
from histoprompt.models.networks.precision import computing_in

if TYPE_CHECKING:
    from torch import Tensor

# Tiles put through a network at once.
BATCH = 32


@dataclass(frozen=True)
class Recipe:
    """How a tile becomes a network's input.

    Its shortest side is resized to `side` by cubic interpolation, the middle square is taken, and
    each channel, in [0, 1], loses `mean` and is divided by `std`.
    """

    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def prepare(self, tile: NDArray[np.uint8]) -> NDArray[np.float32]:
        """An (h, w, 3) uint8 RGB tile as (3, side, side) float32."""
        square = _middle_square(tile, self.side)
        # There are 256 values a channel: looking them up is many times quicker than arithmetic.
        return np.stack([values[square[:, :, c]] for c, values in enumerate(self._values)])

    @cached_property
    def _values(self) -> NDArray[np.float32]:
        """(3, 256) float32: what each value of each channel becomes."""
        shades = np.arange(256, dtype=np.float64) / 255
        mean, std = np.array(self.mean)[:, None], np.array(self.std)[:, None]
        return np.asarray((shades - mean) / std, np.float32)


IMAGENET = Recipe(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _middle_square(tile: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    h, w = tile.shape[:2]
    if (h, w) == (side, side):
        return tile
    short = min(h, w)
    rows, cols = side * h // short, side * w // short
    resized = np.asarray(Image.fromarray(tile).resize((cols, rows), Image.Resampling.BICUBIC))
    r, c = round((rows - side) / 2), round((cols - side) / 2)
    return resized[r : r + side, c : c + side]


def features_of(
    forward: Callable[[Tensor], Any],
    tiles: NDArray[np.uint8],
    recipe: Recipe,
    device: str,
    half: str | None = None,
) -> NDArray[np.float32]:
    """What a network makes of tiles, a batch at a time.

    Parameters
    ----------
    forward : callable
        Takes (b, 3, side, side) float32 on the device, gives (b, d).
    tiles : (n, h, w, 3) uint8
    recipe : Recipe
    device : str
    half : str, optional
        As for `precision.computing_in`.

    Returns
    -------
    (n, d) float32

    Raises
    ------
    ModelError
        If the array is of another kind or empty.
    """
    import torch

    _check_tiles(tiles)
    found = []
    with torch.inference_mode(), computing_in(half, device):
        for start in range(0, len(tiles), BATCH):
            batch = np.stack([recipe.prepare(tile) for tile in tiles[start : start + BATCH]])
            found.append(forward(torch.from_numpy(batch).to(device)).float().cpu().numpy())
    return np.concatenate(found)


def _check_tiles(tiles: NDArray[np.uint8]) -> None:
    if tiles.ndim != 4 or tiles.shape[3] != 3 or tiles.dtype != np.uint8 or not tiles.size:
        raise ModelError(
            f"Tiles must be (n, rows, columns, 3) uint8 and not empty, not {tiles.shape} "
            f"{tiles.dtype}."
        )
