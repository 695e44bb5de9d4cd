"""Tiles or cells of slides with what an encoder saw in them: what the methods here take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import ModelError
from histoprompt.core.geometry import Box
from histoprompt.core.strings.wording import many
from histoprompt.core.tiling import TileGrid
from histoprompt.pipelines.explore.stored_vectors import Vectors, picked

_USUAL_STEP = 256


@dataclass(frozen=True)
class TiledSlide:
    """A slide, and the grid that was laid over it.

    Attributes
    ----------
    name : str
        For people and tables.
    key : str
        `Slide.key`.
    path : str
        Where the slide is, to read pictures of it.
    mpp : float or None
        Microns a level-0 pixel.
    shape : (rows, cols)
        Level-0 pixels.
    step : int
        Level-0 pixels from tile to tile.
    """

    name: str
    key: str = ""
    path: str = ""
    mpp: float | None = None
    shape: tuple[int, int] = (1, 1)
    step: int = _USUAL_STEP

    @property
    def grid(self) -> TileGrid:
        """Its inner boxes are the tiles."""
        box = Box(0, 0, *self.shape)
        return TileGrid(box, self.step, 0, box)


@dataclass(frozen=True, eq=False)
class TileSet:
    """n tiles, or n cells, of some slides.

    Attributes
    ----------
    slides : tuple of TiledSlide
    slide : (n,) int32
        Index into `slides`.
    boxes : (n, 4) int64
        row0, col0, row1, col1 of what was looked at, level-0 pixels, half open.
    places : (n, 2) int32
        Row and column of each tile in the grid of its slide; of cells 0.
    vectors : (n, d) float32 or float16, or StoredVectors
        Those of many tiles are read when they are needed.
    area_mm2 : (n,) float64
        Tissue of each tile; NaN without a pixel size, and of cells.
    encoder, digest : str
        Of the model that made the vectors.
    words : bool
        Whether the vectors lie in a space of texts.
    ids : (n,) int64 or None
        Of cells, on their slide; None for tiles.

    Raises
    ------
    ValueError
        If columns differ in length.
    """

    slides: tuple[TiledSlide, ...]
    slide: NDArray[np.int32]
    boxes: NDArray[np.int64]
    places: NDArray[np.int32]
    vectors: Vectors
    area_mm2: NDArray[np.float64]
    encoder: str = ""
    digest: str = ""
    words: bool = False
    ids: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        lengths = {
            len(x) for x in (self.slide, self.boxes, self.places, self.vectors, self.area_mm2)
        }
        if self.ids is not None:
            lengths.add(len(self.ids))
        if len(lengths) > 1:
            raise ValueError(f"Columns of tiles differ in length: {sorted(lengths)}.")

    def __len__(self) -> int:
        return len(self.slide)

    def __getitem__(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> TileSet:
        """Some of the tiles; the slides stay as they are."""
        columns = ["slide", "boxes", "places", "area_mm2"]
        columns += ["ids"] if self.ids is not None else []
        some: dict[str, Any] = {name: getattr(self, name)[index] for name in columns}
        return replace(self, vectors=picked(self.vectors, index), **some)

    @property
    def of_cells(self) -> bool:
        """Whether they are cells and not tiles."""
        return self.ids is not None

    def many(self, count: int) -> str:
        """So many of them, for people: "3 tiles"."""
        return many(count, "cell" if self.of_cells else "tile")

    @property
    def centres(self) -> NDArray[np.float64]:
        """(n, 2) row and column of the middle of each tile, pixel centres on integers."""
        return np.asarray((self.boxes[:, :2] + self.boxes[:, 2:] - 1) / 2)

    def names(self) -> list[str]:
        """The slide of each tile."""
        return [self.slides[s].name for s in self.slide]

    def of_slide(self, number: int) -> NDArray[np.bool_]:
        """Which tiles are of one slide, (n,) bool."""
        return np.asarray(self.slide == number)

    def rows_of(self, number: int) -> NDArray[np.intp]:
        """The tiles of one slide."""
        return np.flatnonzero(self.slide == number)

    def holding(self, number: int, row: float, col: float) -> int | None:
        """The tile of one slide that holds a level-0 position; of several the nearest; or none."""
        of = self.rows_of(number)
        at, boxes = np.array([row, col]), self.boxes[of]
        here = of[((boxes[:, :2] - 0.5 <= at) & (at < boxes[:, 2:] - 0.5)).all(axis=1)]
        if not len(here):
            return None
        return int(here[np.square(self.centres[here] - at).sum(axis=1).argmin()])


def joined(first: TileSet, second: TileSet) -> TileSet:
    """Tiles of two sets, the slides of the second after those of the first.

    Raises
    ------
    ModelError
        If they were not seen by one encoder with the same weights, or are not of one kind.
    """
    if first.of_cells != second.of_cells:
        raise ModelError("Some are tiles and others cells, which cannot be compared.")
    if (first.encoder, first.digest) != (second.encoder, second.digest):
        raise ModelError(
            f"Some tiles were seen by {first.encoder} ({first.digest[:19]}) and others by "
            f"{second.encoder} ({second.digest[:19]}), which cannot be compared. Index all with "
            "one encoder."
        )
    return replace(
        first,
        slides=(*first.slides, *second.slides),
        slide=np.concatenate([first.slide, second.slide + len(first.slides)]).astype(np.int32),
        boxes=np.concatenate([first.boxes, second.boxes]),
        places=np.concatenate([first.places, second.places]),
        vectors=np.concatenate([np.asarray(first.vectors), np.asarray(second.vectors)]),
        area_mm2=np.concatenate([first.area_mm2, second.area_mm2]),
        ids=None if first.ids is None else np.concatenate([first.ids, _ids(second)]),
    )


def _ids(tiles: TileSet) -> NDArray[np.int64]:
    return np.zeros(0, np.int64) if tiles.ids is None else tiles.ids
