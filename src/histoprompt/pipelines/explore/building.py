"""Making the index of a slide, and opening one that is whole.

Vectors lie in the store of embeddings that words use too, so nothing is looked at twice. Beside
them lies which tiles there are and how much of each is glass, pen or blur: once an index is whole
it is opened without the slide.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.core.tissue.find import BLUR, GLASS, PEN, find_tissue
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.embedding.embedding_store import (
    StoreKey,
    TileVectors,
    open_vectors,
    read_key,
)
from histoprompt.pipelines.embedding.kept import FILE, KeptPlan, read_plan, write_plan
from histoprompt.pipelines.embedding.tile_plan import (
    LEAST_TISSUE,
    TilePlan,
    cell_shares,
    lay_tiles,
)
from histoprompt.pipelines.embedding.tiles import EmbedJob, embed_tiles, store_key
from histoprompt.pipelines.explore.index import TISSUE, IndexParams, SlideIndex

# Bytes of vectors that an index which is opened holds in memory; more are read when needed.
HELD = 2**26
# Shares of a tile that are kept of each, 0 to 1.
FLAGS = (TISSUE, GLASS, PEN, BLUR)


def build_index(
    slide: Slide,
    params: IndexParams,
    manager: ModelManager,
    task: Task,
    *,
    name: str = "",
    first: Box | None = None,
    stores: Path | None = None,
) -> SlideIndex:
    """Look at all tissue of a slide; what was looked at before is not looked at again.

    Parameters
    ----------
    slide : Slide
    params : IndexParams
    manager : ModelManager
    task : Task
        Told of every batch; what was made before a cancel is kept.
    name : str
        For people; the slide's own if not given.
    first : Box, optional
        What is in view, level-0 pixels: its tiles come first.
    stores : Path, optional
        Where embeddings are kept.

    Raises
    ------
    MissingMppError
        If the slide has no pixel size.
    RegionError
        If no tissue was found on it.
    ModelError
        If the model makes no vectors of tiles.
    ExportError
        If the store cannot be written; what is in it stays valid.
    Cancelled
        If the task is cancelled.
    """
    job = params.job(manager, stores)
    laid = lay_tiles(slide, job.card, mpp=params.mpp or None, overlap=params.overlap)
    key = store_key(slide, laid, job)
    kept = read_plan(key.folder(job.stores)) or _plan(slide, laid, job)
    kept = replace(kept, name=name or slide.name, path=slide.path or "")
    vectors = embed_tiles(slide, replace(laid, places=kept.places), job, task, first=first)
    write_plan(key.folder(job.stores), kept)
    return _index(key, laid, kept, vectors, words=job.card.role == "text")


def open_index(
    slide: Slide, params: IndexParams, manager: ModelManager, stores: Path | None = None
) -> SlideIndex | None:
    """The index of a slide if it is whole; None if it has to be built, or built to its end.

    Nothing of the slide is read, no model is loaded and nothing is locked. Raises as `build_index`.
    """
    job = params.job(manager, stores)
    laid = lay_tiles(slide, job.card, mpp=params.mpp or None, overlap=params.overlap)
    key = store_key(slide, laid, job)
    folder = key.folder(job.stores)
    kept = read_plan(folder)
    vectors = None if kept is None else open_vectors(folder, kept.places, laid.grid.shape, HELD)
    if kept is None or vectors is None:
        return None
    return _index(key, laid, kept, vectors, words=job.card.role == "text")


def tile_at(slide: Slide, params: IndexParams, row: float, col: float) -> Box | None:
    """What the encoder sees of the tile at a level-0 place; None off the slide.

    Raises
    ------
    MissingMppError
        If the slide has no pixel size.
    """
    card = registry.card(params.encoder)
    laid = lay_tiles(slide, card, mpp=params.mpp or None, overlap=params.overlap)
    tile = laid.grid.tile_of(row, col)
    if tile is None:
        return None
    window = laid.window((tile.row, tile.col)).intersection(slide.box)
    return None if window is None else window.to_pixels()


def other_weights(
    slide: Slide, params: IndexParams, manager: ModelManager, stores: Path | None = None
) -> str:
    """The digest of other weights of the encoder that a slide was indexed with; empty if none."""
    job = params.job(manager, stores)
    laid = lay_tiles(slide, job.card, mpp=params.mpp or None, overlap=params.overlap)
    key = store_key(slide, laid, job)
    for path in sorted((job.stores / slide.key).glob(f"*/{FILE}")):
        made = read_key(path.parent)
        if made is not None and made != key and replace(made, weights=key.weights) == key:
            return made.weights[:23]
    return ""


def _plan(slide: Slide, laid: TilePlan, job: EmbedJob) -> KeptPlan:
    """Which tiles hold tissue, and what else they hold."""
    tissue = find_tissue(slide)
    masks = {TISSUE: tissue.tissue, **tissue.excluded}
    shares = {name: cell_shares(laid.grid, tissue, masks[name]) for name in FLAGS}
    places = np.argwhere(shares[TISSUE] >= LEAST_TISSUE).astype(np.int32)
    if not len(places):
        raise RegionError(
            f"{slide.name} cannot be indexed: no tissue was found on it, only "
            f"{', '.join(name for name in FLAGS[1:] if shares[name].any())}."
        )
    rows, cols = places.T
    flags = {name: share[rows, cols].astype(np.float32) for name, share in shares.items()}
    return KeptPlan(slide.name, slide.path or "", slide.mpp, slide.shape, places, flags)


def _index(
    key: StoreKey, laid: TilePlan, kept: KeptPlan, vectors: TileVectors, *, words: bool
) -> SlideIndex:
    plan = replace(laid, places=kept.places)
    return SlideIndex(
        slide=key.slide,
        name=kept.name,
        path=kept.path,
        mpp=kept.mpp,
        shape=kept.shape,
        encoder=key.model,
        digest=key.weights,
        words=words,
        boxes=_boxes(plan, kept.shape),
        vectors=vectors,
        flags=kept.flags,
        side=plan.side,
        pixels=plan.pixels,
        step=plan.grid.size,
        places=kept.places,
        grid=plan.grid.shape,
        ids=np.zeros(0, np.int64),
    )


def _boxes(plan: TilePlan, shape: tuple[int, int]) -> NDArray[np.int64]:
    """(n, 4) windows of all tiles, moved inside the slide as `TilePlan.window` does, and cut."""
    step, side = plan.grid.size, plan.side
    low = plan.places.astype(np.int64) * step - (side - step) // 2
    room = np.array(shape, np.int64) - side
    low = np.where(room >= 0, np.clip(low, 0, np.maximum(room, 0)), low)
    high = np.minimum(low + side, shape)
    return np.concatenate([np.maximum(low, 0), high], axis=1)
