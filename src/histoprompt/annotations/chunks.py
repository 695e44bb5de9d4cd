"""The arrays of a label store: chunk files of a zarr pyramid, changed all together or not at all.

The arrays are ordinary zarr v3 and any zarr reader opens them. Here single chunks are read and
written as files, because that makes an edit safe: its new chunks are first written beside the
arrays (so that a full disk is met while nothing has changed), and then renamed into place.
"""

from __future__ import annotations

import os
import shutil
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from histoprompt.annotations import codec
from histoprompt.core.errors import LabelStoreError, RegionError
from histoprompt.core.geometry import Box

Key = tuple[int, int]
"""(row, col) of a chunk in the grid of its level."""

Labels = NDArray[np.uint32]

CACHED_PIXELS = 2**24
_LEVEL_ZERO = 0


def level_shapes(shape: tuple[int, int], chunk: int) -> tuple[tuple[int, int], ...]:
    """(rows, cols) of each level, halved (rounding up) until one chunk holds it."""
    shapes = [shape]
    while max(shapes[-1]) > chunk:
        h, w = shapes[-1]
        shapes.append(((h + 1) // 2, (w + 1) // 2))
    return tuple(shapes)


class ChunkFiles:
    """The chunks of all levels, with a small cache and a staging folder.

    Parameters
    ----------
    folder : Path
        Of the store; the arrays lie in ``labels.zarr``, staged chunks in ``staging``.
    shape : (rows, cols)
        Of level 0.
    chunk : int
        Side of a chunk, even.
    """

    def __init__(self, folder: Path, shape: tuple[int, int], chunk: int) -> None:
        self.shapes = level_shapes(shape, chunk)
        self.chunk = chunk
        self._arrays = folder / "labels.zarr"
        self._staging = folder / "staging"
        self._empty = _frozen(np.zeros((chunk, chunk), np.uint32))
        self._cache: OrderedDict[tuple[int, int, int], Labels] = OrderedDict()
        self._staged: dict[tuple[int, int, int], bool] = {}

    # -- files -----------------------------------------------------------------------------------

    def create(self) -> bool:
        """Make the empty arrays where there are none, and drop what a killed process staged.

        Returns
        -------
        bool
            Whether arrays were made.
        """
        shutil.rmtree(self._staging, ignore_errors=True)
        self._staging.mkdir()
        if self._arrays.exists():
            return False
        part = self._arrays.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        group = zarr.create_group(str(part))
        for level, shape in enumerate(self.shapes):
            group.create_array(
                str(level),
                shape=shape,
                chunks=(self.chunk, self.chunk),
                dtype="uint32",
                fill_value=0,
                compressors=ZstdCodec(level=codec.LEVEL),
            )
        part.rename(self._arrays)
        return True

    def remove(self) -> None:
        """Delete the arrays."""
        shutil.rmtree(self._arrays, ignore_errors=True)

    def open_levels(self) -> tuple[zarr.Array[Any], ...]:
        """The levels as read-only zarr arrays, finest first."""
        return tuple(
            zarr.open_array(str(self._arrays / str(level)), mode="r")
            for level in range(len(self.shapes))
        )

    # -- geometry --------------------------------------------------------------------------------

    def box_of(self, key: Key) -> Box:
        """The level-0 box of a chunk, cut at the slide's edge."""
        (h, w), n = self.shapes[0], self.chunk
        r, c = key[0] * n, key[1] * n
        return Box(r, c, min(r + n, h), min(c + n, w))

    def keys_in(self, box: Box) -> list[Key]:
        """The level-0 chunks a pixel box touches."""
        n = self.chunk
        rows = range(int(box.r0) // n, (int(box.r1) - 1) // n + 1)
        cols = range(int(box.c0) // n, (int(box.c1) - 1) // n + 1)
        return [(r, c) for r in rows for c in cols]

    def inside(self, box: Box) -> Box:
        """A level-0 box in whole pixels.

        Raises
        ------
        RegionError
            If it reaches outside the slide.
        """
        box = box.to_pixels()
        if not Box.of_shape(self.shapes[0]).covers(box):
            raise RegionError(
                f"Region {tuple(box)} reaches outside the labels, which have "
                f"{self.shapes[0][0]} rows and {self.shapes[0][1]} columns."
            )
        return box

    # -- reading ---------------------------------------------------------------------------------

    def read(self, level: int, key: Key) -> Labels:
        """A whole (chunk, chunk) array, staged changes included; not to be written to."""
        name = (level, *key)
        if name in self._cache:
            self._cache.move_to_end(name)
            return self._cache[name]
        staged = self._staged.get(name)
        if staged is None:
            array = self._decode(self._path(name))
        else:
            array = self._decode(self._staged_path(name)) if staged else self._empty
        self._remember(name, array)
        return array

    def published(self, key: Key) -> Labels:
        """A level-0 chunk without what is staged."""
        name = (_LEVEL_ZERO, *key)
        return self._decode(self._path(name)) if name in self._staged else self.read(0, key)

    def _decode(self, path: Path) -> Labels:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return self._empty
        except OSError as error:
            raise LabelStoreError(f"Cannot read the labels in {path}: {error}.") from error
        try:
            return codec.decode(data, (self.chunk, self.chunk))
        except ValueError as error:
            raise LabelStoreError(
                f"The labels in {path} are damaged. Open the store with rebuild=True: "
                "it is then made again from its journal."
            ) from error

    def _remember(self, name: tuple[int, int, int], array: Labels) -> None:
        self._cache[name] = array
        self._cache.move_to_end(name)
        while len(self._cache) * self.chunk**2 > max(CACHED_PIXELS, self.chunk**2):
            self._cache.popitem(last=False)

    # -- changing --------------------------------------------------------------------------------

    @property
    def staged_keys(self) -> list[Key]:
        """The level-0 chunks that are staged, in order."""
        return sorted((r, c) for level, r, c in self._staged if level == _LEVEL_ZERO)

    @property
    def pending(self) -> bool:
        """Whether anything is staged."""
        return bool(self._staged)

    def stage(self, level: int, key: Key, array: Labels) -> None:
        """Write a chunk beside the arrays; an empty one is to be removed.

        Raises
        ------
        LabelStoreError
            If it cannot be written, as on a full disk.
        """
        name = (level, *key)
        filled = bool(array.any())
        try:
            if filled:
                self._path(name).parent.mkdir(parents=True, exist_ok=True)
                self._staged_path(name).write_bytes(codec.encode(array))
            else:
                self._staged_path(name).unlink(missing_ok=True)
        except OSError as error:
            self._staged_path(name).unlink(missing_ok=True)
            self._staged.pop(name, None)
            self._cache.pop(name, None)
            raise LabelStoreError(
                f"Cannot write labels into {self._staging}: {error}. "
                "The labels are as they were before this edit; make room and try again."
            ) from error
        self._staged[name] = filled
        self._remember(name, _frozen(array))

    def stage_pyramid(self, whole: bool = False) -> None:
        """Bring the coarser levels up to date with the staged chunks of level 0.

        Parameters
        ----------
        whole : bool
            Make the coarser chunks again from all they cover, not only from what is staged:
            after a crash they may be missing.
        """
        dirty: Iterable[Key] = self.staged_keys
        for level in range(1, len(self.shapes)):
            parents: dict[Key, list[Key]] = {}
            for key in dirty:
                parents.setdefault((key[0] // 2, key[1] // 2), []).append(key)
            if whole:
                parents = {(r, c): _children((r, c)) for r, c in parents}
            for parent, children in parents.items():
                self._stage_parent(level, parent, children)
            dirty = parents

    def _stage_parent(self, level: int, parent: Key, children: list[Key]) -> None:
        array, half = self.read(level, parent), self.chunk // 2
        for r, c in children:
            top, left = r % 2 * half, c % 2 * half
            part = slice(top, top + half), slice(left, left + half)
            child = self.read(level - 1, (r, c))[::2, ::2]
            if not np.array_equal(array[part], child):
                array = array if array.flags.writeable else array.copy()
                array[part] = child
        if array.flags.writeable:
            self.stage(level, parent, array)

    def publish(self) -> None:
        """Rename all staged chunks into place.

        What could not be renamed stays staged, and so visible here; the next call goes on.
        Level 0 is replaced atomically. The levels for display are not, because that is several
        times slower on ext4, and a crash can be mended with `stage_pyramid`.
        """
        try:
            for name, filled in list(self._staged.items()):
                if not filled or name[0] != _LEVEL_ZERO:
                    self._path(name).unlink(missing_ok=True)
                if filled:
                    os.replace(self._staged_path(name), self._path(name))
                del self._staged[name]
        except OSError as error:
            raise LabelStoreError(
                f"The edit is kept in the journal, but its labels could not be put into "
                f"{self._arrays}: {error}. Mend that; the next edit or opening goes on with it."
            ) from error

    def discard(self) -> None:
        """Forget everything staged."""
        for name in self._staged:
            self._cache.pop(name, None)
            self._staged_path(name).unlink(missing_ok=True)
        self._staged.clear()

    def _path(self, name: tuple[int, int, int]) -> Path:
        level, row, col = name
        return self._arrays / str(level) / "c" / str(row) / str(col)

    def _staged_path(self, name: tuple[int, int, int]) -> Path:
        return self._staging / ".".join(map(str, name))


def _children(parent: Key) -> list[Key]:
    """The chunks of the next finer level a chunk covers."""
    r, c = parent
    return [(2 * r + i, 2 * c + j) for i in (0, 1) for j in (0, 1)]


def _frozen(array: Labels) -> Labels:
    array.flags.writeable = False
    return array
