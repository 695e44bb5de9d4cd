"""Which region each object lies in: worked out from the pixels, so it is never out of date."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.chunks import ChunkFiles, Labels
from histoprompt.annotations.objects import ObjectTable


def parents_of(chunks: ChunkFiles, objects: ObjectTable, regions: ObjectTable) -> dict[int, int]:
    """The region with most of an object's pixels, if it has at least half of them.

    Parameters
    ----------
    chunks : ChunkFiles
    objects, regions : ObjectTable
        Of the planes 0 and 1.

    Returns
    -------
    dict of int to int
        Regions by objects; of regions with equally many pixels that of the smaller id.
    """
    filled = {key[1:] for key in regions.filled()}
    pairs, counts = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for _, row, col in objects.filled():
        if (row, col) in filled:
            found = _pairs(chunks.read(0, (0, row, col)), chunks.read(0, (1, row, col)))
            pairs.append(found[0])
            counts.append(found[1])
    both, where = np.unique(np.concatenate(pairs), return_inverse=True)
    shared = np.zeros(len(both), np.int64)
    np.add.at(shared, where, np.concatenate(counts))
    best: dict[int, tuple[int, int]] = {}
    for pair, pixels in zip(both.tolist(), shared.tolist(), strict=True):
        child, region = pair >> 32, pair & 0xFFFFFFFF
        if pixels > best.get(child, (0, 0))[1]:
            best[child] = region, pixels
    return {i: region for i, (region, n) in best.items() if 2 * n >= objects.area_of(i)}


def _pairs(objects: Labels, regions: Labels) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Object and region as one number, and the pixels they share."""
    both = (objects > 0) & (regions > 0)
    code = objects[both].astype(np.uint64) << np.uint64(32) | regions[both]
    return np.unique(code, return_counts=True)
