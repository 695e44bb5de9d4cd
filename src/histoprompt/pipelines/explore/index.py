"""What an encoder saw of a slide, and which encoder looks at which tiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.parameters import Parameter, check
from histoprompt.core.strings.wording import many
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.embedding.embedding_store import TileVectors
from histoprompt.pipelines.embedding.tile_plan import SEEN_AT
from histoprompt.pipelines.embedding.tiles import EmbedJob

TISSUE = "tissue"


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
