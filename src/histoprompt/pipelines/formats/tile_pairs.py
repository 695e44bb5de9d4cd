"""Image and label tiles for training: where they lie, which set they go to, what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import MissingMppError
from histoprompt.core.geometry import Box
from histoprompt.core.labels.sources import cells, extent
from histoprompt.core.labels.table import compacted
from histoprompt.core.tiling import Tile, TileGrid
from histoprompt.pipelines.formats.job import ExportJob
from histoprompt.pipelines.formats.splits import Split, Splits, share_of

_GLASS = 255


@dataclass(frozen=True)
class TileObject:
    """The part of an object in a tile.

    Attributes
    ----------
    id : int
        The object's label.
    class_name : str
    cut : bool
        Whether the object goes on outside the tile.
    """

    id: int
    class_name: str
    cut: bool


@dataclass(frozen=True, eq=False)
class TilePair:
    """An image tile and its labels.

    Attributes
    ----------
    row, col : int
        Place in the grid over the labels.
    box : Box
        Level-0 pixels covered; smaller at the far edges of the labels.
    split : "train", "val" or "test"
    image : (size, size, 3) uint8
        White beyond the box.
    ids : (size, size) uint32
        Labels, 0 beyond the box.
    valid : (rows, cols)
        The part of the arrays that shows the box.
    objects : tuple of TileObject
        By id.
    """

    row: int
    col: int
    box: Box
    split: Split
    image: NDArray[np.uint8]
    ids: NDArray[np.uint32]
    valid: tuple[int, int]
    objects: tuple[TileObject, ...]


def tile_side(job: ExportJob) -> int:
    """Level-0 pixels along the side of a tile.

    Raises
    ------
    MissingMppError
        If tiles of a given mpp are wanted and the slide's is not known.
    """
    if not job.params.mpp:
        return job.params.tile_size
    if job.slide.mpp is None:
        raise MissingMppError(
            f"Tiles of {job.params.mpp} um a pixel are wanted, but the pixel size of "
            f"{job.slide.name} is not known; its own pixels need none."
        )
    return max(1, round(job.params.tile_size * job.params.mpp / job.slide.mpp))


def tile_mpp(job: ExportJob) -> float | None:
    """Microns a pixel of the tiles, as exact as whole level-0 pixels allow."""
    if job.slide.mpp is None:
        return None
    return job.slide.mpp * tile_side(job) / job.params.tile_size


def tile_pairs(job: ExportJob) -> Iterator[TilePair]:
    """Read the tiles that hold objects, and the wanted share of those that hold none.

    Yields
    ------
    TilePair
        In reading order; first those with objects, then the empty ones, which a hash picks.
    """
    region = extent(job.labels)
    grid = TileGrid(region, tile_side(job), 0, region)
    candidates = sorted({p for box in job.labels.filled_boxes() for p in cells(grid, box)})
    filled: set[tuple[int, int]] = set()
    splits = Splits(job)
    for done, place in enumerate(candidates):
        job.task.step(done, len(candidates), "Writing tiles")
        tile = grid.tile(*place)
        ids = job.labels.read(tile.inner)
        if ids.any():
            filled.add(place)
            yield from _noted(job, tile, ids, splits)
    empty = [] if job.params.only_annotated and not job.areas else _pick_empty(job, grid, filled)
    for done, place in enumerate(empty):
        job.task.step(done, len(empty), "Writing empty tiles")
        tile = grid.tile(*place)
        yield from _noted(job, tile, np.zeros(tile.inner.shape, np.uint32), splits)


def _noted(
    job: ExportJob, tile: Tile, ids: NDArray[np.uint32], splits: Splits
) -> Iterator[TilePair]:
    split = splits.of(tile)
    if split is None:
        job.tallies.left_out += 1
        return
    pair = _pair(job, tile, ids, split)
    job.tallies.add(split, [item.class_name for item in pair.objects])
    yield pair


def _pick_empty(
    job: ExportJob, grid: TileGrid, filled: set[tuple[int, int]]
) -> list[tuple[int, int]]:
    share = job.params.empty_share
    wanted = round(len(filled) * share / (1 - share))
    if not wanted:
        return []
    others = [(t.row, t.col) for t in grid if (t.row, t.col) not in filled]
    return sorted(
        sorted(others, key=lambda place: share_of(f"{job.slide.key}/{place}/empty"))[:wanted]
    )


def _pair(job: ExportJob, tile: Tile, level0: NDArray[np.uint32], split: Split) -> TilePair:
    size, scale = job.params.tile_size, tile_side(job) / job.params.tile_size
    h, w = (max(1, round(n / scale)) for n in tile.inner.shape)
    image = np.full((size, size, 3), _GLASS, np.uint8)
    image[:h, :w] = job.slide.read(tile.inner, (h, w))[0]
    ids = np.zeros((size, size), np.uint32)
    ids[:h, :w] = nearest(level0, (h, w))
    return TilePair(
        row=tile.row,
        col=tile.col,
        box=tile.inner,
        split=split,
        image=image,
        ids=ids,
        valid=(h, w),
        objects=_objects(job, level0, ids),
    )


def _objects(
    job: ExportJob, level0: NDArray[np.uint32], ids: NDArray[np.uint32]
) -> tuple[TileObject, ...]:
    present, _, areas = compacted(level0)
    cut = areas < job.table.areas_of(present)
    kept = np.isin(present, ids)  # a speck may be gone at a coarser scale
    return tuple(
        TileObject(label, job.classes.of(label), is_cut)
        for label, is_cut in zip(present[kept].tolist(), cut[kept].tolist(), strict=True)
    )


def nearest(ids: NDArray[np.uint32], shape: tuple[int, int]) -> NDArray[np.uint32]:
    """Labels at another size: each pixel takes the label under its centre."""
    if ids.shape == shape:
        return ids
    rows, cols = ((np.arange(n) + 0.5) * m / n for n, m in zip(shape, ids.shape, strict=True))
    return ids[np.ix_(rows.astype(int), cols.astype(int))]
