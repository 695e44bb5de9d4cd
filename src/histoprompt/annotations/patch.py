"""What an edit changed in one chunk: the labels before and after, compressed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations import codec
from histoprompt.annotations.chunks import Labels
from histoprompt.annotations.planes import Key
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Box


@dataclass(frozen=True)
class Patch:
    """The changed part of one level-0 chunk.

    Setting a patch is idempotent, and so is setting a run of patches in order whatever later
    state the chunk is in already: that is what lets the journal be replayed after a crash.

    Attributes
    ----------
    key : (plane, row, col)
        Of the chunk.
    box : Box
        The changed rectangle in pixels of the chunk.
    data : bytes
        Compressed (2, h, w) uint32, little-endian: before, after.
    """

    key: Key
    box: Box
    data: bytes

    @classmethod
    def between(cls, key: Key, before: Labels, after: Labels) -> Patch | None:
        """The difference of two states of a chunk, or None if they are equal."""
        box = Box.of_mask(before != after)
        if box is None:
            return None
        both = np.stack([before[box.slices()], after[box.slices()]])
        return cls(key, box, codec.encode(both))

    def set_on(self, chunk: Labels, after: bool) -> Labels:
        """A copy of the chunk with this part as it was after, or before, the edit."""
        out = chunk.copy()
        self.put_on(out, after)
        return out

    def put_on(self, chunk: Labels, after: bool) -> None:
        """Set this part of a chunk as it was after, or before, the edit."""
        chunk[self.box.slices()] = self._decode()[int(after)]

    def _decode(self) -> NDArray[np.uint32]:
        try:
            return codec.decode(self.data, (2, *self.box.shape))
        except ValueError as error:
            raise LabelStoreError("A record of the journal holds damaged labels.") from error

    def to_row(self) -> list[int]:
        """Where the patch lies and how many bytes it has, for the record's header.

        Row and column of the chunk, the box, the bytes, and the plane unless it is the first: so
        rows of stores from before there were planes mean what they meant.
        """
        plane, row, col = self.key
        return [row, col, *(int(v) for v in self.box), len(self.data), *([plane] * (plane > 0))]


def split_body(rows: list[list[int]], body: bytes) -> Iterator[Patch]:
    """The patches of a record from their rows and the bytes that follow one another."""
    start = 0
    for row in rows:
        key, box, size = read_row(row)
        yield Patch(key, Box(*box), body[start : start + size])
        start += size


def read_row(row: Sequence[int]) -> tuple[Key, tuple[int, int, int, int], int]:
    """Chunk, box in its pixels and bytes of a patch, from what `Patch.to_row` gave."""
    r, c, r0, c0, r1, c1, size, *plane = row
    return (plane[0] if plane else 0, r, c), (r0, c0, r1, c1), size
