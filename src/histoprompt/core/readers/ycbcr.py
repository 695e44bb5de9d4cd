"""Luminance and two colour differences to red, green and blue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffPage

# Pixels that are converted at a time: arithmetic takes twenty times the memory of 8-bit codes.
_BAND_PIXELS = 2**18
_REFERENCE = (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)


@dataclass(frozen=True)
class YCbCr:
    """How a TIFF stores YCbCr; the defaults are those of its specification.

    Attributes
    ----------
    luma : (red, green, blue)
        Shares of luminance: CCIR 601.
    reference : six floats
        The codes of black and white luminance, and of none and full difference in blue and in red,
        for 8 bits.
    """

    luma: tuple[float, float, float] = (0.299, 0.587, 0.114)
    reference: tuple[float, ...] = _REFERENCE

    @classmethod
    def of_page(cls, page: TiffPage) -> YCbCr:
        """As the tags YCbCrCoefficients and ReferenceBlackWhite state it."""
        luma = _rationals(page.tags.valueof(529), 3)
        codes = _rationals(page.tags.valueof(532), 6)
        top = 2 ** _bits(page) - 1
        ok = codes is not None and all(codes[i] < codes[i + 1] for i in (0, 2, 4))
        reference = tuple(v * 255 / top for v in codes) if codes and ok else _REFERENCE
        if luma is None or not all(0 < v < 1 for v in luma):
            return cls(reference=reference)
        return cls((luma[0], luma[1], luma[2]), reference)

    def to_rgb(self, codes: NDArray[Any]) -> NDArray[Any]:
        """Convert (h, w, 3) codes of an unsigned type to colours of the same type."""
        out = np.empty_like(codes)
        step = max(1, _BAND_PIXELS // max(1, codes.shape[1]))
        for top in range(0, len(codes), step):
            out[top : top + step] = self._converted(codes[top : top + step])
        return out

    def _converted(self, codes: NDArray[Any]) -> NDArray[Any]:
        top = float(np.iinfo(codes.dtype).max)
        at = codes.astype(np.float32) * np.float32(255 / top)
        black, white, no_blue, blue_end, no_red, red_end = self.reference
        y = (at[..., 0] - black) * (255 / (white - black))
        cb = (at[..., 1] - no_blue) * (127 / (blue_end - no_blue))
        cr = (at[..., 2] - no_red) * (127 / (red_end - no_red))
        share_r, share_g, share_b = self.luma
        red = y + cr * (2 - 2 * share_r)
        blue = y + cb * (2 - 2 * share_b)
        green = (y - share_r * red - share_b * blue) / share_g
        colours = np.stack([red, green, blue], axis=-1).clip(0, 255) * np.float32(top / 255)
        return np.rint(colours).astype(codes.dtype)


def _bits(page: TiffPage) -> int:
    return page.bitspersample if isinstance(page.bitspersample, int) else 8


def _rationals(value: object, count: int) -> list[float] | None:
    """So many rationals of a tag, which come as pairs of integers; None if they are not that."""
    if not isinstance(value, tuple) or len(value) != 2 * count or not all(value[1::2]):
        return None
    return [float(n / d) for n, d in zip(value[::2], value[1::2], strict=True)]
