"""Which tiles of a slide a text scorer looks at, and their embeddings, each made once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt import __version__
from histoprompt.core import settings
from histoprompt.core.errors import MissingMppError, ModelError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.core.tiling import TileGrid
from histoprompt.core.tissue.find import Tissue, find_tissue
from histoprompt.models import weights as weight_files
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.roles import TextScorer
from histoprompt.pipelines.text.embedding_store import EmbeddingStore, StoreKey, TileVectors
from histoprompt.pipelines.text.prefetch import prefetch

# Microns a pixel for models that state none: image-text models are trained on figures of many
# scales, most of them taken at 20x or near it.
USUAL_MPP = 0.5
# Share of a cell that must be tissue for its tile to be looked at: of one that is mostly glass a
# model says what it says of glass, such as fat with certainty.
LEAST_TISSUE = 0.5
BATCH = 32
_WHITE = 255


@dataclass(frozen=True, slots=True)
class ScoreJob:
    """What scoring runs with.

    Attributes
    ----------
    manager : ModelManager
    card : ModelCard
        Of a `TextScorer`.
    weights : Path or None
        The user's own weights.
    stores : Path
        Where embeddings are kept.
    batch : int
        Tiles a call of the model.
    """

    manager: ModelManager
    card: ModelCard
    weights: Path | None = None
    stores: Path = field(default_factory=lambda: settings.cache_folder() / "tiles")
    batch: int = BATCH

    def __post_init__(self) -> None:
        if self.card.role != "text":
            raise ModelError(
                f"{self.card.id} does not compare images with texts; `histoprompt models list` "
                "shows which models have the role text."
            )

    @property
    def digest(self) -> str:
        """Of the weights; of the program's version for a model without."""
        path = weight_files.resolve(self.card, self.weights)
        return (
            f"version:{__version__}" if path is None else weight_files.file_digest(path, "sha256")
        )


@dataclass(frozen=True, eq=False)
class TilePlan:
    """The tiles to look at.

    Attributes
    ----------
    grid : TileGrid
        Over the whole slide; its inner boxes are the cells of the score map.
    side : int
        Level-0 pixels a side of what the model sees, centred on the cell.
    pixels : int
        Array pixels a side of what the model is given.
    places : (n, 2) int32
        (row, col) of the cells, in reading order.
    """

    grid: TileGrid
    side: int
    pixels: int
    places: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.places)

    def window(self, place: tuple[int, int]) -> Box:
        """What the model sees of a cell, level-0 pixels.

        At the slide's edges it is moved inside, so that tissue is scored and not what is made up
        beyond; it reaches outside only of a slide that is smaller.
        """
        region, step = self.grid.region, self.grid.size
        before = (self.side - step) // 2
        r0, c0 = region.r0 + place[0] * step - before, region.c0 + place[1] * step - before
        return moved_inside(Box(r0, c0, r0 + self.side, c0 + self.side), region)

    def scaled(self, factor: float) -> TilePlan:
        """The same cells seen with their surroundings: `factor` times the side."""
        return replace(self, side=max(1, round(self.side * factor)))

    def n_bytes(self, width: int) -> int:
        """What the embeddings of all tiles take on disk."""
        return len(self) * (2 * width + 8)


def plan_tiles(
    slide: Slide,
    card: ModelCard,
    region: Box | None = None,
    *,
    mpp: float | None = None,
    overlap: int = 1,
    tissue: Tissue | None = None,
) -> TilePlan:
    """Lay the grid and keep the cells that hold tissue.

    Parameters
    ----------
    slide : Slide
        Its mpp must be known.
    card : ModelCard
        Gives the model's mpp and input size.
    region : Box, optional
        Only cells that meet this integer level-0 box. The grid is always that of the whole slide,
        so that embeddings of one region serve another.
    mpp : float, optional
        Microns a pixel to show the model the slide at, in place of the card's.
    overlap : int
        Cells a tile along each axis: 2 makes the map twice as fine, with four times the tiles.
    tissue : Tissue, optional
        Found if not given.

    Raises
    ------
    MissingMppError
        If the slide has no pixel size.
    RegionError
        If the region reaches outside the slide, or holds no tissue.
    """
    if slide.mpp is None:
        raise MissingMppError(
            f"{slide.name} does not state its pixel size, and {card.title} sees tissue at a known "
            "scale only. Type it in the dock, or give --mpp 0.25 or what is true."
        )
    region = slide.box if region is None else region
    if not slide.box.covers(region):
        raise RegionError(
            f"Region {tuple(region)} reaches outside {slide.name}, which has {slide.shape[0]} "
            f"rows and {slide.shape[1]} columns."
        )
    side = (card.input_size or 224) * (mpp or card.mpp or USUAL_MPP) / slide.mpp
    step = max(1, round(side / overlap))
    grid = TileGrid(slide.box, step, 0, slide.box)
    places = _tissue_places(grid, region, tissue or find_tissue(slide, region))
    if not len(places):
        raise RegionError(
            f"No tissue was found in {tuple(region)} of {slide.name}: only glass, pen or blur. "
            "Choose another region."
        )
    return TilePlan(grid, max(1, round(side)), card.input_size or 224, places)


