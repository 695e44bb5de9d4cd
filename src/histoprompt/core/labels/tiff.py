"""Label TIFFs, written and read by tiles.

Written files are OME-TIFFs of uint32 with deflated tiles that any TIFF reader opens. Where they lie
on a slide (`origin`) stands in an OME annotation, so that the labels of a region find their place.
"""

from __future__ import annotations

import os
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import tifffile
from numpy.typing import NDArray

from histoprompt.core.errors import LabelError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.closing import Closing
from histoprompt.core.files.ome_uuid import UNKNOWN, settle_uuid
from histoprompt.core.files.read_errors import READ_ERRORS
from histoprompt.core.geometry import Box
from histoprompt.core.labels.sources import (
    ArrayLabels,
    LabelSource,
    as_ids,
    cells,
    check_inside,
    check_label_array,
    extent,
)
from histoprompt.core.strings.printable import reason_of
from histoprompt.core.task import Task
from histoprompt.core.tiling import TileGrid

TILE = 512
_NAMESPACE = "histoprompt/labels"
_CACHE_BYTES = 64 << 20
# A tile or strip that would take more memory than this is damage.
_TILE_BYTES = 1 << 30
# Centimetres hold so many pixels at the most that a TIFF can say it.
_FINEST = 2**31
_CLASSIC_LIMIT = 2**31  # bytes of pixels; below it a classic TIFF is safe whatever compression does


def write_labels(
    path: str | os.PathLike[str],
    labels: LabelSource,
    *,
    mpp: float | None = None,
    task: Task | None = None,
) -> None:
    """Write labels as a tiled, compressed uint32 OME-TIFF, tile by tile.

    Parameters
    ----------
    path : path
        The file, its name ending in ``.ome.tif``; replaced only when the new one is complete.
    labels : LabelSource
        Read by tiles; those known to be empty are not read.
    mpp : float, optional
        Microns a pixel, for the resolution tags.
    task : Task, optional
        For progress and cancel.

    Raises
    ------
    ExportError
        If the file cannot be written.
    """
    with replacing_file(path) as part:
        stream_labels(part, labels, mpp, task or Task())


def stream_labels(path: Path, labels: LabelSource, mpp: float | None, task: Task) -> None:
    """What `write_labels` does, straight into a file that somebody else puts in its place."""
    grid = TileGrid(extent(labels), TILE, 0, extent(labels))
    h, w = labels.shape
    with tifffile.TiffWriter(path, bigtiff=h * w * 4 > _CLASSIC_LIMIT, ome=True) as writer:
        writer.write(
            _encoded_tiles(labels, grid, task),
            shape=(h, w),
            dtype=np.uint32,
            tile=(TILE, TILE),
            compression="adobe_deflate",
            photometric="minisblack",
            metadata=_ome(labels, mpp),
            **_resolution(mpp),
        )
    settle_uuid(path)


def _encoded_tiles(labels: LabelSource, grid: TileGrid, task: Task) -> Iterator[bytes]:
    filled = {place for box in labels.filled_boxes() for place in cells(grid, box)}
    empty = zlib.compress(bytes(TILE * TILE * 4))
    for done, tile in enumerate(grid):
        task.step(done, len(grid), "Writing labels")
        ids = labels.read(tile.inner) if (tile.row, tile.col) in filled else None
        yield empty if ids is None or not ids.any() else _encoded(ids)


def _encoded(ids: NDArray[np.uint32]) -> bytes:
    whole = np.zeros((TILE, TILE), "<u4")
    whole[: ids.shape[0], : ids.shape[1]] = ids
    return zlib.compress(whole.tobytes())


def _ome(labels: LabelSource, mpp: float | None) -> dict[str, Any]:
    place: dict[str, Any] = {"Namespace": _NAMESPACE}
    if labels.origin is not None:
        place |= {"origin_row": labels.origin[0], "origin_col": labels.origin[1]}
    size = {} if mpp is None else {"PhysicalSizeX": mpp, "PhysicalSizeXUnit": "µm"}
    size |= {} if mpp is None else {"PhysicalSizeY": mpp, "PhysicalSizeYUnit": "µm"}
    return {"axes": "YX", "UUID": UNKNOWN, "MapAnnotation": place, **size}


