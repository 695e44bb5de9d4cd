"""Which region each object lies in: worked out from the pixels, so it is never out of date."""

from __future__ import annotations

from collections import Counter

from histoprompt.annotations.chunks import ChunkFiles
from histoprompt.annotations.objects import ObjectTable
from histoprompt.core.labels.shared import shared_pixels


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
    shared: Counter[tuple[int, int]] = Counter()
    for _, row, col in objects.filled():
        if (row, col) in filled:
            found = shared_pixels(chunks.read(0, (0, row, col)), chunks.read(0, (1, row, col)))
            for child, region, pixels in zip(*(part.tolist() for part in found), strict=True):
                shared[child, region] += pixels
    best: dict[int, tuple[int, int]] = {}
    for (child, region), pixels in sorted(shared.items()):
        if pixels > best.get(child, (0, 0))[1]:
            best[child] = region, pixels
    return {i: region for i, (region, n) in best.items() if 2 * n >= objects.area_of(i)}
