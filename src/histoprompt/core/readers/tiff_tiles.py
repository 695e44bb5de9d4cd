"""The tiles or strips of one level of a TIFF, decoded when they are asked for.

tifffile knows the layouts and the codecs. Reading goes straight to its tile decoder rather than
through a zarr array over it: a third less time a region, reads from several threads run side by
side, and an unreadable tile is told apart from a missing one.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import PHOTOMETRIC, TiffFrame, TiffPage

from histoprompt.core.readers.codestream import Stated, stated_size
from histoprompt.core.readers.tiff_checks import chunk_shape
from histoprompt.core.readers.ycbcr import YCbCr

Page = TiffPage | TiffFrame

# A few threads for the time of one read; more do not help beside the viewer and the models.
_MANY_TILES, _WORKERS = 9, 4
# What they may decode side by side, beyond one tile.
_AT_ONCE_BYTES = 2**28

# Tiles that are pictures with a header of their own, by their number: JPEG, JPEG 2000, PNG, WebP,
# JPEG XL, JPEG XR, LERC. Their decoders hand out colours, unless JPEG 2000 or LERC holds YCbCr.
_PICTURES = frozenset(
    (
        6,
        7,
        22610,
        33003,
        33004,
        33005,
        33007,
        34712,
        34887,
        34892,
        34933,
        34934,
        50001,
        50002,
        52546,
    )
)
_JPEGS = frozenset((6, 7, 33007, 34892))
_APERIO_YCBCR, _APERIO_RGB = 33003, 33005
_AS_STORED = frozenset((_APERIO_YCBCR, 33004, 34712, 34887))


class TiffTiles:
    """One level as an (H, W, C) array; tiles that a sparse file leaves out are white.

    Parameters
    ----------
    pages : sequence of tifffile pages or None
        One page with all its channels, or a page a channel; None is a page the file leaves out.
    keyframe : TiffPage
        Describes all of them.

    Raises
    ------
    ValueError, NotImplementedError
        If the compression, or how colours are sampled, is not supported.
    """

    def __init__(self, pages: Sequence[Page | None], keyframe: TiffPage) -> None:
        self._pages, self._key = list(pages), keyframe
        channels = len(self._pages) * keyframe.samplesperpixel
        self.shape = (int(keyframe.imagelength), int(keyframe.imagewidth), channels)
        self.dtype = np.dtype(keyframe.dtype)
        self._planar = keyframe.planarconfig == 2 and keyframe.samplesperpixel > 1
        self.chunks = chunk_shape(keyframe)
        self._to_rgb = _conversion(keyframe)
        inverted = keyframe.photometric == PHOTOMETRIC.MINISWHITE
        self._white = _white(self.dtype, inverted)
        self._across = -(-self.shape[1] // self.chunks[1])
        self._down = -(-self.shape[0] // self.chunks[0])
        for page in self._pages:
            if page is not None:
                page.parent.filehandle.set_lock(True)
        if keyframe.compression in _PICTURES - _JPEGS:
            keyframe.subsampling = (1, 1)  # the picture itself says how it is sampled
        keyframe.decode(None, 0)  # raises for a compression nobody can decode

    def __getitem__(self, key: tuple[slice, slice, slice]) -> NDArray[Any]:
        rows, cols, channels = key
        out = self._blank(rows.stop - rows.start, cols.stop - cols.start)
        th, tw = self.chunks
        down = range(rows.start // th, -(-rows.stop // th))
        across = range(cols.start // tw, -(-cols.stop // tw))
        wanted = range(*channels.indices(self.shape[2]))
        paste = partial(self._paste, out, rows.start, cols.start, wanted)
        _each(paste, list(product(down, across)), max(1, _AT_ONCE_BYTES // self.piece_bytes))
        return out[:: rows.step, :: cols.step, channels]

    @property
    def piece_bytes(self) -> int:
        """Bytes of one decoded tile or strip."""
        values = 1 if self._planar else self._key.samplesperpixel
        return int(self.chunks[0] * self.chunks[1] * values * self.dtype.itemsize)

    @property
    def is_one_piece(self) -> bool:
        """Whether the whole level is a single tile or strip."""
        return len(self._segments(0)) * self._across * self._down == 1

    def whole(self) -> NDArray[Any]:
        """All pixels. A level of one piece is what its decoder gives, not held a second time."""
        h, w, _ = self.shape
        page, index = self._segments(0)[0]
        if self.is_one_piece and page is not None:
            tile, stored = self._decode(page, index)
            if tile is not None and tile.shape[0] >= h and tile.shape[1] >= w:
                pixels = np.asarray(tile[:h, :w], self.dtype)
                return pixels if stored is None else _coloured(pixels, stored)
        return self[slice(0, h, 1), slice(0, w, 1), slice(None)]

    def is_blank(self, rows: slice, cols: slice) -> bool:
        """Whether the file leaves out every tile that meets these pixels."""
        th, tw = self.chunks
        down = slice(rows.start // th, -(-rows.stop // th))
        across = slice(cols.start // tw, -(-cols.stop // tw))
        return not bool(self._there[down, across].any())

    @cached_property
    def _there(self) -> NDArray[np.bool_]:
        """(down, across) bool: which tiles the file holds at least a part of."""
        count = self._across * self._down
        planes = self._key.samplesperpixel if self._planar else 1
        found = np.zeros(count, bool)
        for page in self._pages:
            if page is not None:
                counts = np.asarray(page.databytecounts[: count * planes], np.uint64)
                offsets = np.asarray(page.dataoffsets[: count * planes], np.uint64)
                stored = (counts > 0) & (offsets > 0)
                found |= stored[: count * planes].reshape(planes, count).any(axis=0)
        return found.reshape(self._down, self._across)

    def _blank(self, height: int, width: int) -> NDArray[Any]:
        return np.full((height, width, self.shape[2]), self._white, self.dtype)

    def _paste(
        self, out: NDArray[Any], row: int, col: int, wanted: range, tile_at: tuple[int, int]
    ) -> None:
        """Copy the part of a tile that lies in `out`, whose first pixel is (row, col).

        Channels that are not wanted and lie in pieces of their own stay as they are.
        """
        i, j = tile_at
        top, left = i * self.chunks[0] - row, j * self.chunks[1] - col
        r0, c0 = max(0, top), max(0, left)
        first, convert = 0, None
        r1, c1 = r0, c0
        for page, index in self._segments(i * self._across + j):
            count = 1 if self._planar else self._key.samplesperpixel
            asked = any(first <= c < first + count for c in wanted)
            tile, stored = (None, None) if page is None or not asked else self._decode(page, index)
            if tile is not None:
                part = tile[r0 - top : out.shape[0] - top, c0 - left : out.shape[1] - left]
                r1, c1 = r0 + part.shape[0], c0 + part.shape[1]
                out[r0:r1, c0:c1, first : first + count] = part
                convert = stored
            first += count
        if convert is not None:
            out[r0:r1, c0:c1] = _coloured(out[r0:r1, c0:c1], convert)

    def _segments(self, index: int) -> list[tuple[Page | None, int]]:
        """The (page, index in the page) of each stored piece of one tile."""
        planes = self._key.samplesperpixel if self._planar else 1
        step = self._across * self._down
        return [(p, index + plane * step) for p in self._pages for plane in range(planes)]

    def _decode(self, page: Page, index: int) -> tuple[NDArray[Any] | None, YCbCr | None]:
        """One decoded (h, w, c) tile, and how its colours are stored; None if it is left out."""
        offset, count = page.dataoffsets[index], page.databytecounts[index]
        if not (offset and count):
            return None, None
        options: dict[str, Any] = {"_fullsize": True}
        if page.jpegtables is not None:
            options["jpegtables"] = page.jpegtables
        if self._key.jpegheader is not None:
            options["jpegheader"] = self._key.jpegheader
        data = _read(page, offset, count)
        stated = stated_size(data) if self._key.compression in _PICTURES else None
        self._check(stated)
        decoded = self._key.decode(data, index, **options)[0]
        if decoded is None:
            return None, None
        converted = stated is not None and stated.rgb and not self._planar
        return np.asarray(decoded)[0], None if converted else self._to_rgb

    def _check(self, stated: Stated | None) -> None:
        """Refuse a picture that is larger than its tile before its decoder asks for the memory."""
        rows, cols = self.chunks
        if stated is not None and (stated.height > rows or stated.width > cols):
            raise ValueError(
                f"a tile of {rows} x {cols} pixels holds a picture of {stated.height} x "
                f"{stated.width}"
            )


def _coloured(pixels: NDArray[Any], stored: YCbCr) -> NDArray[Any]:
    """The same (h, w, c) with the first three channels as red, green and blue."""
    colours = stored.to_rgb(pixels[..., :3])
    return colours if pixels.shape[2] == 3 else np.dstack([colours, pixels[..., 3:]])


def _each(
    paste: Callable[[tuple[int, int]], None], tiles: list[tuple[int, int]], most: int
) -> None:
    """Paste all the tiles, at most so many side by side: decoders leave Python's lock."""
    if len(tiles) < _MANY_TILES or most == 1:
        for tile in tiles:
            paste(tile)
        return
    with ThreadPoolExecutor(min(_WORKERS, most, os.cpu_count() or 1)) as pool:
        deque(pool.map(paste, tiles), maxlen=0)  # to the end, so that errors come out


def _conversion(keyframe: TiffPage) -> YCbCr | None:
    """How the colours are stored, where what the decoder hands out is not red, green and blue."""
    kind = keyframe.compression
    stated = keyframe.photometric == PHOTOMETRIC.YCBCR and kind != _APERIO_RGB
    if not (stated or kind == _APERIO_YCBCR) or keyframe.samplesperpixel < 3:
        return None
    if kind in _PICTURES - _AS_STORED and keyframe.planarconfig == 1:
        return None
    return YCbCr.of_page(keyframe)


def _white(dtype: np.dtype[Any], inverted: bool) -> float:
    """The stored value that is shown as white; for floating point, whose scale may be any, NaN."""
    if dtype.kind == "f":
        return float("nan")
    if inverted:
        return 0
    return 1 if dtype.kind == "b" else np.iinfo(dtype).max


def _read(page: Page, offset: int, count: int) -> bytes:
    """Read bytes of the file; several threads share its one position."""
    file = page.parent.filehandle
    with file.lock:  # a real lock since `set_lock`; without that it locks nothing
        if file.closed:
            file.open()
        file.seek(offset)
        data: bytes = file.read(count)
    if len(data) < count:
        raise OSError(f"the file ends {count - len(data)} bytes before the tile does")
    return data
