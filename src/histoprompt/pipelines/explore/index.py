"""The index of a slide: what an encoder saw in each tile of its tissue.

Vectors lie in the store of embeddings that words use too, so nothing is looked at twice. Beside
them lies which tiles there are and how much of each is glass, pen or blur: once an index is whole
it is opened without the slide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import ModelError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.parameters import Parameter, check
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.wording import many
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
from histoprompt.pipelines.embedding.tile_plan import (
    LEAST_TISSUE,
    SEEN_AT,
    TilePlan,
    cell_shares,
    lay_tiles,
)
from histoprompt.pipelines.embedding.tiles import EmbedJob, embed_tiles, store_key
from histoprompt.pipelines.explore.kept import FILE, KeptPlan, read_plan, write_plan

TISSUE = "tissue"
# Shares of a tile that are kept of each, 0 to 1.
FLAGS = (TISSUE, GLASS, PEN, BLUR)
# Microns a pixel of two slides are the same down to this share.
_SAME_SCALE = 0.95


@dataclass(frozen=True)
class IndexParams:
    """Which encoder looks at a slide, and at which tiles.

    Attributes
    ----------
    encoder : str
        Id of a `TileEncoder`, or of a `TextScorer`, whose image tower is taken.
    weights : Path or None
    mpp : float
        Microns a pixel to show the slide at; 0 for what the model's card says.
    overlap : int
        Tiles a side along each axis.
    """

    encoder: Annotated[str, Parameter("Encoder", "What looks at the tiles.")] = (
        registry.DEFAULT_TILES
    )
    weights: Annotated[
        Path | None, Parameter("Weights", "A weights file of your own.", advanced=True)
    ] = None
    mpp: Annotated[float, SEEN_AT] = 0.0
    overlap: Annotated[
        int,
        Parameter(
            "Steps per tile",
            "2 makes the grid twice as fine, with four times the tiles.",
            low=1,
            high=8,
            advanced=True,
        ),
    ] = 1

    def __post_init__(self) -> None:
        check(self)

    def job(self, manager: ModelManager, stores: Path | None = None) -> EmbedJob:
        """What looking runs with.

        Raises
        ------
        ModelError
            If there is no such model, or it makes no vectors of tiles.
        """
        job = EmbedJob(manager, registry.card(self.encoder), self.weights)
        return job if stores is None else replace(job, stores=stores)


@dataclass(frozen=True, eq=False)
class SlideIndex:
    """What an encoder saw of a slide.

    Attributes
    ----------
    slide : str
        `Slide.key`.
    name : str
        For people and tables; the id in a project.
    path : str
        Where the slide was when it was indexed.
    mpp : float or None
        Microns a level-0 pixel.
    shape : (rows, cols)
        Of the slide, level-0 pixels.
    encoder : str
        The card's id.
    digest : str
        Of the weights.
    words : bool
        Whether the vectors lie in a space of texts too, at unit length.
    boxes : (n, 4) int64
        row0, col0, row1, col1 of what was looked at, half-open level-0 pixels, kept inside the
        slide.
    vectors : TileVectors
        n vectors as the encoder gives them.
    flags : mapping of str to (n,) float32
        Shares of each tile that are tissue, glass, pen and blur; empty for cells.
    side : int
        Level-0 pixels a side of a tile, or of the crop around a cell.
    pixels : int
        Array pixels a side of what the encoder is given; 0 where it is given no picture.
    step : int
        Level-0 pixels from tile to tile; 0 for cells.
    places : (n, 2) int32
        Row and column of each tile in the grid; empty for cells.
    grid : (rows, cols)
        Of the grid.
    ids : (n,) int64
        Of the cells; empty for tiles.
    """

    slide: str
    name: str
    path: str
    mpp: float | None
    shape: tuple[int, int]
    encoder: str
    digest: str
    words: bool
    boxes: NDArray[np.int64]
    vectors: TileVectors
    flags: Mapping[str, NDArray[np.float32]]
    side: int
    pixels: int
    step: int
    places: NDArray[np.int32]
    grid: tuple[int, int]
    ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def of_cells(self) -> bool:
        """Whether it is of cells and not of tiles."""
        return not self.step

    @property
    def counted(self) -> str:
        """How many it has, for people: "3 tiles"."""
        return many(len(self), "cell" if self.of_cells else "tile")

    @property
    def width(self) -> int:
        """Length of a vector."""
        return self.vectors.width

    @property
    def squares(self) -> NDArray[np.int64]:
        """(n, 4) int64 of the grid's cells, cut at the slide's edges: no two overlap."""
        low = self.places.astype(np.int64) * self.step
        high = np.minimum(low + self.step, self.shape)
        return np.concatenate([low, high], axis=1)

    def mm2(self) -> NDArray[np.float64]:
        """(n,) square millimetres of tissue of each tile's own square; NaN without a pixel size."""
        squares = self.squares
        area = (squares[:, 2:] - squares[:, :2]).prod(axis=1) * (self.mpp or np.nan) ** 2 / 1e6
        return np.asarray(area * self.flags[TISSUE], np.float64)


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
    vectors = None if kept is None else open_vectors(folder, kept.places, laid.grid.shape)
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