def _resolution(mpp: float | None) -> dict[str, Any]:
    if mpp is None or not 1 / _FINEST < 1e4 / mpp < _FINEST:
        return {}
    return {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}


class TiffLabels(Closing):
    """A label TIFF as a label source, read lazily by tile or strip.

    Close it, or use it in a ``with`` block. It belongs to one thread at a time.

    Attributes
    ----------
    shape : (rows, cols)
    origin : (row, col) or None
        As the file states it or as given; None if neither says.
    mpp : float or None
        Microns a pixel, if the file was written by `write_labels` with it.
    """

    def __init__(self, path: str | os.PathLike[str], origin: tuple[int, int] | None = None) -> None:
        self._path = Path(path)
        self._file = _open(self._path)
        try:
            self._page = _only_page(self._file, self._path)
            self._segment_shape = _segment_shape(self._page, self._path)
        except LabelError:
            self._file.close()
            raise
        except READ_ERRORS as error:
            self._file.close()
            raise LabelError(f"{self._path} is damaged: {reason_of(error)}.") from error
        stated, self.mpp = _stated(self._file.ome_metadata)
        self.origin = origin if origin is not None else stated
        self._cache: OrderedDict[int, NDArray[np.uint32]] = OrderedDict()
        self._empty: bytes | None = None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return int(self._page.imagelength), int(self._page.imagewidth)

    def read(self, box: Box) -> NDArray[np.uint32]:
        """The (h, w) uint32 labels of a level-0 box.

        Raises
        ------
        RegionError
            If the box reaches outside the labels.
        LabelError
            If the file is damaged or holds ids that are not ids.
        """
        check_inside(self, box)
        row, col = self.origin or (0, 0)
        local = box.shift(-row, -col)
        out = np.zeros(local.shape, np.uint32)
        for index, segment in self._segments(local):
            part = segment.intersection(local)
            assert part is not None  # segments are those that meet the box
            pixels = self._decoded(index)[part.slices((round(segment.r0), round(segment.c0)))]
            out[part.slices((round(local.r0), round(local.c0)))] = pixels
        return out

    def filled_boxes(self) -> Iterator[Box]:
        """The tiles or strips that hold a label."""
        row, col = self.origin or (0, 0)
        for index, box in self._segments(Box.of_shape(self.shape)):
            encoded = self._encoded(index)
            if not encoded or encoded == self._empty:
                continue
            if self._decoded(index).any():
                yield box.shift(row, col)
            else:
                self._empty = encoded  # empty tiles are all the same bytes: decode only one

    def _segments(self, local: Box) -> Iterator[tuple[int, Box]]:
        """Number and box of the tiles or strips that meet a box in pixels of the file."""
        (h, w), (rows, cols) = self._segment_shape, self.shape
        across = -(-cols // w)
        for r in range(int(local.r0 // h), int((local.r1 - 1) // h) + 1):
            for c in range(int(local.c0 // w), int((local.c1 - 1) // w) + 1):
                box = Box(r * h, c * w, min(r * h + h, rows), min(c * w + w, cols))
                yield r * across + c, box

    def _encoded(self, index: int) -> bytes:
        handle = self._file.filehandle
        handle.seek(self._page.dataoffsets[index])
        return bytes(handle.read(self._page.databytecounts[index]))

    def _decoded(self, index: int) -> NDArray[np.uint32]:
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        array = self._decode(index)
        self._cache[index] = array
        while len(self._cache) > 1 and len(self._cache) * array.nbytes > _CACHE_BYTES:
            self._cache.popitem(last=False)
        return array

    def _decode(self, index: int) -> NDArray[np.uint32]:
        encoded = self._encoded(index)
        if not encoded:
            return np.zeros(self._segment_shape, np.uint32)
        try:
            decoded = np.asarray(self._page.decode(encoded, index)[0])[0, :, :, 0]
        except READ_ERRORS as error:
            raise LabelError(
                f"{self._path} is damaged: its tile {index} cannot be decoded ({reason_of(error)})."
            ) from error
        return as_ids(decoded)


def read_labels(
    path: str | os.PathLike[str], origin: tuple[int, int] | None = None
) -> TiffLabels | ArrayLabels:
    """Open a label image as a label source.

    Parameters
    ----------
    path : path
        A TIFF with one image of integers, tiled or not.
    origin : (row, col), optional
        Level-0 position of its first pixel, where the file does not state it.

    Returns
    -------
    label source
        Reads from the file when asked. An uncompressed file is mapped into memory.

    Raises
    ------
    LabelError
        If it is missing, no TIFF, damaged, a colour image, or its values have fractions.
    """
    labels = TiffLabels(path, origin)
    if not labels._page.is_memmappable:
        return labels
    with labels:
        try:
            return ArrayLabels(labels._page.asarray(out="memmap"), labels.origin)
        except READ_ERRORS as error:
            raise LabelError(f"{labels._path} is damaged: {reason_of(error)}.") from error


def _open(path: Path) -> tifffile.TiffFile:
    try:
        if not path.is_file():
            raise LabelError(f"There is no label file {path}.")
        return tifffile.TiffFile(path)
    except READ_ERRORS as error:
        if isinstance(error, OSError) and error.strerror:
            raise LabelError(f"{path} cannot be opened ({error.strerror}).") from error
        raise LabelError(f"{path} is not a TIFF that can be read: {reason_of(error)}") from error


def _only_page(file: tifffile.TiffFile, path: Path) -> Any:
    if not file.series or not file.pages:
        raise LabelError(f"{path} holds no image.")
    series = file.series[0]
    page = series.levels[0].pages[0]
    if page is None or len(series.levels[0].pages) > 1:
        raise LabelError(
            f"{path} is a stack, {series.shape}. Labels are one image; give one plane of it."
        )
    check_label_array(page.shape, page.dtype or np.dtype(float), str(path))
    end = max(
        (o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=True)), default=0
    )
    if end > path.stat().st_size:
        raise LabelError(
            f"{path} is cut short: its pixels need {end} bytes, it has {path.stat().st_size}. "
            "Copy or write it again."
        )
    return page


def _stated(ome: str | None) -> tuple[tuple[int, int] | None, float | None]:
    """Origin and mpp from OME-XML as `write_labels` leaves it."""
    if ome is None:
        return None, None
    facts: dict[str, int] = {}
    try:
        root = ET.fromstring(ome)
        for note in root.iterfind(".//{*}MapAnnotation"):
            if note.get("Namespace") == _NAMESPACE:
                facts = {m.get("K", ""): int(m.text or 0) for m in note.iterfind(".//{*}M")}
        pixels = root.find(".//{*}Pixels")
        size = None if pixels is None else pixels.get("PhysicalSizeX")
        mpp = None if size is None else float(size)
    except (ET.ParseError, ValueError):  # what it says cannot be known, and need not be
        return None, None
    origin = None
    if {"origin_row", "origin_col"} <= set(facts) and max(map(abs, facts.values())) < 2**31:
        origin = facts["origin_row"], facts["origin_col"]
    return origin, mpp if mpp is not None and 0 < mpp < float("inf") else None


def _segment_shape(page: Any, path: Path) -> tuple[int, int]:
    """Rows and columns of the tiles or strips; they must cover the image, and fit into memory."""
    rows, cols = int(page.imagelength), int(page.imagewidth)
    high, wide = int(page.rowsperstrip), cols
    if page.is_tiled:
        high, wide = int(page.tilelength), int(page.tilewidth)
    else:
        high = min(high, rows)
    if min(rows, cols, high, wide) < 1:
        raise LabelError(f"{path} is damaged: it has tiles of {high} rows and {wide} columns.")
    if high * wide * 4 > _TILE_BYTES and not page.is_memmappable:
        raise LabelError(
            f"{path} has tiles of {high} rows and {wide} columns, too large for memory. Write it "
            "again with smaller ones."
        )
    owed = -(-rows // high) * -(-cols // wide)
    if owed != len(page.dataoffsets):
        raise LabelError(
            f"{path} is damaged: {owed} tiles cover its {rows} rows and {cols} columns, and it "
            f"has {len(page.dataoffsets)}."
        )
    return high, wide
