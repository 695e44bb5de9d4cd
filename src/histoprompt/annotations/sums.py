"""Checksums of chunk files: what tells a whole chunk from a damaged, lost or later one."""

from __future__ import annotations

import xxhash

Sum = tuple[int, int]
"""Bytes of a file and their XXH3; a chunk without labels has no file, and None."""

UNKNOWN: Sum = (-1, 0)
"""Of a chunk of which a journal of an earlier version does not tell."""


def sum_of(data: bytes | None) -> Sum | None:
    """The checksum of a file's content, None if there is no file."""
    return None if data is None else (len(data), xxhash.xxh3_64_intdigest(data))
