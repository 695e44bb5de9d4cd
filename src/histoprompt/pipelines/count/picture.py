"""Pictures of a count: the region with outlines (or dots) in the colours of the classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.geometry import Box, Frame
from histoprompt.core.slides.slide import Slide
from histoprompt.core.tissue.find import Tissue
from histoprompt.pipelines.count.region import CountRegion
from histoprompt.pipelines.count.store import CountStore

# Longest side of a picture, and of a detail shown pixel by pixel.
LONGEST, DETAIL = 1000, 640
# Level-0 pixels a pixel of the picture above which outlines turn into dots.
_COARSE = 2.5

Picture = NDArray[np.uint8]


def overview(slide: Slide, store: CountStore, ground: CountRegion) -> Picture:
    """The whole region, at most 1000 pixels a side; pale is what is left out of a whole slide."""
    shrink = max(1.0, max(store.region.shape) / LONGEST)
    rows, cols = store.region.shape
    shape = (max(1, round(rows / shrink)), max(1, round(cols / shrink)))
    if shrink > _COARSE:
        picture = _dotted(slide, store, shape)
    else:
        picture = _outlined(slide, store, Frame(store.region, shape))
    if not ground.user_drawn:
        left = _left_out(ground.tissue, Frame(store.region, shape))
        picture[left] = 255 - (255 - picture[left]) // 3
    return picture


def _left_out(tissue: Tissue, frame: Frame) -> NDArray[np.bool_]:
    """The pixels of a picture in which nothing counts."""
    rows, cols = (np.arange(n) for n in frame.shape)
    at = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1)
    return ~tissue.at(tissue.near, frame.to_slide(at)).reshape(frame.shape)


def detail(slide: Slide, store: CountStore) -> Picture:
    """The part of the region that holds most cells, pixel by pixel."""
    box = _fullest(store)
    return _outlined(slide, store, Frame(box, box.shape))


def _palette(store: CountStore) -> NDArray[np.uint8]:
    colours = store.class_colours()
    return np.array([colours[name] for name in store.head.classes], np.uint8)


def _outlined(slide: Slide, store: CountStore, frame: Frame) -> Picture:
    picture = slide.read(frame.box, frame.shape)[0].copy()
    at = np.stack([np.arange(max(frame.shape))] * 2, axis=1)
    place = np.rint(frame.to_slide(at) - (frame.box.r0, frame.box.c0)).astype(np.int64)
    rows, cols = place[: frame.shape[0], 0], place[: frame.shape[1], 1]
    limit = np.array(frame.box.shape) - 1
    ids = store.read(frame.box)[np.ix_(rows.clip(0, limit[0]), cols.clip(0, limit[1]))]
    rim = _rims(ids)
    palette = _palette(store)
    picture[rim] = palette[_codes(store, ids[rim])]
    return picture


def _dotted(slide: Slide, store: CountStore, shape: tuple[int, int]) -> Picture:
    picture = slide.read(store.region, shape)[0].copy()
    frame = Frame(store.region, shape)
    palette = _palette(store)
    for records in store.batches():
        at = np.rint(frame.to_array(np.stack([records["row"], records["col"]], axis=1)))
        rows, cols = at.astype(np.int64).clip(0, np.array(shape) - 1).T
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):  # a single pixel is not seen
            at_most = np.array(shape) - 1
            place = np.minimum(rows + down, at_most[0]), np.minimum(cols + right, at_most[1])
            picture[place] = palette[records["code"]]
    return picture


def _rims(ids: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Pixels of objects with another value above, below, left or right of them."""
    padded = np.pad(ids, 1, mode="edge")
    around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.asarray((ids > 0) & np.any([ids != other for other in around], axis=0))


def _codes(store: CountStore, ids: NDArray[np.uint32]) -> NDArray[np.int16]:
    """The class of each of (n,) ids, from the batches that hold them."""
    wanted, inverse = np.unique(ids, return_inverse=True)
    codes = np.zeros(len(wanted), np.int16)
    for records in store.batches():
        here = np.isin(wanted, records["id"], assume_unique=True)
        codes[here] = records["code"][np.searchsorted(records["id"], wanted[here])]
    return codes[inverse]


def _fullest(store: CountStore) -> Box:
    """A box of at most `DETAIL` pixels a side around the middle of the densest part."""
    rows, cols = (-(-n // DETAIL) for n in store.region.shape)
    counts = np.zeros((rows, cols), np.int64)
    for records in store.batches():
        at = np.stack([records["row"], records["col"]], axis=1) - (store.region.r0, store.region.c0)
        r, c = (at // DETAIL).astype(np.int64).clip(0, np.array(counts.shape) - 1).T
        np.add.at(counts, (r, c), 1)
    row, col = np.unravel_index(int(counts.argmax()), counts.shape)
    r0, c0 = store.region.r0 + int(row) * DETAIL, store.region.c0 + int(col) * DETAIL
    return Box(r0, c0, r0 + DETAIL, c0 + DETAIL).shift_inside(store.region)
