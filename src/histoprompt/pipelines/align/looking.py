"""What an image encoder sees of the places that sentences are about."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from histoprompt.core.errors import LabelError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.zoo.aligned import tile_features
from histoprompt.pipelines.align.pairs import Pair
from histoprompt.pipelines.embedding.tile_plan import USUAL_MPP
from histoprompt.pipelines.embedding.tiles import read_square
from histoprompt.pipelines.formats.regions import Region, read_regions

Float = NDArray[np.float32]
Opener = Callable[[Pair], AbstractContextManager[Slide]]
# Tiles of a place that are looked at, along each side.
_MOST: Final = 3
_BATCH: Final = 16


def features_of_pairs(
    pairs: Sequence[Pair], card: ModelCard, opened: Opener, manager: ModelManager, task: Task
) -> Float:
    """Features (n, d) of the places: the mean over up to nine tiles of each.

    Parameters
    ----------
    pairs : sequence of Pair
    card : ModelCard
        What looks at tiles.
    opened : callable
        Opens the slide of a pair.
    manager : ModelManager
    task : Task

    Raises
    ------
    RegionError
        If a place reaches outside its slide; the message names the line.
    SlideError
        If a slide cannot be read.
    """
    out: list[Float | None] = [None] * len(pairs)
    by_slide: dict[str, list[int]] = {}
    for i, pair in enumerate(pairs):
        by_slide.setdefault(pair.slide, []).append(i)
    done = 0
    for members in by_slide.values():
        with opened(pairs[members[0]]) as slide:
            regions: dict[str, list[Region]] = {}
            for i in members:
                task.step(done, len(pairs), f"Showing {slide.name} to {card.title}")
                box = _place(pairs[i], slide, regions)
                out[i] = _seen(slide, box, card, manager, task)
                done += 1
    task.step(len(pairs), len(pairs), "Done")
    return np.stack([row for row in out if row is not None]).astype(np.float32)


def tiles_at(slide: Slide, box: Box, card: ModelCard) -> list[Box]:
    """The squares of a place that are looked at, level-0 pixels.

    A place smaller than what the model sees at its scale is shown as it is.
    """
    pixels = card.input_size or 224
    mpp = card.mpp or USUAL_MPP
    longest = max(2, round(max(box.shape)))
    side = longest if slide.mpp is None else max(2, round(pixels * mpp / slide.mpp))
    if longest <= side:
        row, col = box.centre
        return [_square(row, col, longest)]
    rows, cols = (_starts(length, side) for length in box.shape)
    return [
        Box(box.r0 + r, box.c0 + c, box.r0 + r + side, box.c0 + c + side)
        for r in rows
        for c in cols
    ]


def _starts(length: int, side: int) -> list[int]:
    """Where tiles begin along a side, evenly spread."""
    if length <= side:
        return [(length - side) // 2]
    count = min(_MOST, math.ceil(length / side))
    return [round(x) for x in np.linspace(0, length - side, count)]


def _square(row: float, col: float, side: int) -> Box:
    r0, c0 = round(row + 0.5 - side / 2), round(col + 0.5 - side / 2)
    return Box(r0, c0, r0 + side, c0 + side)


def _seen(slide: Slide, box: Box, card: ModelCard, manager: ModelManager, task: Task) -> Float:
    pixels = card.input_size or 224
    tiles = np.stack([read_square(slide, tile, pixels) for tile in tiles_at(slide, box, card)])
    rows: list[Float] = []
    for start in range(0, len(tiles), _BATCH):
        rows += manager.run(card, task.quiet(), tile_features, tiles[start : start + _BATCH])
    return np.asarray(np.mean(rows, axis=0), np.float32)


def _place(pair: Pair, slide: Slide, regions: dict[str, list[Region]]) -> Box:
    if pair.box is None and not pair.region:
        return slide.box
    box = pair.box if pair.box is not None else _region(pair, slide, regions)
    if not slide.box.covers(box):
        raise RegionError(
            f"Line {pair.line} of the pairs: {tuple(box)} reaches outside {slide.name}, which has "
            f"{slide.shape[0]} rows and {slide.shape[1]} columns."
        )
    return box


def _region(pair: Pair, slide: Slide, regions: dict[str, list[Region]]) -> Box:
    name, _, wanted = pair.region.partition("#")
    path = Path(name)
    if not path.is_absolute():
        path = Path(pair.slide).parent / path
    if name not in regions:
        regions[name] = list(read_regions(path, slide.shape))
    mine = [region for region in regions[name] if not wanted or region.name == wanted]
    if not mine:
        raise LabelError(f"Line {pair.line} of the pairs: {path} has no region {wanted!r}.")
    c0, r0, c1, r1 = shapely.bounds(np.array([region.polygon for region in mine])).T
    return Box(float(r0.min()), float(c0.min()), float(r1.max()), float(c1.max())).to_pixels()
