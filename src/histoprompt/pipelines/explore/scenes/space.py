"""The space that scenes are found in, and the map of it that a person looks at."""

from __future__ import annotations

from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.vectors import unit_rows
from histoprompt.pipelines.explore.directions import directions, whitening
from histoprompt.pipelines.explore.tile_set import TileSet

Float = NDArray[np.float32]

# With fewer tiles UMAP has nothing to work with.
_FEWEST = 20
_CUT = 5.0
_MOST_FITTED = 50_000


def scene_space(tiles: TileSet, *, smooth: bool) -> Float:
    """Vectors (n, k) of unit length in which kinds of tissue lie apart.

    Standardised, in main directions whose weights are made more alike, as `directions` says.

    Parameters
    ----------
    tiles : TileSet
    smooth : bool
        Whether a tile is seen with its neighbours, half and half.
    """
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
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """For each of eight directions: rows that have a neighbour there, and the neighbours."""
    low = places.min(axis=0) - 1 if len(places) else np.zeros(2, int)
    wide = int(np.ptp(places[:, 1])) + 3 if len(places) else 1
    flat = (places - low).astype(np.int64) @ np.array([wide, 1])
    order = np.argsort(flat)
    found = []
    for dr in (-1, 0, 1):
        for dc in (-1, 0, 1):
            if dr or dc:
                wanted = flat + dr * wide + dc
                at = np.searchsorted(flat[order], wanted).clip(0, max(len(flat) - 1, 0))
                there = order[at]
                met = np.flatnonzero(flat[there] == wanted)
                found.append((met, np.asarray(there[met], np.intp)))
    return found


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
