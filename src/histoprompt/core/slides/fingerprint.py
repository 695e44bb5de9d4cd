"""Keys that identify a slide's pixels.

A key names caches and label stores, so it is made of content, not of path and time: a slide that
is renamed, moved to another disk or copied keeps its labels, and another file at the same path
does not inherit them. Reading gigabytes for it would be slow, so a file is sampled: its length,
its two ends (where every slide format keeps its directories and tile offsets) and a few places
between.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import xxhash

from histoprompt.core.files.remote import Place, size_of
from histoprompt.core.slides.levels import Source, sample

_END = 256 * 1024
_MIDDLE, _PLACES = 16 * 1024, 6


def file_key(path: Place) -> str:
    """The key of one file: 32 hexadecimal digits, in about a millisecond."""
    size = size_of(path)
    digest = xxhash.xxh3_128(str(size).encode())
    starts = [0, *np.linspace(0, size, _PLACES + 2, dtype=np.int64)[1:-1], max(0, size - _END)]
    with path.open("rb") as file:
        for start in starts:
            file.seek(int(start))
            digest.update(file.read(_END if start in (0, starts[-1]) else _MIDDLE))
    return str(digest.hexdigest())


def text_key(parts: Iterable[str]) -> str:
    """The key of something identified by words alone, such as DICOM's unique identifiers."""
    return str(xxhash.xxh3_128("\0".join(parts).encode()).hexdigest())


def array_key(levels: Sequence[Source]) -> str:
    """The key of arrays: their shapes and the pixels of the coarsest level (sampled if large)."""
    digest = xxhash.xxh3_128()
    for level in levels:
        digest.update(f"{tuple(map(int, level.shape))}{level.dtype}".encode())
    digest.update(sample(levels[-1], _axes(levels[-1])).tobytes())
    return str(digest.hexdigest())


def _axes(level: Source) -> str:
    return "YXS"[: len(level.shape)]
