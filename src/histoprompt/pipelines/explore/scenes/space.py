"""The space that scenes are found in, and the map of it that a person looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.vectors import unit_rows
from histoprompt.pipelines.explore.directions import directions, whitening
from histoprompt.pipelines.explore.stored_vectors import (
    BLOCK,
    StoredVectors,
    mean_and_deviation,
)
from histoprompt.pipelines.explore.tile_set import TileSet

Float = NDArray[np.float32]

# With fewer tiles UMAP has nothing to work with.
_FEWEST = 20
_CUT = 5.0
_MOST_FITTED = 50_000
# Tiles that are brought together with their neighbours at once.
_AT_ONCE = 1024
# Numbers of each tile that are smoothed at once.
_COLUMNS = 8


def scene_space(tiles: TileSet, *, smooth: bool) -> Float:
    """Vectors (n, k) of unit length in which kinds of tissue lie apart.

    Standardised, in main directions whose weights are made more alike, as `directions` says.

    Parameters
    ----------
    tiles : TileSet
    smooth : bool
        Whether a tile is seen with its neighbours, half and half.
    """
    if isinstance(tiles.vectors, StoredVectors):
        return _stored_space(tiles, tiles.vectors, smooth=smooth)
    vectors = np.asarray(tiles.vectors, np.float32)
    deviation = vectors.std(axis=0)
    vectors = (vectors - vectors.mean(axis=0)) / np.maximum(
        deviation, 1e-3 * float(np.median(deviation)) or 1.0
    )
    vectors = np.clip(vectors, -_CUT, _CUT)
    if smooth:
        vectors = (vectors + around(tiles, vectors)) / 2
    some = vectors[:: max(1, len(vectors) // _MOST_FITTED)]
    centre = some.mean(axis=0)
    return unit_rows((vectors - centre) @ whitening(some - centre))


def _stored_space(tiles: TileSet, vectors: StoredVectors, *, smooth: bool) -> Float:
    """The same, of vectors that are read in blocks.

    Smoothing and turning into main directions are both linear, so neighbours are brought together
    after it, in few numbers; before it only those of the tiles that directions are learnt from.
    """
    mean, deviation = mean_and_deviation(vectors)
    scale = np.maximum(deviation, 1e-3 * float(np.median(deviation)) or 1.0)

    def seen(rows: NDArray[np.intp]) -> Float:
        return np.asarray(np.clip((vectors[rows] - mean) / scale, -_CUT, _CUT), np.float32)

    some = np.arange(0, len(vectors), max(1, len(vectors) // _MOST_FITTED))
    learnt = np.empty((len(some), vectors.width), np.float32)
    beside = _beside(tiles) if smooth else None
    for start in range(0, len(some), _AT_ONCE):
        rows = some[start : start + _AT_ONCE]
        learnt[start : start + len(rows)] = (
            seen(rows) if beside is None else _smoothed(rows, beside[rows], seen)
        )
    centre = learnt.mean(axis=0)
    axes = whitening(learnt - centre)
    space = np.empty((len(vectors), axes.shape[1]), np.float32)
    for start in range(0, len(vectors), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(vectors)))
        space[rows] = seen(rows) @ axes
    for first in range(0, space.shape[1] if smooth else 0, _COLUMNS):
        some_of = space[:, first : first + _COLUMNS]
        some_of += around(tiles, some_of)
        some_of /= 2
    space -= centre @ axes
    for start in range(0, len(space), BLOCK):
        space[start : start + BLOCK] = unit_rows(space[start : start + BLOCK])
    return space


def _beside(tiles: TileSet) -> NDArray[np.int32]:
    """The rows (n, 8) of the neighbours of each tile; -1 where there is none."""
    out = np.full((len(tiles), 8), -1, np.int32)
    for number in np.unique(tiles.slide):
        rows = tiles.rows_of(number)
        for k, (here, there) in enumerate(neighbours(tiles.places[rows])):
            out[rows[here], k] = rows[there]
    return out


def _smoothed(
    rows: NDArray[np.intp], beside: NDArray[np.int32], seen: Callable[[NDArray[np.intp]], Float]
) -> Float:
    """Half of some tiles and half the mean of their neighbours (k, 8)."""
    met = beside >= 0
    wanted = np.unique(np.concatenate([rows, beside[met]]))
    values = seen(wanted)
    own = values[np.searchsorted(wanted, rows)]
    total = np.zeros_like(own)
    for k in range(beside.shape[1]):
        here = met[:, k]
        total[here] += values[np.searchsorted(wanted, beside[here, k])]
    count = met.sum(axis=1)[:, None]
    return np.asarray(np.where(count > 0, (own + total / np.maximum(count, 1)) / 2, own))


def around(tiles: TileSet, values: Float) -> Float:
    """The mean (n, k) of each tile's eight neighbours; its own value where it has none."""
    out = np.array(values, np.float32)
    for number in np.unique(tiles.slide):
        rows = tiles.rows_of(number)
        total = np.zeros((len(rows), values.shape[1]), np.float32)
        count = np.zeros(len(rows), np.float32)
        for here, there in neighbours(tiles.places[rows]):
            total[here] += values[rows[there]]
            count[here] += 1
        met = count > 0
        out[rows[met]] = total[met] / count[met, None]
    return out


def neighbours(
    places: NDArray[np.int32],
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """For each of eight directions: rows that have a neighbour there, and the neighbours."""
    low = places.min(axis=0) - 1 if len(places) else np.zeros(2, int)
    wide = int(np.ptp(places[:, 1])) + 3 if len(places) else 1
    flat = (places - low).astype(np.int64) @ np.array([wide, 1])
    order = np.argsort(flat)
    ordered = flat[order]
    for dr in (-1, 0, 1):
        for dc in (-1, 0, 1):
            if dr or dc:
                wanted = flat + dr * wide + dc
                at = np.searchsorted(ordered, wanted).clip(0, max(len(flat) - 1, 0))
                there = order[at]
                met = np.flatnonzero(flat[there] == wanted)
                yield met, np.asarray(there[met], np.intp)


def picture_of_space(space: Float, seed: int = 0) -> tuple[Float, str]:
    """Two coordinates (n, 2) of each tile, and how they were made.

    UMAP where umap-learn is installed, else the two main directions.
    """
    try:
        UMAP = import_module("umap").UMAP  # noqa: N806 - a class of another package
    except ImportError:
        return _plane(space), "main directions (PCA)"
    if len(space) < _FEWEST:
        return _plane(space), "main directions (PCA)"
    made = UMAP(random_state=seed, n_jobs=1).fit_transform(space)
    return np.asarray(made, np.float32), "UMAP"


def _plane(space: Float) -> Float:
    """The two main directions (n, 2)."""
    centred = space - space.mean(axis=0)
    if len(space) < 2:
        return np.zeros((len(space), 2), np.float32)
    axes = directions(centred)[1][:, :2]
    made = np.zeros((len(space), 2), np.float32)
    made[:, : axes.shape[1]] = centred @ axes
    return made
