"""Embeddings of the tiles a model looks at, each made once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from histoprompt.core import settings
from histoprompt.core.errors import ModelError, Remedy
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models import weights as weight_files
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.roles import TextScorer, TileEncoder
from histoprompt.pipelines.embedding.ahead import VectorsAhead, batches, shared
from histoprompt.pipelines.embedding.embedding_store import (
    EmbeddingStore,
    StoreKey,
    TileVectors,
    open_vectors,
)
from histoprompt.pipelines.embedding.prefetch import prefetch
from histoprompt.pipelines.embedding.tile_plan import TilePlan

_R = TypeVar("_R")

BATCH = 32
# Images that a processor is given at once: a cancel acts between them. A model that takes little
# memory (MiB) is done with a whole batch in a second, and slow with a few images at a time.
AT_ONCE, SMALL_MIB = 4, 512
_WHITE = 255


# Roles whose models make vectors of tiles.
ROLES = ("text", "encoder")


@dataclass(frozen=True, slots=True)
class EmbedJob:
    """What looking at tiles runs with.

    Attributes
    ----------
    manager : ModelManager
    card : ModelCard
        Of a `TextScorer` or a `TileEncoder`.
    weights : Path or None
        The user's own weights.
    stores : Path
        Where embeddings are kept.
    batch : int
        Tiles a call of the model.
    ahead : VectorsAhead or None
        Where other workers put what they looked at.
    """

    manager: ModelManager
    card: ModelCard
    weights: Path | None = None
    stores: Path = field(default_factory=lambda: settings.cache_folder() / "tiles")
    batch: int = BATCH
    ahead: VectorsAhead | None = None

    def __post_init__(self) -> None:
        if self.card.role not in ROLES:
            raise ModelError(
                f"{self.card.id} makes no vectors of tiles: that needs a model of the role encoder "
                "or text.",
                remedy=Remedy.MODELS,
            )

    @property
    def digest(self) -> str:
        """Of the weights; of the program's version for a model without."""
        return weight_files.in_use(self.card, self.weights).fixed

    def embed(self, task: Task, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, d) vectors of (n, h, w, 3) uint8 tiles; of unit length from a text scorer."""
        look = embed_images if self.card.role == "text" else encode
        return np.asarray(run_parts(self, task, look, tiles), np.float32)


def embed_tiles(
    slide: Slide,
    plan: TilePlan,
    job: EmbedJob,
    task: Task,
    *,
    first: Box | None = None,
    seen: Callable[[TileVectors, NDArray[np.int32]], None] | None = None,
) -> TileVectors:
    """The vectors of all tiles of a plan; those made before are not made again.

    Parameters
    ----------
    slide, plan
    job : EmbedJob
    task : Task
        Told of every batch. What was made before a cancel is kept.
    first : Box, optional
        What is in view, level-0 pixels: its tiles come first, then those nearest to it.
    seen : callable, optional
        Given the vectors of the tiles that were kept, then of each new batch, and their places, to
        show a map while it grows. Not called if no tile is missing.

    Returns
    -------
    TileVectors
        In the order of `plan.places`, as kept on disk (float16), whether new or old.

    Raises
    ------
    ExportError
        If the store cannot be written, such as on a full disk; what is in it stays valid.
    Cancelled
        If the task is cancelled.
    """
    key = store_key(slide, plan, job)
    with EmbeddingStore(job.stores, key, plan.grid.shape) as store:
        if job.ahead is not None:
            _take_in(store, key, plan, job.ahead, job.batch)
        new = store.missing(plan.places)
        todo, kept = plan.places[new], plan.places[~new]
        todo = todo[_order(plan, todo, first)]
        done, total = len(kept), len(plan)
        if seen is not None and len(todo) and len(kept):
            seen(store.load(kept), kept)
        for places, tiles in _read(slide, plan, list(batches(todo, job.batch))):
            task.step(done, total, f"Looking at {slide.name} with {job.card.title}")
            vectors = job.embed(task, tiles)
            store.append(places, vectors)
            if seen is not None:
                seen(TileVectors(vectors, np.arange(len(vectors))), places)
            done += len(places)
        task.step(total, total, "Done")
        return store.load(plan.places)


def look_ahead(
    slide: Slide, plan: TilePlan, job: EmbedJob, share: tuple[int, int], task: Task
) -> None:
    """Look at a share of the tiles of a plan, so that `embed_tiles` need not elsewhere.

    Parameters
    ----------
    slide, plan
    job : EmbedJob
        Its `ahead` is where vectors are put; the store is read, not written.
    share : (int, int)
        Which one, from 0, of how many: batches that follow each other.
    task : Task
        Told of every batch; what was made before a cancel is kept.

    Raises
    ------
    ExportError
        If the disk is full.
    Cancelled
    """
    ahead = job.ahead
    if ahead is None:
        raise TypeError("Looking ahead needs a place for what is seen.")
    key, every = store_key(slide, plan, job), list(batches(plan.places, job.batch))
    mine, todo = [every[k] for k in shared(len(every), share)], []
    for places in mine:
        if ahead.has(key, places):
            continue
        kept = open_vectors(key.folder(job.stores), places, plan.grid.shape)
        if kept is None:
            todo.append(places)
        else:
            ahead.put(key, places, kept.take(np.arange(len(places))))
    for done, (places, tiles) in enumerate(_read(slide, plan, todo)):
        task.step(done, len(todo), f"Looking at {slide.name} with {job.card.title}")
        ahead.put(key, places, job.embed(task, tiles))


def _take_in(
    store: EmbeddingStore, key: StoreKey, plan: TilePlan, ahead: VectorsAhead, size: int
) -> None:
    """Put what other workers looked at into the store."""
    for places in batches(plan.places, size):
        new = store.missing(places)
        if new.any() and (vectors := ahead.take(key, places)) is not None:
            store.append(places[new], vectors[new])


def only_kept(slide: Slide, plan: TilePlan, job: EmbedJob) -> TilePlan:
    """The tiles of a plan that were seen before."""
    with EmbeddingStore(job.stores, store_key(slide, plan, job), plan.grid.shape) as store:
        return replace(plan, places=plan.places[~store.missing(plan.places)])


def store_key(slide: Slide, plan: TilePlan, job: EmbedJob) -> StoreKey:
    """Names the store of a plan's embeddings."""
    return StoreKey(slide.key, job.card.id, job.digest, plan.grid.size, plan.side, plan.pixels)


