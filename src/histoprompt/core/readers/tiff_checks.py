"""Whether a page of a TIFF can be what it says, before any of its pixels are asked for."""

from __future__ import annotations

import numpy as np
from tifffile import PHOTOMETRIC, TiffPage

from histoprompt.core.errors import SlideError
from histoprompt.core.files.remote import Place, size_of
from histoprompt.core.slides.limits import Limits

_JPEG, _JPEG_2000 = frozenset((6, 7, 33007, 34892)), frozenset((33003, 33004, 33005, 34712))
_FLOAT_PREDICTOR = 3


def check_page(path: Place, key: TiffPage, limits: Limits) -> None:
    """Refuse a page whose sizes are impossible or do not fit each other.

    Raises
    ------
    SlideError
        If the page or its tiles have no pixels, its values are of no type, or its table of tiles
        is too short.
    SlideTooLargeError
        If the page or one of its tiles is larger than the limits allow.
    """
    rows, cols = int(key.imagelength), int(key.imagewidth)
    if min(rows, cols) < 1:
        raise SlideError(
            f"{path.name} has an image of size ({rows}, {cols}): there are no pixels. Copy or "
            "download it again."
        )
    limits.check_sides(path.name, rows, cols)
    if key.dtype is None:
        raise SlideError(
            f"{path.name} stores {key.bitspersample} bits a value in a form that is not read. "
            "Export it with 8 or 16 bits."
        )
    high, wide = chunk_shape(key)
    if min(high, wide) < 1:
        raise SlideError(
            f"{path.name} is damaged: it says that its tiles have {high} x {wide} pixels. Copy or "
            "download it again."
        )
    values = 1 if key.planarconfig == 2 else int(key.samplesperpixel)
    nbytes = high * wide * values * np.dtype(key.dtype).itemsize * _copies(key)
    if not (key.is_contiguous and not key.is_tiled):
        limits.check_piece(path.name, f"tiles or strips of {high} x {wide} pixels", nbytes)
    planes = int(key.samplesperpixel) if key.planarconfig == 2 else 1
    needed = -(-rows // high) * -(-cols // wide) * planes
    listed = min(len(key.dataoffsets), len(key.databytecounts))
    if listed < needed:
        raise SlideError(
            f"{path.name} is damaged: its {rows:,} x {cols:,} pixels need {needed:,} tiles of "
            f"{high} x {wide}, and it lists {listed:,}. Copy or download it again."
        )


def _copies(key: TiffPage) -> int:
    """How often a tile lies in memory while it is decoded, as measured on tiles of 8192 pixels."""
    if key.compression in _JPEG_2000:
        return 6  # OpenJPEG works on 32 bits a value, for the wavelets as for the result
    twice = key.predictor == _FLOAT_PREDICTOR or key.photometric == PHOTOMETRIC.YCBCR
    return 2 if twice and key.compression not in _JPEG else 1


def cut_short(path: Place, key: TiffPage) -> str | None:
    """A note if pixels should lie behind the end of the file."""
    counts = np.asarray(key.databytecounts, dtype=np.uint64)
    offsets = np.asarray(key.dataoffsets[: len(counts)], dtype=np.uint64)
    size = np.uint64(size_of(path))
    gone = int(np.count_nonzero((offsets > size) | (counts > size - np.minimum(offsets, size))))
    if not gone:
        return None
    unit = "tiles" if key.is_tiled else "strips"
    return f"the file is cut short: {gone} of {len(offsets)} {unit} are missing; copy it again"


def chunk_shape(key: TiffPage) -> tuple[int, int]:
    """Rows and columns of a tile or strip."""
    if key.is_tiled:
        return int(key.tilelength), int(key.tilewidth)
    return min(int(key.rowsperstrip), int(key.imagelength)), int(key.imagewidth)
