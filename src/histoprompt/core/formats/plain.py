"""PNG and JPEG: decoded whole, so only up to a size."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from histoprompt.core.errors import SlideError
from histoprompt.core.fingerprint import file_key
from histoprompt.core.formats.naming import slide_name
from histoprompt.core.formats.pixel_size import PixelSize
from histoprompt.core.levels import DECODE_ERRORS, PixelRule, RgbLevel, WholeImage, peak_of
from histoprompt.core.slide import Slide

_INCH_UM = 25400.0


def open_plain(path: Path) -> Slide:
    """Open a PNG or JPEG; its pixels are decoded at the first read and kept.

    Raises
    ------
    SlideError
        If the header is damaged, or the image has more pixels than can be decoded whole.
    """
    mode, (width, height), size = _read_header(path)
    channels = {"L": 1, "I;16": 1, "RGB": 3, "RGBA": 4}[mode]
    dtype = np.dtype(np.uint16 if mode == "I;16" else np.uint8)
    pixels = WholeImage((height, width, channels), dtype, lambda: _decode(path, mode))
    peak, note = peak_of(pixels, "YXS")
    return Slide(
        name=slide_name(path),
        key=file_key(path),
        levels=(RgbLevel(pixels, "YXS", path.name, PixelRule(peak)),),
        mpp=size.mpp,
        mpp_source="file" if size.mpp else None,
        path=str(path.resolve()),
        notes=(*size.notes, *((note,) if note else ())),
        properties={"format": path.suffix.lstrip(".").upper(), "channels": str(channels)},
    )


def _read_header(path: Path) -> tuple[str, tuple[int, int], PixelSize]:
    try:
        with _open(path) as image:
            dpi = image.info.get("dpi")
            x, y = (_INCH_UM / float(v) if v else None for v in dpi) if dpi else (None, None)
            return _mode_for(image), image.size, PixelSize.from_print_resolution(x, y)
    except Image.DecompressionBombError as error:
        raise SlideError(
            f"{path.name} has too many pixels to decode whole ({_reason(error)}). Convert it to a "
            f"pyramidal TIFF first: vips tiffsave {path.name} slide.tif --tile --pyramid "
            "--compression jpeg"
        ) from error
    except (UnidentifiedImageError, *DECODE_ERRORS) as error:
        raise SlideError(
            f"{path.name} is damaged or incomplete: {_reason(error)}. Copy or download it again."
        ) from error


def _open(path: Path) -> Image.Image:
    """Open without Pillow's warning: its hard limit is the one we report."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(path)


def _decode(path: Path, mode: str) -> NDArray[Any]:
    with _open(path) as image:
        pixels = np.asarray(image if mode == "I;16" else image.convert(mode))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _mode_for(image: Image.Image) -> str:
    if image.has_transparency_data:
        return "RGBA"
    if image.mode.startswith("I;16"):
        return "I;16"
    return "L" if image.mode in ("1", "L") else "RGB"


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
