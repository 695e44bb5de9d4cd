"""Labels as compressed bytes: zstd, as zarr's own codec of that name writes them."""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

LEVEL = 1


def encode(labels: NDArray[np.uint32]) -> bytes:
    """Compress an array of uint32, little-endian, in C order."""
    buffer: Any = np.ascontiguousarray(labels, "<u4")
    return bytes(imagecodecs.zstd_encode(buffer, level=LEVEL))


def decode(data: bytes, shape: tuple[int, ...]) -> NDArray[np.uint32]:
    """The array of this shape, read-only.

    Raises
    ------
    ValueError
        If the bytes are damaged.
    """
    try:
        raw = imagecodecs.zstd_decode(data)
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    return np.frombuffer(raw, "<u4").reshape(shape)
