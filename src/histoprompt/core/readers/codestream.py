"""What a compressed picture says of its own size, read from its first bytes without decoding.

A tile of a slide is a picture in another format, with a header of its own. A decoder believes that
header and asks for the memory it names, so it is held against the size of the tile before.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Stated:
    """The size a codestream states.

    Attributes
    ----------
    width, height : int
    rgb : bool
        Whether the decoder hands out red, green and blue whatever is stored: colour at half
        resolution, or a colour space that the stream itself names, is converted by it.
    """

    width: int
    height: int
    rgb: bool = True


def stated_size(data: bytes) -> Stated | None:
    """The size in the header of a JPEG, JPEG 2000, PNG, WebP, JPEG XL, JPEG XR or LERC stream.

    Returns
    -------
    Stated or None
        None if it is none of these, or its header is cut short: its decoder will refuse it.
    """
    try:
        for start, read in _READERS:
            if data.startswith(start):
                return read(data)
    except (struct.error, IndexError, ValueError):
        return None
    return None


def _png(data: bytes) -> Stated:
    width, height = struct.unpack_from(">II", data, 16)
    return Stated(width, height)


# Start of frame of every process; C4, C8 and CC are tables that share the range.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset((0x01, *range(0xD0, 0xD9)))


def _jpeg(data: bytes) -> Stated | None:
    at = 2
    while True:
        at = data.index(b"\xff", at) + 1
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 4)
            return Stated(width, height)
        if marker in (0xD9, 0xDA):
            return None
        at += 1 if marker in _JPEG_BARE else 1 + struct.unpack_from(">H", data, at + 1)[0]


def _jpeg2000(data: bytes) -> Stated:
    """From the SIZ segment, which follows the start of the codestream."""
    x1, y1, x0, y0 = struct.unpack_from(">IIII", data, 8)
    count = struct.unpack_from(">H", data, 40)[0]
    steps = [tuple(data[43 + 3 * i : 45 + 3 * i]) for i in range(min(count, 4))]
    return Stated(x1 - x0, y1 - y0, rgb=len(set(steps[:3])) > 1)


def _jp2(data: bytes) -> Stated | None:
    """A codestream in boxes; the box `colr` names the colour space, 18 being YCbCr."""
    stream = data.find(b"\xff\x4f\xff\x51")
    if stream < 0:
        return None
    found = _jpeg2000(data[stream:])
    colour = data.find(b"colr\x01", 0, stream)
    named = colour >= 0 and struct.unpack_from(">I", data, colour + 7)[0] == 18
    return Stated(found.width, found.height, found.rgb or named)


def _webp(data: bytes) -> Stated | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return Stated(_le24(data, 24) + 1, _le24(data, 27) + 1)
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return Stated((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return Stated(width & 0x3FFF, height & 0x3FFF)
    return None


def _le24(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 3], "little")


_JXL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def _jpegxl(data: bytes) -> Stated:
    """From the size header, whose fields are packed bit by bit, the lowest bit first."""
    bits, at = int.from_bytes(data[2:14], "little"), 0

    def take(count: int) -> int:
        nonlocal at
        value = bits >> at & ((1 << count) - 1)
        at += count
        return value

    small = take(1)

    def side() -> int:
        return (take(5) + 1) * 8 if small else take((9, 13, 18, 30)[take(2)]) + 1

    height = side()
    ratio = take(3)
    if ratio == 0:
        return Stated(side(), height)
    across, down = _JXL_RATIOS[ratio - 1]
    return Stated(height * across // down, height)


def _jpegxl_boxes(data: bytes) -> Stated | None:
    at = data.find(b"\xff\x0a")
    return _jpegxl(data[at:]) if at >= 0 else None


def _jpegxr(data: bytes) -> Stated | None:
    """A directory as in a TIFF, with tags of its own for the size."""
    start = struct.unpack_from("<I", data, 4)[0]
    sides = {}
    for i in range(struct.unpack_from("<H", data, start)[0]):
        tag, kind, _, value = struct.unpack_from("<HHII", data, start + 2 + 12 * i)
        sides[tag] = value & 0xFFFF if kind == 3 else value
    return Stated(sides[0xBC80], sides[0xBC81]) if {0xBC80, 0xBC81} <= set(sides) else None


def _lerc(data: bytes) -> Stated:
    version = struct.unpack_from("<i", data, 6)[0]
    height, width = struct.unpack_from("<ii", data, 14 if version >= 3 else 10)
    return Stated(width, height, rgb=False)


_READERS: tuple[tuple[bytes, Callable[[bytes], Stated | None]], ...] = (
    (b"\x89PNG", _png),
    (b"\xff\xd8", _jpeg),
    (b"\xff\x4f\xff\x51", _jpeg2000),
    (b"\0\0\0\x0cjP  ", _jp2),
    (b"RIFF", _webp),
    (b"\xff\x0a", _jpegxl),
    (b"\0\0\0\x0cJXL ", _jpegxl_boxes),
    (b"II\xbc", _jpegxr),
    (b"Lerc2 ", _lerc),
)
