"""The files of a count on disk: which there are, what a cell's record holds, and who may write."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from histoprompt.core.cell_schema import COLUMNS
from histoprompt.core.errors import ExportError, LabelError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.documents import FEW_BYTES, read_json
from histoprompt.core.files.durable import make_folder, sync_tree
from histoprompt.core.files.locks import FolderLock, InUseError
from histoprompt.pipelines.count.drawn_chunks import CHUNK
from histoprompt.pipelines.count.tile_log import TileLogHeader

# Folders of reduced copies. An earlier version, which halved in another way, had the second name:
# what it wrote is not taken.
_COPIES = ("halves", "pyramid")
SETTINGS, SLIDE = "settings.json", "slide.txt"
Records = NDArray[np.void]


def record_type(features: int) -> np.dtype[np.void]:
    """What is stored of a cell; `box` is r0, c0, r1, c1 in level-0 pixels."""
    columns = [(column.attribute, column.dtype) for column in COLUMNS]
    return np.dtype([*columns, ("box", "<i4", 4), ("features", "<f4", features)])


class CountFiles:
    """Where the parts of a count lie in its folder.

    Parameters
    ----------
    folder : Path
    shape : (rows, cols)
        Of the labels.

    Attributes
    ----------
    settings, cells, labels, tiles : Path
        What it was counted with, its records, its zarr array, and the lines of finished tiles.
    """

    def __init__(self, folder: Path, shape: tuple[int, int]) -> None:
        self.folder, self._shape = folder, shape
        self.settings, self.tiles = folder / SETTINGS, folder / "tiles.jsonl"
        self.cells, self.labels = folder / "cells.bin", folder / "labels.zarr"

    def whole(self) -> bool:
        """Whether the files are there; what is in them is looked at later."""
        if not all(path.is_file() for path in (self.cells, self.tiles)):
            return False
        try:
            array: Any = zarr.open_array(self.labels, mode="r")
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return tuple(array.shape) == self._shape and tuple(array.chunks) == (CHUNK, CHUNK)

    def create(self, settings: Mapping[str, Any]) -> None:
        """Make the files of a count with these settings, where there are none."""
        zarr.create_array(
            self.labels,
            shape=self._shape,
            chunks=(CHUNK, CHUNK),
            dtype=np.uint32,
            compressors=ZstdCodec(level=1),
            fill_value=0,
        )
        for path in (self.cells, self.tiles):
            path.touch()
        sync_tree(self.folder)
        replace_file(self.settings, json.dumps(dict(settings), indent=1))

    def copies(self, counted: int) -> Path:
        """Where reduced copies of the labels of that many cells lie."""
        return self.folder / f"{_COPIES[0]}-{counted}"

    def clear_copies(self) -> None:
        """Remove reduced copies of the labels, those of earlier versions too."""
        for name in _COPIES:
            for folder in self.folder.glob(f"{name}-*"):
                shutil.rmtree(folder, ignore_errors=True)

    def clear(self) -> None:
        """Remove the files of a count, and nothing that somebody else has put there."""
        for path in (self.settings, self.tiles, self.cells):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.labels, ignore_errors=True)
        self.clear_copies()

    def records(self, first: int, stop: int, head: TileLogHeader) -> bytes:
        """The bytes of some cells.

        Raises
        ------
        ValueError
            If the file ends before.
        """
        size = record_type(len(head.names)).itemsize
        path = self.cells
        if path.stat().st_size < stop * size:
            raise ValueError(f"{path} has fewer than {stop} cells")
        with path.open("rb") as file:
            file.seek(first * size)
            return file.read((stop - first) * size)


@contextmanager
def damage_explained(folder: Path) -> Iterator[None]:
    """Say what to do about labels that cannot be read."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise ExportError(
            f"The labels counted so far in {folder} are damaged: {error}. Count again: what is "
            "damaged is counted anew."
        ) from error


def alone_in(folder: Path) -> FolderLock:
    """The right to write into the folder of a count, made if missing.

    Raises
    ------
    ExportError
        If another program has it.
    """
    make_folder(folder)
    try:
        return FolderLock(folder)
    except InUseError as error:
        raise ExportError(
            f"{folder.parent} is being counted into already ({error.who}). Wait until that count "
            "is done, or choose another folder."
        ) from error


def append(path: Path, data: bytes) -> None:
    """Append and see it through to the disk; on failure the file is as it was."""
    before = path.stat().st_size
    try:
        with path.open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        os.truncate(path, before)
        raise


def read_settings(path: Path) -> Any:
    """What a JSON file holds; None if there is no such file or it is damaged."""
    try:
        return read_json(path, LabelError, FEW_BYTES)
    except LabelError:
        return None