def embed_tiles(
    slide: Slide,
    plan: TilePlan,
    job: ScoreJob,
    task: Task,
    *,
    first: Box | None = None,
    seen: Callable[[TileVectors, NDArray[np.int32]], None] | None = None,
) -> TileVectors:
    """The vectors of all tiles of a plan; those made before are not made again.

    Parameters
    ----------
    slide, plan
    job : ScoreJob
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
        new = store.missing(plan.places)
        todo, kept = plan.places[new], plan.places[~new]
        todo = todo[_order(plan, todo, first)]
        done, total = len(kept), len(plan)
        if seen is not None and len(todo) and len(kept):
            seen(store.load(kept), kept)
        for places, tiles in _batches(slide, plan, todo, job.batch):
            task.step(done, total, f"Looking at {slide.name} with {job.card.title}")
            vectors = _embed(job, task, tiles)
            store.append(places, vectors)
            if seen is not None:
                seen(TileVectors(vectors, np.arange(len(vectors))), places)
            done += len(places)
        task.step(total, total, "Done")
        return store.load(plan.places)


def only_kept(slide: Slide, plan: TilePlan, job: ScoreJob) -> TilePlan:
    """The tiles of a plan that were seen before."""
    with EmbeddingStore(job.stores, store_key(slide, plan, job), plan.grid.shape) as store:
        return replace(plan, places=plan.places[~store.missing(plan.places)])


def store_key(slide: Slide, plan: TilePlan, job: ScoreJob) -> StoreKey:
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


def moved_inside(window: Box, bounds: Box) -> Box:
    """A window moved so that it lies inside of bounds along every axis that has room for it."""
    r0 = _moved(window.r0, window.height, bounds.r0, bounds.r1)
    c0 = _moved(window.c0, window.width, bounds.c0, bounds.c1)
    return Box(r0, c0, r0 + window.height, c0 + window.width)


def _moved(start: float, length: float, low: float, high: float) -> float:
    return start if length > high - low else min(max(start, low), high - length)


def embed_images(model: TextScorer, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`TextScorer.embed_images`, in the form `ModelManager.run` calls."""
    return model.embed_images(tiles)


def _embed(job: ScoreJob, task: Task, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    rows = job.manager.run(job.card, task, embed_images, tiles, job.weights)
    return np.asarray(rows, np.float32)


def _batches(
    slide: Slide, plan: TilePlan, todo: NDArray[np.int32], size: int
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.uint8]]]:
    places = [(int(r), int(c)) for r, c in todo]
    tiles = prefetch(places, lambda place: read_tile(slide, plan, place), depth=2 * size)
    for start in range(0, len(todo), size):
        part = todo[start : start + size]
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


def _tissue_places(grid: TileGrid, region: Box, tissue: Tissue) -> NDArray[np.int32]:
    """Cells of which enough is tissue, by sums over the overview."""
    summed = np.pad(tissue.tissue.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    rows, cols = grid.shape
    r0, r1 = _edges(tissue, grid, rows, 0)
    c0, c1 = _edges(tissue, grid, cols, 1)
    count = summed[np.ix_(r1, c1)] - summed[np.ix_(r0, c1)]
    count = count - summed[np.ix_(r1, c0)] + summed[np.ix_(r0, c0)]
    share = count / np.outer(r1 - r0, c1 - c0)
    meets = np.outer(_meets(grid, region, rows, 0), _meets(grid, region, cols, 1))
    return np.argwhere((share >= LEAST_TISSUE) & meets).astype(np.int32)


def _edges(
    tissue: Tissue, grid: TileGrid, count: int, axis: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last overview pixel of each row (or column) of cells; at least one pixel."""
    size, scale = tissue.frame.shape[axis], tissue.frame.scale[axis]
    first = (tissue.frame.box.r0, tissue.frame.box.c0)[axis]
    edges = (np.arange(count + 1) * grid.size - first) / scale
    start = np.clip(np.rint(edges[:-1]).astype(np.int64), 0, size - 1)
    stop = np.clip(np.rint(edges[1:]).astype(np.int64), start + 1, size)
    return start, stop


def _meets(grid: TileGrid, region: Box, count: int, axis: int) -> NDArray[np.bool_]:
    low, high = ((region.r0, region.r1), (region.c0, region.c1))[axis]
    start = np.arange(count) * grid.size
    return (start < high) & (start + grid.size > low)
