"""The cells that a running count has found so far, to be looked at while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import Colour
from histoprompt.pipelines.count.drawn_chunks import CHUNK
from histoprompt.pipelines.count.pyramid import reduced_shapes
from histoprompt.pipelines.count.shown_labels import ranged
from histoprompt.pipelines.count.store import CountStore
from histoprompt.pipelines.count.store_files import record_type


class CellsSoFar:
    """Classes of the pixels of a count that is not finished, at every level of detail.

    The thread that counts fills it, another one may read it at any time. Level 0 is read from the
    labels on disk; the reduced levels are compressed in memory, and go when the count ends.

    Parameters
    ----------
    store : CountStore
        That the count writes to.

    Attributes
    ----------
    box : Box
        Where it lies, integer level-0 pixels.
    levels : sequence of array-like, (h, w) uint8
        0 where no cell was found yet, else 1 and the number of its class; at 1, 1/2, 1/4 ... of the
        slide's pixels, each the pixel in the middle of those it stands for.
    """

    def __init__(self, store: CountStore) -> None:
        self._store, self.box = store, store.region
        self._taken = 0
        # class of each cell and 1, by id; swapped for a longer one, never written to
        self._codes = np.zeros(1, np.uint8)
        reduced = [_in_memory(shape) for shape in reduced_shapes(store.shape)]
        self.levels: Sequence[Any] = (_Drawn(self), *reduced)

    def __len__(self) -> int:
        return len(self._codes) - 1

    @property
    def colours(self) -> list[Colour]:
        """The colour of each class, (r, g, b), in the order of their numbers."""
        colours = self._store.class_colours()
        return [colours[name] for name in self._store.head.classes]

    def take(self) -> bool:
        """Take what was counted since the last time, in the thread that counts; whether any was."""
        new = self._store.done[self._taken :]
        self._taken += len(new)
        if new:
            self._extend(new[-1].cells)
        for line in new:
            if line.box is not None:
                self._draw(line.box)
        return bool(new)

    def classed(self, ids: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """The values of `levels` for ids; 0 for those of a tile that is not finished."""
        codes = self._codes
        return codes[np.where(ids < len(codes), ids, 0)]

    def drawn(self, where: tuple[slice, slice]) -> NDArray[np.uint8]:
        """A part of level 0."""
        return self.classed(np.asarray(self._store.labels[where]))

    def _extend(self, cells: int) -> None:
        head = self._store.head
        first = len(self)
        data = self._store.files.records(first, cells, head)
        codes = np.frombuffer(data, record_type(len(head.names)))["code"]
        self._codes = np.concatenate([self._codes, (codes + 1).astype(np.uint8)])

    def _draw(self, box: Box) -> None:
        where = box.slices(self._store.origin)
        found = self.drawn(where)
        for k, level in enumerate(self.levels[1:], start=1):
            rows, cols = (_middles(part, k) for part in where)
            place = tuple(slice(r[0] >> k, (r[-1] >> k) + 1) for r in (rows, cols) if r)
            if len(place) == 2:
                level[place] = found[
                    rows.start - where[0].start :: 1 << k, cols.start - where[1].start :: 1 << k
                ]


class _Drawn:
    """Level 0, sliced like an array."""

    ndim, dtype = 2, np.dtype(np.uint8)

    def __init__(self, so_far: CellsSoFar) -> None:
        self._so_far = so_far
        self.shape = so_far._store.shape

    @property
    def size(self) -> int:
        """Pixels."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of all of it."""
        return self.size

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:, :], dtype)

    def __getitem__(self, index: Any) -> Any:
        where, steps = ranged(index, self.shape)
        return self._so_far.drawn(where)[steps]


def _in_memory(shape: tuple[int, int]) -> Any:
    return zarr.create_array(
        {},
        shape=shape,
        chunks=(CHUNK, CHUNK),
        dtype=np.uint8,
        compressors=ZstdCodec(level=1),
        fill_value=0,
    )


def _middles(part: slice, k: int) -> range:
    """The pixels of level 0, within a part of a row, that stand for one of level k."""
    step = 1 << k
    start = part.start + (step // 2 - part.start) % step
    return range(start, part.stop, step)
