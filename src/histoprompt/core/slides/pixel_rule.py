"""How stored values become red, green and blue of 0 to 255."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import SlideError

# The share of the values that may lie above what is taken for white. A hot pixel or an overshoot of
# a resampling filter must not decide how bright a whole picture is shown.
_ABOVE = 0.001
_MOST_VALUES = 2**22
# Floating point of 0 to 1 may overshoot a little, and so may that of 0 to 255; between the two lies
# what has a scale of its own.
_UNIT, _OWN_SCALE, _BYTES = 1.05, 16.0, 260.0


@dataclass(frozen=True)
class PixelRule:
    """How stored values become red, green and blue of 0 to 255.

    Attributes
    ----------
    peak : float
        The stored value that is shown as 255.
    inverted : bool
        Whether 0 means white (a TIFF's MINISWHITE).
    alpha : "straight", "premultiplied" or "ignored"
        What a fourth (or, on grey, a second) channel means. Glass is white, so transparent pixels
        become white, and so do those whose value is not a number.
    floor : float
        The stored value that is shown as 0.
    """

    peak: float = 255.0
    inverted: bool = False
    alpha: str = "straight"
    floor: float = 0.0

    def apply(self, block: NDArray[Any]) -> NDArray[np.uint8]:
        """Convert an (h, w, c) block of any dtype, c of 1 to 4, to (h, w, 3) uint8."""
        values = self._to_bytes(block)
        colours, alpha = values, None
        if values.shape[2] in (2, 4):
            colours, alpha = values[..., :-1], values[..., -1:]
        if self.inverted:
            colours = 255 - colours
        if alpha is not None and self.alpha != "ignored":
            colours = _on_white(colours, alpha, self.alpha == "premultiplied")
        if colours.shape[2] == 1:
            colours = np.repeat(colours, 3, axis=2)
        return np.ascontiguousarray(colours)

    def _to_bytes(self, block: NDArray[Any]) -> NDArray[np.uint8]:
        if block.dtype == np.uint8 and self.peak == 255 and not self.floor:
            return block
        scaled = (block.astype(np.float32) - np.float32(self.floor)) * np.float32(
            255 / (self.peak - self.floor)
        )
        if block.dtype.kind == "f":
            white = 0.0 if self.inverted else 255.0
            np.nan_to_num(scaled, copy=False, nan=white, posinf=255.0, neginf=0.0)
        bytes_: NDArray[np.uint8] = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
        return bytes_


def _on_white(
    colours: NDArray[np.uint8], alpha: NDArray[np.uint8], premultiplied: bool
) -> NDArray[np.uint8]:
    if (alpha == 255).all():
        return colours
    a = alpha.astype(np.uint16)
    lit = colours.astype(np.uint16) if premultiplied else (colours * a + 127) // 255
    blended: NDArray[np.uint8] = np.minimum(lit + (255 - a), 255).astype(np.uint8)
    return blended


def white_level(
    values: NDArray[Any], bits: int | None = None, name: str = "The image"
) -> tuple[float, str | None]:
    """Say which stored value is to be shown as 255, and what was assumed.

    Scanners store 8, 10, 12, 14 or 16 bits in 16: the smallest range of whole bits that holds all
    but a thousandth of the values is taken. Floating point is 0 to 1 where it fits, then 0 to 255.

    Parameters
    ----------
    values : array
        Some of an image's.
    bits : int, optional
        Bits a value as the file states them, which may be fewer than its type holds.
    name : str
        Of the file, for the message.

    Returns
    -------
    peak : float
    note : str or None
        None for 8 bits, where nothing is assumed.

    Raises
    ------
    SlideError
        If the values are no numbers, or complex ones.
    """
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind not in "buif":
        raise SlideError(
            f"{name} holds values of type {values.dtype}, which are no colours. Export it as RGB."
        )
    if kind == "b":
        return 1.0, None
    if kind in "ui" and bits is not None and bits < 8 * size:
        peak = float(2**bits - 1)
    elif kind == "u" and size == 1:
        return 255.0, None
    elif kind == "f":
        peak = _float_peak(_top(values))
    else:
        peak = float(2 ** max(8, int(_top(values)).bit_length()) - 1)
    return peak, f"values are {values.dtype}, shown as 8 bits with {peak:g} as white"


def _float_peak(top: float) -> float:
    if top <= 0:
        return 1.0
    if top <= _UNIT:
        return 1.0
    return top if top <= _OWN_SCALE or top > _BYTES else 255.0


def _top(values: NDArray[Any]) -> float:
    """What all but a thousandth of the finite values do not exceed; 0 if there are none."""
    some = values.ravel()[:: max(1, values.size // _MOST_VALUES)]
    if some.dtype.kind == "f":
        some = some[np.isfinite(some)]
    if not some.size:
        return 0.0
    # few values: none of them is a thousandth
    return max(0.0, float(np.quantile(some, 1 - _ABOVE, method="higher")))
