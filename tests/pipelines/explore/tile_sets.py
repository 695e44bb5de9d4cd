"""Tiles of made-up slides, of which it is known what they are."""

from __future__ import annotations

import numpy as np

from histoprompt.pipelines.explore.tile_set import TiledSlide, TileSet

STEP = 100


def laid(vectors, columns: int = 20, name: str = "S1", digest: str = "sha256:1") -> TileSet:
    """Tiles in rows of `columns`, on one slide, with these vectors."""
    n = len(vectors)
    places = np.stack(np.divmod(np.arange(n), columns), axis=1).astype(np.int32)
    boxes = np.concatenate([places, places + 1], axis=1).astype(np.int64) * STEP
    shape = (int(places[:, 0].max() + 1) * STEP, columns * STEP)
    slide = TiledSlide(name, f"key of {name}", f"{name}.svs", 0.5, shape, STEP)
    area = np.full(n, (STEP * 0.5 / 1000) ** 2)
    return TileSet(
        (slide,), np.zeros(n, np.int32), boxes, places,
        np.asarray(vectors, np.float32), area, "enc", digest,
    )  # fmt: skip


def patched(rng: np.random.Generator, side: int, patch: int, width: int, spread: float):
    """(side * side, width) vectors of a square of tiles; those of a patch share a shift."""
    at = np.argwhere(np.ones((side, side), bool)) // patch
    number = at[:, 0] * (side // patch + 1) + at[:, 1]
    shift = rng.normal(0, spread, (number.max() + 1, width))[number]
    return 10 + shift + rng.normal(0, 1, (side * side, width))