@dataclass(frozen=True, eq=False)
class ProjectIndex:
    """The indexes of several slides as one.

    Attributes
    ----------
    slides : tuple of SlideIndex
        At least one, of one encoder with one set of weights.

    Raises
    ------
    ModelError
        If they were made with different encoders, weights or magnifications.
    """

    slides: tuple[SlideIndex, ...]

    def __post_init__(self) -> None:
        if not self.slides:
            raise RegionError("No slide is indexed. Index one first.")
        first = self.slides[0]
        for other in self.slides[1:]:
            _check_same(first, other)

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def starts(self) -> NDArray[np.int64]:
        """(slides + 1,) first row of each slide, and the number of all rows."""
        return np.concatenate([[0], np.cumsum([len(s) for s in self.slides])]).astype(np.int64)

    @property
    def width(self) -> int:
        """Length of a vector."""
        return self.slides[0].width

    @property
    def slide_of(self) -> NDArray[np.int32]:
        """(n,) position in `slides` of each row's slide."""
        return np.repeat(np.arange(len(self.slides), dtype=np.int32), [len(s) for s in self.slides])

    @property
    def boxes(self) -> NDArray[np.int64]:
        """(n, 4) of all rows, each on its own slide."""
        return np.concatenate([s.boxes for s in self.slides])

    def take(self, index: NDArray[np.intp]) -> NDArray[np.float32]:
        """(k, d) float32 vectors of some rows, in the order asked for."""
        out = np.empty((len(index), self.width), np.float32)
        starts = self.starts
        of = np.searchsorted(starts, index, side="right") - 1
        for k in np.unique(of):
            here = of == k
            out[here] = self.slides[k].vectors.take(np.asarray(index)[here] - starts[k])
        return out

    def all_vectors(self) -> NDArray[np.float32]:
        """(n, d) float32 of all rows."""
        return self.take(np.arange(len(self)))


def _check_same(first: SlideIndex, other: SlideIndex) -> None:
    """Refuse two indexes whose vectors cannot be compared."""
    differ = [
        ("encoders", first.encoder, other.encoder),
        ("weights", first.digest, other.digest),
        ("kinds of things", _kind(first), _kind(other)),
    ]
    seen = _seen_at(first), _seen_at(other)
    if min(seen) < _SAME_SCALE * max(seen):
        differ.append(("magnifications", f"{seen[0]:.2f} µm/px", f"{seen[1]:.2f} µm/px"))
    for what, a, b in differ:
        if a != b:
            raise ModelError(
                f"{first.name} and {other.name} were indexed with different {what} ({a[:40]} and "
                f"{b[:40]}), whose vectors cannot be compared. Index both in the same way."
            )


def _kind(index: SlideIndex) -> str:
    return "cells" if index.of_cells else "tiles"


def _seen_at(index: SlideIndex) -> float:
    """Microns a pixel of the pictures; 1 where it is given none. A side's rounding moves it."""
    return index.side * (index.mpp or 1.0) / index.pixels if index.pixels else 1.0
