"""Tile embeddings on disk: each tile is seen once, whatever region or words come later.

A store belongs to one slide, one model with its weights and one grid. It is a zarr group of two
arrays that grow together: ``vectors`` (float16, uncompressed: they do not compress) and ``places``
(the grid cell of each row). Rows stand in the order in which tiles were seen, so visible tiles
first costs nothing. A chunk of vectors is written before its places, each written once and whole;
a row without a place does not count, so a killed process loses at most one chunk and leaves
nothing half-true.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from histoprompt.core.errors import ExportError
from histoprompt.core.files.atomic import explained
from histoprompt.core.files.durable import make_folder, remove, sync_all, sync_tree
from histoprompt.core.files.locks import FolderLock, InUseError

CHUNK = 256
FORMAT = 1
# More than this is not held in memory as float32 but read in blocks for every text.
LARGEST_IN_MEMORY = 2**30
_BLOCK = 64 * CHUNK
_NOWHERE = -1


# How tiles at a slide's edges are read; vectors that were made in another way are not taken.
_SEEN = "inside"


@dataclass(frozen=True, slots=True)
class StoreKey:
    """What vectors were made from.

    Attributes
    ----------
    slide : str
        `Slide.key`.
    model : str
        The card's id.
    weights : str
        Digest of the weights, or the version of the program where a model has none.
    step, side, pixels : int
        Level-0 pixels from tile to tile, level-0 pixels a side of what is seen, and array pixels a
        side of what the model is given.
    """

    slide: str
    model: str
    weights: str
    step: int
    side: int
    pixels: int

    def folder(self, root: Path) -> Path:
        """Where the store of this key lies under a root folder."""
        digest = self.weights.rpartition(":")[2][:16]
        name = f"{self.model}-{digest}-{self.side}in{self.pixels}by{self.step}-{_SEEN}.zarr"
        return root / self.slide / name


@dataclass(frozen=True, eq=False)
class TileVectors:
    """The unit vectors of n tiles, in memory or, where that would be too much, on disk.

    Attributes
    ----------
    source : array-like of (stored, d)
        float32 in memory, or float16 read by blocks.
    rows : (n,) intp
        The row of each tile.
    """

    source: Any
    rows: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def width(self) -> int:
        """Length of a vector."""
        return int(self.source.shape[1])

    def similarities(self, texts: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosines (n, m) with (m, d) unit vectors; at most one block is held beside the result."""
        stored = len(self.source) if isinstance(self.source, np.ndarray) else self._stop
        out = np.empty((stored, len(texts)), np.float32)
        for start in range(0, stored, _BLOCK):
            part = slice(start, min(start + _BLOCK, stored))
            out[part] = np.asarray(self.source[part], np.float32) @ texts.T
        return out if self._all(stored) else out[self.rows]

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """All vectors in their order, as (first tile, (k, d) float32), a block at a time."""
        for start in range(0, len(self), _BLOCK):
            index = np.arange(start, min(start + _BLOCK, len(self)))
            rows = self.rows[index]
            if (np.diff(rows) == 1).all():  # one piece of the disk
                yield start, np.asarray(self.source[rows[0] : rows[-1] + 1], np.float32)
            else:
                yield start, self.take(index)

    def take(self, index: NDArray[np.intp]) -> NDArray[np.float32]:
        """The (k, d) float32 vectors of some tiles."""
        rows = self.rows[index]
        if isinstance(self.source, np.ndarray):
            return self.source[rows]
        if len(rows) > 1 and (np.diff(rows) == 1).all():  # one piece of the disk
            return np.asarray(self.source[rows[0] : rows[-1] + 1], np.float32)
        return np.asarray(self.source.oindex[rows, :], np.float32)

    @property
    def _stop(self) -> int:
        return int(self.rows.max()) + 1 if self.rows.size else 0

    def _all(self, stored: int) -> bool:
        return len(self.rows) == stored and bool((np.diff(self.rows) == 1).all())


