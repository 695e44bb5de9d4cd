"""PNG and JPEG: decoded whole, so only up to a size."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from histoprompt.core.errors import SlideError
from histoprompt.core.files.read_errors import READ_ERRORS
from histoprompt.core.readers.naming import slide_name
from histoprompt.core.readers.pixel_size import PixelSize
from histoprompt.core.slides.fingerprint import file_key
from histoprompt.core.slides.levels import RgbLevel, Source, WholeImage, peak_of, window
from histoprompt.core.slides.limits import Limits
from histoprompt.core.slides.pixel_rule import PixelRule
from histoprompt.core.slides.slide import Slide

_INCH_UM = 25400.0
_PNG = b"\x89PNG\r\n\x1a\n"
# Rows that are converted at a time.
_BAND = 512
_ORIENTATION = 0x112
# Modes of Pillow that take one byte a pixel; the others take four, RGB as well.
_ONE_BYTE = ("1", "L", "P")
# The least a picture can be compressed to: DEFLATE's best is 1032 to 1, and JPEG needs a bit for
# each block of 64 pixels. Half of that, to be sure.
_DEFLATE_BEST, _JPEG_BEST = 1032, 64 * 8 * 2


@dataclass(frozen=True)
class _Header:
    """What a picture says of itself.

    Attributes
    ----------
    shape : (rows, cols, channels)
        As stored.
    dtype : dtype
    mode : str or None
        What Pillow decodes to; None for what it would cut to 8 bits.
    orientation : int
        As EXIF counts it: 1 as stored, 3 upside down, 6 and 8 lying.
    size : PixelSize
    held : int
        Bytes a pixel takes once it is decoded.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    mode: str | None
    orientation: int
    size: PixelSize
    held: int


def open_plain(path: Path, limits: Limits) -> Slide:
    """Open a PNG or JPEG; its pixels are decoded at the first read and kept.

    Raises
    ------
    SlideError
        If the file is too short for the picture it announces, or the picture is too large to be
        decoded whole. Damage shows as any of `READ_ERRORS`.
    """
    header = _read_header(path)
    _check(path, header, limits)
    if header.mode is None:
        stored: Source = WholeImage(header.shape, header.dtype, lambda: _deep_pixels(path, header))
    else:
        stored = PillowImage(path, header.shape, header.mode)
    pixels = stored if header.orientation == 1 else Turned(stored, header.orientation)
    peak, note = peak_of(pixels, "YXS")
    turned = "turned as its EXIF orientation says" if header.orientation != 1 else None
    return Slide(
        name=slide_name(path),
        key=file_key(path),
        levels=(RgbLevel(pixels, "YXS", path.name, PixelRule(peak)),),
        mpp=header.size.mpp,
        mpp_source="file" if header.size.mpp else None,
        path=str(path.resolve()),
        notes=(*header.size.notes, *filter(None, (turned, note))),
        properties={
            "format": path.suffix.lstrip(".").upper(),
            "channels": str(header.shape[2]),
        },
    )


def _read_header(path: Path) -> _Header:
    with _open(path) as image:
        width, height = image.size
        dpi = image.info.get("dpi")
        x, y = (_INCH_UM / float(v) if v else None for v in dpi) if dpi else (None, None)
        size = PixelSize.from_print_resolution(x, y)
        orientation = _orientation(image)
        deep = _deep_channels(path)
        if deep is not None:
            shape = height, width, deep
            return _Header(shape, np.dtype(np.uint16), None, orientation, size, 2 * deep)
        mode = _mode_for(image)
        shape = height, width, {"L": 1, "RGB": 3, "RGBA": 4}[mode]
        held = 1 if image.mode in _ONE_BYTE else 4
        return _Header(shape, np.dtype(np.uint8), mode, orientation, size, held)


def _deep_channels(path: Path) -> int | None:
    """How many channels a PNG of 16 bits has; Pillow would give the upper eight of each value."""
    with path.open("rb") as file:
        start = file.read(26)
    if not start.startswith(_PNG) or start[24] != 16:
        return None
    return {0: 1, 2: 3, 4: 2, 6: 4}[start[25]]


def _open(path: Path) -> Image.Image:
    """Open by the kind of file itself: `Image.open` has a limit that nobody can trust a file past.

    What may be asked for is checked by `_check` before anything is decoded.
    """
    with path.open("rb") as file:
        png = file.read(8) == _PNG
    return PngImageFile(path) if png else JpegImageFile(path)


