"""The arrays of a label store: chunk files of a zarr pyramid, changed all together or not at all.

The arrays are ordinary zarr v3 and any zarr reader opens them. Here single chunks are read and
written as files, because that makes an edit safe: its new chunks are first written beside the
arrays (so that a full disk is met while nothing has changed), and then renamed into place.

Every file is compared with its checksum when it is read. A display chunk that is not as it should
be is made again from the finer level, a chunk of level 0 from the journal.
"""

from __future__ import annotations

import os
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations import codec
from histoprompt.annotations.arrays import describe
from histoprompt.annotations.aside import Aside
from histoprompt.annotations.planes import ARRAYS, Key, Name, above, below
from histoprompt.annotations.sums import Sum, sum_of
from histoprompt.core.errors import LabelStoreError, RegionError
from histoprompt.core.files.durable import sync_all
from histoprompt.core.geometry import Box

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


def set_sum(expected: dict[Name, Sum], name: Name, now: Sum | None) -> None:
    """Note the sum that a chunk's file should have now; None if there should be no file."""
    if now is None:
        expected.pop(name, None)
    else:
        expected[name] = now


class ChunkFiles:
    """The chunks of all levels, with a small cache and a staging folder.

    Parameters
    ----------
    folder : Path
        Of the store; the arrays lie in `planes.ARRAYS`, staged chunks in ``staging``.
    shape : (rows, cols)
        Of level 0.
    chunk : int
        Side of a chunk, even.
    aside : Aside or None
        Keeps files that are replaced because they are damaged; None if nothing is written.

    Attributes
    ----------
    expected : dict of (level, plane, row, col) to Sum
        What the files should be; a chunk that is not named has no file.
    staging : Path
        The folder of what is written but not in place yet.
    mend : callable
        Makes a chunk of level 0 that is not as expected again.
    """

    def __init__(
        self, folder: Path, shape: tuple[int, int], chunk: int, aside: Aside | None
    ) -> None:
        self.shapes = level_shapes(shape, chunk)
        self.chunk = chunk
        self.expected: dict[Name, Sum] = {}
        self.mend: Callable[[Key], Labels] = self._refuse
        self._folder = folder
        self.staging = folder / "staging"
        self._aside = aside
        self._empty = _frozen(np.zeros((chunk, chunk), np.uint32))
        self._cache: OrderedDict[Name, Labels] = OrderedDict()
        self._staged: dict[Name, Sum | None] = {}
        self._unsynced: set[Name] = set()

    # -- files -----------------------------------------------------------------------------------

    def create(self) -> list[str]:
        """Make the arrays where there are none, and drop what a killed process staged.

        Returns
        -------
        list of str
            Which descriptions of arrays were damaged, and written anew.
        """
        assert self._aside is not None
        shutil.rmtree(self.staging, ignore_errors=True)
        self.staging.mkdir()
        given = self.shapes, self.chunk, self._aside
        return [wrong for name in ARRAYS for wrong in describe(self._folder / name, *given)]

    def sync(self) -> None:
        """See what was changed at level 0 through to the disk.

        Raises
        ------
        OSError
            If the disk does not take it.
        """
        paths = [self._path(name) for name in self._unsynced]
        rows = {path.parent for path in paths if path.parent.is_dir()}
        above = {folder for row in rows for folder in (row.parent, row.parent.parent)}
        folders = sorted(rows | above, key=lambda folder: -len(folder.parts))
        sync_all([path for path in paths if path.exists()], folders)
        self._unsynced.clear()

    def on_disk(self, sums: bool) -> Iterator[tuple[Name, Sum]]:
        """All chunk files there are, with their sizes and, if wanted, their checksums."""
        for level, plane in product(range(len(self.shapes)), range(len(ARRAYS))):
            for row in _numbered(self._folder / ARRAYS[plane] / str(level) / "c"):
                for file in _numbered(Path(row.path)):
                    name = (level, plane, int(row.name), int(file.name))
                    data = self._bytes(Path(file.path)) if sums else None
                    yield name, sum_of(data) or (file.stat().st_size, 0)

    # -- geometry --------------------------------------------------------------------------------

    def box_of(self, key: Key) -> Box:
        """The level-0 box of a chunk, cut at the slide's edge."""
        (h, w), n = self.shapes[0], self.chunk
        r, c = key[1] * n, key[2] * n
        return Box(r, c, min(r + n, h), min(c + n, w))

    def keys_in(self, box: Box, plane: int = 0) -> list[Key]:
        """The level-0 chunks of a plane a pixel box touches."""
        n = self.chunk
        rows = range(int(box.r0) // n, (int(box.r1) - 1) // n + 1)
        cols = range(int(box.c0) // n, (int(box.c1) - 1) // n + 1)
        return [(plane, r, c) for r in rows for c in cols]

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
        if name not in self._staged:
            array = self._load(name)
        else:
            staged = self._staged[name]
            array = self._empty if staged is None else self._taken(self._staged_path(name), staged)
        self._remember(name, array)
        return array

    def forget(self) -> None:
        """Let go of the pixels in memory; they are read again where they are asked for."""
        self._cache.clear()

    def published(self, key: Key) -> Labels:
        """A level-0 chunk without what is staged."""
        name = (_LEVEL_ZERO, *key)
        return self._load(name) if name in self._staged else self.read(0, key)

    def block(
        self, level: int, rows: tuple[int, int], cols: tuple[int, int], plane: int = 0
    ) -> Labels:
        """A rectangle of a level of a plane, to keep and to change."""
        (r0, r1), (c0, c1), n = rows, cols, self.chunk
        out = np.zeros((r1 - r0, c1 - c0), np.uint32)
        box = Box(r0, c0, r1, c1)
        for i in range(r0 // n, -(-r1 // n)):
            for j in range(c0 // n, -(-c1 // n)):
                name = (level, plane, i, j)
                if name in self.expected or name in self._staged:
                    part = box.intersection(Box(i * n, j * n, i * n + n, j * n + n))
                    if part is not None:
                        labels = self.read(level, (plane, i, j))
                        out[part.slices((r0, c0))] = labels[part.slices((i * n, j * n))]
        return out

    def found(self, key: Key) -> tuple[Sum | None, Labels | None]:
        """The sum and the labels of a level-0 file, expected or not; None for damaged labels."""
        data = self._bytes(self._path((_LEVEL_ZERO, *key)))
        return sum_of(data), self._decoded(data)

    def _load(self, name: Name) -> Labels:
        """What the file of a chunk holds; made again where that is not what it should be."""
        if (array := self._as_expected(self._path(name), self.expected.get(name))) is not None:
            return array
        level, key = name[0], name[1:]
        array = self.mend(key) if level == _LEVEL_ZERO else self.parent(level, key)
        if self._aside is not None:
            self.put(name, array)
        return _frozen(array)

    def _taken(self, path: Path, wanted: Sum | None) -> Labels:
        array = self._as_expected(path, wanted)
        if array is None:
            raise LabelStoreError(f"The labels in {path} are damaged; the edit cannot be made.")
        return array

    def _as_expected(self, path: Path, wanted: Sum | None) -> Labels | None:
        data = self._bytes(path)
        return self._decoded(data) if sum_of(data) == wanted else None

    def _bytes(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LabelStoreError(f"Cannot read the labels in {path}: {error}.") from error

    def _decoded(self, data: bytes | None) -> Labels | None:
        if data is None:
            return self._empty
        try:
            return codec.decode(data, (self.chunk, self.chunk))
        except ValueError:
            return None

    def _refuse(self, key: Key) -> Labels:
        raise LabelStoreError(f"The labels of chunk {key} in {self._folder} are damaged.")

    def _remember(self, name: Name, array: Labels) -> None:
        self._cache[name] = array
        self._cache.move_to_end(name)
        while len(self._cache) * self.chunk**2 > max(CACHED_PIXELS, self.chunk**2):
            self._cache.popitem(last=False)

    # -- changing --------------------------------------------------------------------------------

    @property
    def staged_keys(self) -> list[Key]:
        """The level-0 chunks that are staged, in order."""
        return sorted(name[1:] for name in self._staged if name[0] == _LEVEL_ZERO)

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
        name, data = (level, *key), codec.encode(array) if array.any() else None
        try:
            if data is not None:
                self._path(name).parent.mkdir(parents=True, exist_ok=True)
                self._staged_path(name).write_bytes(data)
            else:
                self._staged_path(name).unlink(missing_ok=True)
        except OSError as error:
            self._staged_path(name).unlink(missing_ok=True)
            self._staged.pop(name, None)
            self._cache.pop(name, None)
            raise LabelStoreError(
                f"Cannot write labels into {self.staging}: {error}. "
                "The labels are as they were before this edit; make room and try again."
            ) from error
        self._staged[name] = sum_of(data)
        self._remember(name, _frozen(array))

    def staged_sum(self, key: Key) -> Sum | None:
        """The checksum a level-0 chunk has once it is published."""
        name = (_LEVEL_ZERO, *key)
        return self._staged[name] if name in self._staged else self.expected.get(name)

    def put(self, name: Name, array: Labels) -> None:
        """Put a chunk that was made again in the place of what is there, outside of any edit.

        Raises
        ------
        LabelStoreError
            If it cannot be written.
        """
        path, data = self._path(name), codec.encode(array) if array.any() else None
        part = self.staging / f"mended.{'.'.join(map(str, name))}"
        try:
            if name[0] == _LEVEL_ZERO and self._aside is not None:
                self._aside.keep(path)
            path.unlink(missing_ok=True)
            if data is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                part.write_bytes(data)
                os.replace(part, path)
        except OSError as error:
            raise LabelStoreError(f"Cannot mend the labels in {path}: {error}.") from error
        self._expect(name, sum_of(data))
        self._cache.pop(name, None)

    def _expect(self, name: Name, now: Sum | None) -> None:
        set_sum(self.expected, name, now)
        if name[0] == _LEVEL_ZERO:
            self._unsynced.add(name)

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
                parents.setdefault(above(key), []).append(key)
            for parent, children in parents.items():
                if whole:
                    self.stage(level, parent, self.parent(level, parent))
                else:
                    self._stage_parent(level, parent, children)
            dirty = parents

    def parent(self, level: int, key: Key) -> Labels:
        """A display chunk made from all that the finer level has of it."""
        out, half = np.zeros((self.chunk, self.chunk), np.uint32), self.chunk // 2
        for finer in below(key):
            top, left = finer[1] % 2 * half, finer[2] % 2 * half
            child = self.read(level - 1, finer)[::2, ::2]
            out[top : top + half, left : left + half] = child
        return out

    def _stage_parent(self, level: int, parent: Key, children: list[Key]) -> None:
        array, half = self.read(level, parent), self.chunk // 2
        for finer in children:
            top, left = finer[1] % 2 * half, finer[2] % 2 * half
            part = slice(top, top + half), slice(left, left + half)
            child = self.read(level - 1, finer)[::2, ::2]
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
            for name, staged in list(self._staged.items()):
                if staged is None or name[0] != _LEVEL_ZERO:
                    self._path(name).unlink(missing_ok=True)
                if staged is not None:
                    os.replace(self._staged_path(name), self._path(name))
                del self._staged[name]
                self._expect(name, staged)
        except OSError as error:
            raise LabelStoreError(
                f"The edit is kept in the journal, but its labels could not be put into "
                f"{self._folder}: {error}. Mend that; the next edit or opening goes on with it."
            ) from error

    def discard(self) -> None:
        """Forget everything staged."""
        for name in self._staged:
            self._cache.pop(name, None)
            self._staged_path(name).unlink(missing_ok=True)
        self._staged.clear()

    def _path(self, name: Name) -> Path:
        level, plane, row, col = name
        return self._folder / ARRAYS[plane] / str(level) / "c" / str(row) / str(col)

    def _staged_path(self, name: Name) -> Path:
        return self.staging / ".".join(map(str, name))


def _numbered(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of a folder whose names are numbers; none if there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if entry.name.isdecimal()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _frozen(array: Labels) -> Labels:
    array.flags.writeable = False
    return array
