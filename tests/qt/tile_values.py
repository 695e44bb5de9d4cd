"""What a layer shows of the tiles of a slide, however many pixels it draws them with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def tile_values(layer: Any, image: Any, step: int) -> NDArray[Any]:
    """The value in the middle of each tile, (rows, cols).

    Parameters
    ----------
    layer : Image or Labels
    image : Image
        The slide, whose tiles are laid from its first pixel.
    step : int
        Level-0 pixels per side of a tile; those at the far edges are smaller.
    """
    level = image.data[0] if image.multiscale else image.data
    middles = [
        [(start + min(start + step, length) - 1) / 2 for start in range(0, length, step)]
        for length in level.shape[:2]
    ]
    data = np.asarray(layer.data)
    return np.array([[data[_pixel(layer, image, (r, c))] for c in middles[1]] for r in middles[0]])


def _pixel(layer: Any, image: Any, place: tuple[float, float]) -> tuple[int, int]:
    row, col = layer.world_to_data(image.data_to_world(place))
    return round(row), round(col)