def _orientation(image: Image.Image) -> int:
    """As EXIF counts it; 1 where it says nothing that can be read."""
    if "exif" not in image.info:
        return 1
    try:
        stated = image.getexif().get(_ORIENTATION, 1)
    except READ_ERRORS:
        return 1
    return stated if stated in _TURNS else 1


def _check(path: Path, header: _Header, limits: Limits) -> None:
    """Hold what the header announces against the limits and against the length of the file."""
    rows, cols, _ = header.shape
    limits.check_sides(path.name, rows, cols)
    nbytes = rows * cols * header.held
    limits.check_piece(path.name, f"a picture of {rows} x {cols} pixels", nbytes)
    length = path.stat().st_size
    least = _least_bytes(path, rows, cols)
    if length < least:
        raise SlideError(
            f"{path.name} announces {rows:,} x {cols:,} pixels, but {length:,} bytes cannot hold "
            f"them (at least {least:,}). It is damaged or incomplete: copy or download it again."
        )


def _least_bytes(path: Path, rows: int, cols: int) -> int:
    """The fewest bytes a picture of this size can have."""
    with path.open("rb") as file:
        start = file.read(26)
    if not start.startswith(_PNG):
        return rows * cols // _JPEG_BEST
    depth, kind = start[24:26]
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(kind, 1)
    return rows * (1 + cols * depth * samples // 8) // _DEFLATE_BEST


def _deep_pixels(path: Path, header: _Header) -> NDArray[Any]:
    deep: NDArray[Any] = np.asarray(imagecodecs.png_decode(path.read_bytes()))
    rows, cols, channels = header.shape
    return deep.reshape(rows, cols, -1)[..., :channels]


class PillowImage:
    """A picture as Pillow holds it, decoded at the first read and held once.

    Parameters
    ----------
    path : Path
    shape : (rows, cols, channels)
        As its header states it.
    mode : {"L", "RGB", "RGBA"}
        What is read.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, path: Path, shape: tuple[int, int, int], mode: str) -> None:
        self.shape = shape
        self._path, self._mode = path, mode
        self._image: Image.Image | None = None
        self._lock = threading.Lock()

    def __getitem__(self, key: Any) -> NDArray[Any]:
        rows, cols, channels = window(key, self.shape)
        out = np.empty((rows.stop - rows.start, cols.stop - cols.start, self.shape[2]), np.uint8)
        image = self._loaded()
        for top in range(rows.start, rows.stop, _BAND):
            bottom = min(top + _BAND, rows.stop)
            part = image.crop((cols.start, top, cols.stop, bottom)).convert(self._mode)
            band = np.asarray(part).reshape(bottom - top, -1, self.shape[2])
            out[top - rows.start : bottom - rows.start] = band
        return out[:: rows.step, :: cols.step, channels]

    def _loaded(self) -> Image.Image:
        with self._lock:
            if self._image is None:
                with _open(self._path) as image:
                    image.load()
                self._image = image  # its file is closed, its pixels stay
            return self._image


def _mode_for(image: Image.Image) -> str:
    if image.has_transparency_data:
        return "RGBA"
    return "L" if image.mode in ("1", "L") else "RGB"


# What EXIF's orientations do to stored pixels to show them upright.
_TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}
_LYING = (5, 6, 7, 8)
# Where what is shown first is stored last: of the stored rows, and of the stored columns.
_UP, _BACK = (3, 4, 6, 7), (2, 3, 7, 8)


class Turned:
    """A stored picture as EXIF says that it is to be looked at.

    Parameters
    ----------
    stored : array-like, (h, w, c)
    orientation : int
        1 to 8.
    """

    def __init__(self, stored: Source, orientation: int) -> None:
        self._stored, self._orientation = stored, orientation
        h, w, c = stored.shape
        self.shape = (w, h, c) if orientation in _LYING else (h, w, c)
        self.dtype = stored.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        down, across, channels = window(key, self.shape)
        here = (across, down) if self._orientation in _LYING else (down, across)
        h, w, _ = self._stored.shape
        rows = _backwards(here[0], h) if self._orientation in _UP else here[0]
        cols = _backwards(here[1], w) if self._orientation in _BACK else here[1]
        whole = slice(rows.start, rows.stop, 1), slice(cols.start, cols.stop, 1), channels
        part = _TURNS[self._orientation](self._stored[whole])
        return part[:: down.step, :: across.step]


def _backwards(part: slice, length: int) -> slice:
    """The same stretch of an axis, counted from its other end."""
    return slice(length - part.stop, length - part.start)
