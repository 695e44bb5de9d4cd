"""Whatever openslide reads and no reader here does, such as MIRAX: through the optional package."""

from __future__ import annotations

import importlib
import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import SlideError
from histoprompt.core.geometry import Box
from histoprompt.core.readers.naming import slide_name
from histoprompt.core.readers.pixel_size import PixelSize
from histoprompt.core.slides.fingerprint import file_key, text_key
from histoprompt.core.slides.levels import RgbLevel
from histoprompt.core.slides.limits import Limits
from histoprompt.core.slides.pixel_rule import PixelRule
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.printable import one_line, reason_of

if TYPE_CHECKING:
    from openslide import OpenSlide

# Files that only openslide reads, whatever they begin with: a MIRAX file is a JPEG to look at,
# whose pixels lie in the folder beside it.
SUFFIXES = (".mrxs", ".vms", ".vmu", ".svslide")
# Makers whose slides are several files.
_MANY_FILES = ("mirax", "hamamatsu", "dicom")
_INSTALL = "pip install 'napari-histoprompt[openslide]'"
# Pixels that openslide is asked for at a time: it draws into four bytes for each.
_BAND_PIXELS = 2**24


def is_openslide(path: Path) -> bool:
    """Whether openslide is installed and knows a file."""
    if not _installed():
        return False
    from openslide import OpenSlide

    return OpenSlide.detect_format(str(path)) is not None


def _installed() -> bool:
    """Whether the package is there, and the library that it is for."""
    try:
        importlib.import_module("openslide")
    except (ImportError, OSError):
        return False
    return True


def open_with_openslide(path: Path, limits: Limits) -> Slide:
    """Open a slide with openslide; what it leaves out is white, as glass is.

    Raises
    ------
    SlideError
        If openslide is not installed, does not know the file, or finds it damaged.
    """
    if not _installed():
        raise SlideError(f"{one_line(path.name)} is read by the package openslide: {_INSTALL}.")
    from openslide import OpenSlideError

    try:
        opened = _Opened(path)
        return _slide(path, opened, limits)
    except OpenSlideError as error:
        said = reason_of(error)
        raise SlideError(
            f"{one_line(path.name)} cannot be read by openslide ({said}). Copy it again, with the "
            "folder of the same name beside it if it has one."
        ) from error


def _slide(path: Path, opened: _Opened, limits: Limits) -> Slide:
    says = opened.properties
    box = _bounds(says, opened.dimensions[0])
    limits.check_sides(path.name, int(box.height), int(box.width))
    levels = tuple(
        RgbLevel(OpenSlideLevel(opened, i, box), "YXS", path.name, PixelRule(), _tile(says, i))
        for i in range(len(opened.dimensions))
    )
    size = PixelSize.stated(_number(says, "mpp-x"), _number(says, "mpp-y"))
    vendor = says.get("openslide.vendor")
    objective = says.get("openslide.objective-power")
    cut = box.shape != opened.dimensions[0][::-1]
    note = ("only the scanned part of the slide is shown, as its maker bounds it",) if cut else ()
    return Slide(
        name=slide_name(path),
        key=_key(path, says),
        levels=levels,
        mpp=size.mpp,
        mpp_source="file" if size.mpp else None,
        vendor=vendor,
        path=str(path.resolve()),
        notes=(*size.notes, *note),
        properties={"format": f"{vendor} through openslide"}
        | ({"objective": objective} if objective else {}),
        release=opened.close,
    )


def _key(path: Path, says: Mapping[str, str]) -> str:
    """Of the file, and of the pixels where they lie in others."""
    if says.get("openslide.vendor") not in _MANY_FILES:
        return file_key(path)
    return text_key([file_key(path), says.get("openslide.quickhash-1", "")])


def _bounds(says: Mapping[str, str], size: tuple[int, int]) -> Box:
    """What was scanned, in level-0 pixels of the file; all of it where nothing else is said."""
    whole = Box(0, 0, size[1], size[0])
    names = ("bounds-y", "bounds-x", "bounds-height", "bounds-width")
    row, col, height, width = (_number(says, name) for name in names)
    if row is None or col is None or not height or not width:
        return whole
    return Box(row, col, row + height, col + width).intersection(whole) or whole


def _number(says: Mapping[str, str], name: str) -> float | None:
    try:
        value = float(says.get(f"openslide.{name}", ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _tile(says: Mapping[str, str], level: int) -> tuple[int, int] | None:
    high, wide = (_number(says, f"level[{level}].tile-{side}") for side in ("height", "width"))
    return (int(high), int(wide)) if high and wide else None


class _Opened:
    """A file held open; after an error openslide needs it opened anew."""

    def __init__(self, path: Path) -> None:
        from openslide import OpenSlide

        self._path = path
        self._lock = threading.Lock()
        self._slide: OpenSlide | None = OpenSlide(str(path))
        self.properties: Mapping[str, str] = dict(self._slide.properties)
        self.dimensions: tuple[tuple[int, int], ...] = self._slide.level_dimensions
        self.downsamples: tuple[float, ...] = self._slide.level_downsamples

    def read(self, place: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """(rows, cols, 4) uint8 RGBA of a place (x, y) in level-0 pixels and a size (w, h)."""
        from openslide import OpenSlide, OpenSlideError

        with self._lock:
            if self._slide is None:
                self._slide = OpenSlide(str(self._path))
            slide = self._slide
        try:
            return np.asarray(slide.read_region(place, level, size), np.uint8)
        except OpenSlideError as error:
            with self._lock:
                if self._slide is slide:
                    self._slide = None
            raise OSError(str(error)) from error

    def close(self) -> None:
        with self._lock:
            if self._slide is not None:
                self._slide.close()
            self._slide = None


class OpenSlideLevel:
    """A level within the bounds of the slide, as an (H, W, 4) uint8 array; read from many threads.

    Parameters
    ----------
    opened : _Opened
    level : int
    box : Box
        The bounds in level-0 pixels.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, opened: _Opened, level: int, box: Box) -> None:
        self._opened, self._level, self._box = opened, level, box
        self._step = opened.downsamples[level]
        most_cols, most_rows = opened.dimensions[level]
        rows, cols = (max(1, round(n / self._step)) for n in box.shape)
        self.shape = (min(rows, most_rows), min(cols, most_cols), 4)

    def __getitem__(self, key: tuple[slice, slice, slice]) -> NDArray[Any]:
        rows, cols, channels = key
        out = np.empty((rows.stop - rows.start, cols.stop - cols.start, 4), np.uint8)
        band = max(1, _BAND_PIXELS // max(1, out.shape[1]))
        for top in range(0, out.shape[0], band):
            part = out[top : top + band]
            place = (
                round(self._box.c0 + cols.start * self._step),
                round(self._box.r0 + (rows.start + top) * self._step),
            )
            part[...] = self._opened.read(place, self._level, (part.shape[1], part.shape[0]))
        return out[:: rows.step, :: cols.step, channels]
