"""Reduced copies of a count's labels, so that a whole slide can be looked at from afar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from histoprompt.core.files.atomic import replacing_folder
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.labels.regrid import regrid
from histoprompt.core.task import Task
from histoprompt.pipelines.count.drawn_chunks import CHUNK
from histoprompt.pipelines.count.store import CountStore

# The smallest copy is at most this many pixels a side.
_SMALLEST = 1024


def label_pyramid(store: CountStore, task: Task) -> list[Any]:
    """The labels at level 0, then at 1/2, 1/4 ... of it.

    Reduced copies are halved as `regrid` does it, so that cells lie in the same place in all of
    them. They lie beside the labels, and are written once for a state of the store; chunks without
    cells cost nothing.

    Parameters
    ----------
    store : CountStore
    task : Task
        For progress and cancel; what was begun is thrown away.

    Returns
    -------
    list of array-like, (h, w) uint32

    Raises
    ------
    ExportError
        If the disk is full.
    """
    shapes = reduced_shapes(store.shape)
    folder = store.files.copies(store.counted)
    if shapes and not folder.is_dir():
        store.files.clear_copies()
        with replacing_folder(folder) as part:
            _write(part, shapes, store, task)
    reduced = [zarr.open_array(folder / str(i), mode="r") for i in range(1, len(shapes) + 1)]
    return [store.labels, *reduced]


def reduced_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """(rows, cols) of the reduced copies of labels of (rows, cols), each half the one before."""
    found = []
    while max(shape) > _SMALLEST:
        shape = (-(-shape[0] // 2), -(-shape[1] // 2))
        found.append(shape)
    return found


def _write(folder: Path, shapes: list[tuple[int, int]], store: CountStore, task: Task) -> None:
    levels: list[Any] = [
        zarr.create_array(
            folder / str(i),
            shape=shape,
            chunks=(CHUNK, CHUNK),
            dtype=np.uint32,
            compressors=ZstdCodec(level=1),
            fill_value=0,
        )
        for i, shape in enumerate(shapes, start=1)
    ]
    filled = list(store.filled_boxes())
    for done, box in enumerate(filled):
        task.step(done, len(filled), "Preparing the labels for display")
        _reduce(levels, store, box)


def _reduce(levels: list[Any], store: CountStore, box: Box) -> None:
    """Write one chunk of level 0 into all levels; chunks are so large that steps divide them."""
    (r, c), (r0, c0) = (round(box.r0), round(box.c0)), store.origin
    r, c = r - r0, c - c0
    names, index = np.unique(store.read(box), return_inverse=True)
    if names[0] != 0:  # a chunk without any background
        names, index = np.append(names[:1] * 0, names), index + 1
    part = np.asarray(index.reshape(box.shape), np.int32)
    for i, level in enumerate(levels, start=1):
        part = _halved(part)
        place = slice(r >> i, (r >> i) + part.shape[0]), slice(c >> i, (c >> i) + part.shape[1])
        level[place] = names[part]


def _halved(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Labels on pixels twice as large; the last one may reach over the edge."""
    shape = (-(-labels.shape[0] // 2), -(-labels.shape[1] // 2))
    twice = Box(0, 0, shape[0] * 2, shape[1] * 2)
    return regrid(labels, Frame.of_array(labels), Frame(twice, shape))