def read_tile(slide: Slide, plan: TilePlan, place: tuple[int, int]) -> NDArray[np.uint8]:
    """What the model is given of a cell: (pixels, pixels, 3) uint8."""
    return read_square(slide, plan.window(place), plan.pixels)


def read_square(slide: Slide, window: Box, pixels: int) -> NDArray[np.uint8]:
    """A square of the slide as (pixels, pixels, 3) uint8.

    What lies beyond a slide that is smaller is filled with its mirror image: white would be taken
    for glass or fat. Apart from the slide it is white.
    """
    inside = window.intersection(slide.box)
    if inside == window:
        return slide.read(window, (pixels, pixels))[0]
    if inside is None:
        return np.full((pixels, pixels, 3), _WHITE, np.uint8)
    scale = pixels / window.height
    start = round((inside.r0 - window.r0) * scale), round((inside.c0 - window.c0) * scale)
    stop = round((inside.r1 - window.r0) * scale), round((inside.c1 - window.c0) * scale)
    shape = max(1, stop[0] - start[0]), max(1, stop[1] - start[1])
    part = slide.read(inside, shape)[0]
    beyond = [(a, max(0, pixels - a - n)) for a, n in zip(start, shape, strict=True)]
    return np.pad(part, (*beyond, (0, 0)), mode="symmetric")[:pixels, :pixels]


def embed_images(model: TextScorer, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`TextScorer.embed_images`, in the form `ModelManager.run` calls."""
    return model.embed_images(tiles)


def encode(model: TileEncoder, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`TileEncoder.encode`, in the form `ModelManager.run` calls."""
    return model.encode(tiles)


def run_parts(
    job: EmbedJob,
    task: Task,
    fn: Callable[[Any, NDArray[np.uint8]], Iterable[_R]],
    images: NDArray[np.uint8],
) -> list[_R]:
    """Put a batch through the model, on a processor in parts so small that a cancel acts soon.

    A batch of a large network is half a minute of one processor, and gains it nothing.

    Parameters
    ----------
    job : EmbedJob
    task : Task
        Asked before each part.
    fn : callable
        As for `ModelManager.run`.
    images : (n, h, w, 3) uint8
    """
    small = job.card.role == "encoder" and job.card.memory_mib < SMALL_MIB
    size = AT_ONCE if job.manager.device == "cpu" and not small else max(1, len(images))
    rows: list[_R] = []
    for start in range(0, len(images), size):
        task.repeat()
        part = images[start : start + size]
        rows += job.manager.run(job.card, task, fn, part, job.weights)
    return rows


def _read(
    slide: Slide, plan: TilePlan, parts: Sequence[NDArray[np.int32]]
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.uint8]]]:
    """Batches of places with what the model is given of them, read while it looks."""
    places = [(int(r), int(c)) for part in parts for r, c in part]
    depth = 2 * max(map(len, parts), default=1)
    tiles = prefetch(places, lambda place: read_tile(slide, plan, place), depth=depth)
    for part in parts:
        yield part, np.stack([next(tiles) for _ in part])


def _order(plan: TilePlan, todo: NDArray[np.int32], first: Box | None) -> NDArray[np.intp]:
    """Tiles in view first, then the nearest; reading order without a view."""
    if first is None or not len(todo):
        return np.arange(len(todo))
    region, step = plan.grid.region, plan.grid.size
    centres = todo * step + step / 2 + (region.r0, region.c0)
    low, high = np.array([first.r0, first.c0]), np.array([first.r1, first.c1])
    outside = np.maximum(0, np.maximum(low - centres, centres - high))
    return np.lexsort((todo[:, 1], todo[:, 0], np.ceil(np.hypot(*outside.T) / step)))