class EmbeddingStore:
    """A store of tile vectors; use it in a ``with`` block, which writes what is still in hand.

    Parameters
    ----------
    root : Path
        The folder of all stores.
    key : StoreKey
    shape : (rows, cols)
        Of the grid.

    Raises
    ------
    ExportError
        If the folder cannot be written, holds something else, or another process adds to it.
    """

    def __init__(self, root: Path, key: StoreKey, shape: tuple[int, int]) -> None:
        self.folder = key.folder(root)
        self._shape = shape
        self._lock = _lock(self.folder)
        with ExitStack() as opening:
            opening.callback(self._lock.close)
            with explained(self.folder):
                self._group = _open(self.folder, {**asdict(key), "grid": list(shape)})
            self._resume()
            opening.pop_all()  # it stays locked until it is closed

    def __enter__(self) -> EmbeddingStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self._count

    @property
    def n_bytes(self) -> int:
        """Taken on disk."""
        return folder_bytes(self.folder)

    def missing(self, places: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of (n, 2) places have no vector yet."""
        return np.asarray(self._row_of[self._flat(places)] < 0)

    def append(self, places: NDArray[np.int32], vectors: NDArray[np.float32]) -> None:
        """Add (n, d) vectors of (n, 2) places that are missing; whole chunks go to the disk."""
        if "vectors" not in self._group:
            with explained(self.folder):
                _create(self._group, len(self._row_of), vectors.shape[1])
                sync_tree(self.folder)
        self._row_of[self._flat(places)] = np.arange(self._count, self._count + len(places))
        self._count += len(places)
        self._pending.append((np.asarray(places, np.int32), vectors.astype(np.float16)))
        if sum(len(p) for p, _ in self._pending) >= CHUNK:
            self._write(whole=True)

    def load(self, places: NDArray[np.int32], largest: int = LARGEST_IN_MEMORY) -> TileVectors:
        """The vectors of (n, 2) places that are all in the store.

        Parameters
        ----------
        places : (n, 2) int32
        largest : int
            Bytes of float32 to hold in memory; more are left on disk.
        """
        self._write(whole=False)
        rows = self._row_of[self._flat(places)].astype(np.intp)
        if "vectors" not in self._group:
            return TileVectors(np.zeros((0, 0), np.float32), rows)
        source = _array(self._group, "vectors")
        if rows.size * int(source.shape[1]) * 4 > largest:
            return TileVectors(source, rows)
        return TileVectors(_gather(source, rows), np.arange(len(rows)))

    def close(self) -> None:
        """Write what is in hand and let other processes add."""
        try:
            self._write(whole=False)
        finally:
            self._lock.close()

    def _flat(self, places: NDArray[np.int32]) -> NDArray[np.intp]:
        return np.asarray(places[:, 0].astype(np.intp) * self._shape[1] + places[:, 1])

    def _resume(self) -> None:
        """Learn which rows there are; take an unfinished chunk in hand, to write it whole."""
        self._row_of = np.full(self._shape[0] * self._shape[1], -1, np.int32)
        self._count = 0
        self._pending: list[tuple[NDArray[np.int32], NDArray[np.float16]]] = []
        if "places" not in self._group:
            return
        places = np.asarray(_array(self._group, "places")[:])
        empty = np.flatnonzero(places[:, 0] == _NOWHERE)
        self._count = min(int(empty[0]) if empty.size else len(places), self._whole_rows())
        self._row_of[self._flat(places[: self._count])] = np.arange(self._count)
        start = self._count - self._count % CHUNK
        if start < self._count:
            vectors = np.asarray(_array(self._group, "vectors")[start : self._count])
            self._pending = [(places[start : self._count], vectors)]

    def _whole_rows(self) -> int:
        """How many rows come before the first chunk of vectors that is lost or cut short."""
        array = _array(self._group, "vectors")
        size, number = CHUNK * int(array.shape[1]) * 2, 0
        folder = self.folder / "vectors" / "c"
        while (path := folder / str(number) / "0").is_file() and path.stat().st_size == size:
            number += 1
        remove(path)  # what is left of it cannot be written into
        return number * CHUNK

    def _write(self, whole: bool) -> None:
        """Write the rows in hand: only whole chunks, or all; what is begun stays in hand."""
        if not self._pending:
            return
        places = np.concatenate([p for p, _ in self._pending])
        vectors = np.concatenate([v for _, v in self._pending])
        start, full = self._count - len(places), len(places) // CHUNK * CHUNK
        stop = start + (full if whole else len(places))
        with explained(self.folder):
            for name, rows in (("vectors", vectors), ("places", places)):
                _array(self._group, name)[start:stop] = rows[: stop - start]
                _sync(self.folder / name, start, stop)
        self._pending = [(places[full:], vectors[full:])] if full < len(places) else []


def open_vectors(
    folder: Path,
    places: NDArray[np.int32],
    shape: tuple[int, int],
    largest: int = LARGEST_IN_MEMORY,
) -> TileVectors | None:
    """The vectors of (n, 2) places of a store that is left as it is; None if any is not there.

    Nothing is locked, so that any number of programs can read at once.

    Parameters
    ----------
    folder : Path
        Of `StoreKey.folder`.
    places : (n, 2) int32
    shape : (rows, cols)
        Of the grid.
    largest : int
        Bytes of float32 to hold in memory; more are left on disk.
    """
    try:
        group = zarr.open_group(folder, mode="r", zarr_format=3)
        source, stored = _array(group, "vectors"), np.asarray(_array(group, "places")[:])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None
    known = np.flatnonzero(stored[:, 0] != _NOWHERE)
    row_of = np.full(shape[0] * shape[1], -1, np.intp)
    row_of[stored[known, 0].astype(np.intp) * shape[1] + stored[known, 1]] = known
    rows = row_of[places[:, 0].astype(np.intp) * shape[1] + places[:, 1]]
    if (rows < 0).any():
        return None
    if rows.size * int(source.shape[1]) * 4 > largest:
        return TileVectors(source, rows)
    return TileVectors(_gather(source, rows), np.arange(len(rows)))


def read_key(folder: Path) -> StoreKey | None:
    """What the vectors in a folder were made from; None if it is no store that can be read."""
    try:
        facts = dict(zarr.open_group(folder, mode="r", zarr_format=3).attrs)
        return StoreKey(**{one.name: facts[one.name] for one in fields(StoreKey)})  # type: ignore[arg-type]
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None


def folder_bytes(folder: Path) -> int:
    """Bytes of all files under a folder; 0 if there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _gather(source: Any, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Rows of a stored array as float32, read chunk by chunk."""
    out = np.empty((len(rows), source.shape[1]), np.float32)
    order = np.argsort(rows, kind="stable")
    sorted_rows = rows[order]
    for start in range(0, int(sorted_rows[-1]) + 1 if len(rows) else 0, _BLOCK):
        first, last = np.searchsorted(sorted_rows, (start, start + _BLOCK))
        if first < last:
            block = np.asarray(source[start : start + _BLOCK])
            out[order[first:last]] = block[sorted_rows[first:last] - start]
    return out


def _sync(array: Path, start: int, stop: int) -> None:
    """See the chunks of some rows through to the disk."""
    chunks = [array / "c" / str(n) / "0" for n in range(start // CHUNK, -(-stop // CHUNK))]
    files = [path for path in chunks if path.is_file()]
    sync_all([*files, array / "zarr.json"], [*(path.parent for path in files), array / "c", array])


def _readable(folder: Path) -> bool:
    """Whether what is there can be read; embeddings that cannot are made again."""
    try:
        group = zarr.open_group(folder, mode="r", zarr_format=3)
        if "vectors" in group or "places" in group:
            width = int(_array(group, "vectors").shape[1])
            places = _array(group, "places")
            np.asarray(places[:])
            return width > 0 and places.shape[0] == _array(group, "vectors").shape[0]
    except FileNotFoundError:
        return not (folder / "vectors").exists()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return False
    return True


def _open(folder: Path, key: dict[str, Any]) -> zarr.Group:
    if not _readable(folder):
        for name in ("zarr.json", "vectors", "places"):
            remove(folder / name)
    group = zarr.open_group(folder, mode="a", zarr_format=3)
    wanted = {"format": FORMAT, **key}
    if not group.attrs:
        group.attrs.update(wanted)
        sync_tree(folder)
    if dict(group.attrs) != wanted:
        raise ExportError(
            f"{folder} holds embeddings of something else or of another version. Delete that "
            "folder; embeddings are made again."
        )
    return group


def _create(group: zarr.Group, rows: int, width: int) -> None:
    group.create_array(
        "vectors",
        shape=(rows, width),
        chunks=(CHUNK, width),
        dtype="float16",
        compressors=None,
        overwrite=True,
    )
    group.create_array(
        "places",
        shape=(rows, 2),
        chunks=(CHUNK, 2),
        dtype="int32",
        fill_value=_NOWHERE,
        overwrite=True,
    )


def _array(group: zarr.Group, name: str) -> Any:
    return group[name]


def _lock(folder: Path) -> FolderLock:
    with explained(folder):
        make_folder(folder)
        try:
            return FolderLock(folder)
        except InUseError as error:
            raise ExportError(
                f"{folder} is being written by another job ({error.who}): the same slide is being "
                "embedded with the same model. Wait until it is done, or cancel it."
            ) from error
