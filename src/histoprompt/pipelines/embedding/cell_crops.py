"""What an encoder sees of crops around counted cells, kept as tiles are."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import MissingMppError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.embedding.embedding_store import EmbeddingStore, StoreKey, TileVectors
from histoprompt.pipelines.embedding.prefetch import prefetch
from histoprompt.pipelines.embedding.tiles import EmbedJob, read_square

# Microns a side of the crop around a cell: the cell and its neighbours.
CROP_UM = 32.0


def on_slide(cells: CellTable, slide: Slide) -> NDArray[np.bool_]:
    """Which cells have their middle on a slide, (n,) bool."""
    rows, cols = slide.shape
    return np.asarray(
        (cells.row > -0.5) & (cells.row < rows) & (cells.col > -0.5) & (cells.col < cols)
    )


def _key(slide: Slide, cells: CellTable) -> str:
    """Names the cells of a count: others lie elsewhere."""
    digest = hashlib.sha256(np.stack([cells.row, cells.col]).tobytes()).hexdigest()[:12]
    return f"{slide.key}-cells-{digest}"


def crop_size(slide: Slide, job: EmbedJob) -> tuple[int, int]:
    """Level-0 pixels and array pixels a side of the crop around a cell."""
    if slide.mpp is None:
        raise MissingMppError(f"{slide.name} does not state its pixel size.")
    return max(1, round(CROP_UM / slide.mpp)), job.card.input_size or 224


def crops_of(slide: Slide, cells: CellTable, job: EmbedJob, task: Task) -> TileVectors:
    """Vectors of crops around cells on a slide; those made before are not made again.

    Raises
    ------
    MissingMppError
        If the slide has no pixel size.
    ModelError, ExportError, Cancelled
        As for `build_index`.
    """
    side, pixels = crop_size(slide, job)
    key = StoreKey(_key(slide, cells), job.card.id, job.digest, 1, side, pixels)
    places = np.stack([np.arange(len(cells)), np.zeros(len(cells))], axis=1).astype(np.int32)
    with EmbeddingStore(job.stores, key, (max(1, len(cells)), 1)) as store:
        todo = np.flatnonzero(store.missing(places))

        def read(k: int) -> NDArray[np.uint8]:
            around = Box.around(round(cells.row[k]), round(cells.col[k]), key.side).to_pixels()
            return read_square(slide, around, key.pixels)

        crops = prefetch((int(k) for k in todo), read, depth=2 * job.batch)
        for start in range(0, len(todo), job.batch):
            part = todo[start : start + job.batch]
            task.step(len(cells) - len(todo) + start, len(cells), f"Looking at {slide.name}")
            store.append(places[part], job.embed(task, np.stack([next(crops) for _ in part])))
        return store.load(places)
