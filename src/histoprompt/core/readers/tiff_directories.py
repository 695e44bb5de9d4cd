"""The directories of a TIFF, walked before anything believes them.

Each directory of a TIFF names the place of the next. In a damaged file that chain may run in a
circle or into the pixels, where every few bytes look like another directory with tables of any
length. Following it costs little if only the lengths are looked at.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from histoprompt.core.errors import SlideError, SlideTooLargeError
from histoprompt.core.files.remote import Place, size_of
from histoprompt.core.slides.limits import Limits

# Bytes a value of each type of TIFF.
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BYTES |= {16: 8, 17: 8, 18: 8}
_TEXT, _BYTE = (2, 7), (1, 6)
# More entries than this end the chain for every reader: it is no directory.
_MOST_ENTRIES = 4096
# What reading one entry costs, in numbers of a table.
_ENTRY_COST = 8


def check_directories(path: Place, limits: Limits) -> None:
    """Refuse a TIFF whose directories have no end, or tables too large to be true.

    What no reader would follow (a place behind the end of the file, too many entries) ends the walk
    without a word: what lies before it can be read.

    Raises
    ------
    SlideError
        If the directories run in a circle.
    SlideTooLargeError
        If there are more of them, or longer tables, than the limits allow.
    """
    with path.open("rb") as file:
        layout = _Layout.of(file.read(16), path.suffix.lower() == ".ndpi")
        if layout is not None:
            _walk(file, path, layout, limits)


@dataclass(frozen=True)
class _Layout:
    """How wide the numbers of a directory are."""

    order: str
    first: int
    count: str
    entry: str
    next: str
    inline: int

    @classmethod
    def of(cls, start: bytes, hamamatsu: bool) -> _Layout | None:
        order = {b"II": "<", b"MM": ">"}.get(start[:2])
        if order is None or len(start) < 16:
            return None
        version = struct.unpack_from(order + "H", start, 2)[0]
        if version == 43:
            first = struct.unpack_from(order + "Q", start, 8)[0]
            return cls(order, first, "Q", "HHQ8s", "Q", 8)
        wide = hamamatsu and order == "<"
        first = struct.unpack_from(order + ("Q" if wide else "I"), start, 4)[0]
        return cls(order, first, "H", "HHI4s", "Q" if wide else "I", 4)


def _walk(file: BinaryIO, path: Place, layout: _Layout, limits: Limits) -> None:
    size = size_of(path)
    seen: set[int] = set()
    tables: set[tuple[int, int]] = set()
    cost, at = 0.0, layout.first
    while 0 < at < size:
        if at in seen:
            raise SlideError(
                f"{path.name} is damaged: after {len(seen)} pages its list of pages starts again "
                f"at byte {at:,}. Copy or download it again."
            )
        seen.add(at)
        found = _read_directory(file, at, layout)
        if found is None:
            return
        count, elsewhere, at = found
        cost += _ENTRY_COST * count
        for kind, number, place in elsewhere:
            if place + number * _BYTES.get(kind, 1) <= size and (place, number) not in tables:
                tables.add((place, number))
                cost += 0 if kind in _TEXT else number / 4 if kind in _BYTE else number
        _check(path, limits, len(seen), cost)


def _check(path: Place, limits: Limits, pages: int, cost: float) -> None:
    if pages > limits.directories or cost > limits.table_values:
        raise SlideTooLargeError(
            f"{path.name} is damaged or no slide: its first {pages:,} pages list {cost:,.0f} "
            f"numbers; the limits are {limits.directories:,.0f} pages and "
            f"{limits.table_values:,.0f} numbers. Copy or download it again."
        )


def _read_directory(
    file: BinaryIO, at: int, layout: _Layout
) -> tuple[int, list[tuple[int, int, int]], int] | None:
    """How many entries there are, the tables of those that have one, and the next directory.

    A table is its type, its length and its place. None if there is no directory.
    """
    file.seek(at)
    count_size = struct.calcsize(layout.count)
    head = file.read(count_size)
    if len(head) < count_size:
        return None
    count = struct.unpack(layout.order + layout.count, head)[0]
    entry = struct.Struct(layout.order + layout.entry)
    link = struct.Struct(layout.order + layout.next)
    if count > _MOST_ENTRIES:
        return None
    body = file.read(count * entry.size + link.size)
    if len(body) < count * entry.size + link.size:
        return None
    entries = []
    for _, kind, number, value in entry.iter_unpack(body[: count * entry.size]):
        if number * _BYTES.get(kind, 1) > layout.inline:
            place = struct.unpack(layout.order + ("Q" if layout.inline == 8 else "I"), value)[0]
            entries.append((kind, number, place))
    return count, entries, link.unpack_from(body, count * entry.size)[0]
