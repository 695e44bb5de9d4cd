"""What texts scored on the tiles of a slide, and the regions that a threshold makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.tiling import TileGrid


@dataclass(frozen=True, slots=True)
class Threshold:
    """From which score on a tile belongs to a text, and who said so.

    Attributes
    ----------
    value : float
        A score in [0, 1]; tiles at or above it are in.
    origin : str
        Where the value came from, for people; never empty.
    """

    value: float
    origin: str


@dataclass(frozen=True, eq=False)
class ScoreMap:
    """The scores of m texts on n tiles of one slide.

    Attributes
    ----------
    texts : tuple of str
        Names of the texts, in the order of the columns; no two are equal.
    scores : (n, m) float32
        In [0, 1].
    places : (n, 2) int32
        (row, col) of each tile in the grid; no two are equal.
    grid : TileGrid
        Its inner boxes are the cells of the map, level-0 pixels.
    mpp : float or None
        Microns a level-0 pixel.
    slide_key : str
        `Slide.key` of the slide.
    thresholds : mapping of str to Threshold
        Of each text that has one.
    facts : mapping of str to str
        Model, contrasts, temperature ...: what made the scores.
    marks : mapping of str to mapping of int to bool
        What a person said of tiles, by text: yes is in and no is out, whatever they score.

    Raises
    ------
    ValueError
        If the parts do not fit each other.
    """

    texts: tuple[str, ...]
    scores: NDArray[np.float32]
    places: NDArray[np.int32]
    grid: TileGrid
    mpp: float | None = None
    slide_key: str = ""
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, Mapping[int, bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.scores.shape != (len(self.places), len(self.texts)):
            raise ValueError(
                f"{len(self.places):,} tiles and {len(self.texts)} texts do not fit scores of "
                f"shape {self.scores.shape}."
            )
        if len(set(self.texts)) != len(self.texts):
            raise ValueError(f"A text comes twice: {', '.join(self.texts)}.")

    def __len__(self) -> int:
        return len(self.places)

    @property
    def frame(self) -> Frame:
        """Where a raster of the map lies; it may reach over the slide's far edges."""
        (rows, cols), size, region = self.grid.shape, self.grid.size, self.grid.region
        box = Box(region.r0, region.c0, region.r0 + rows * size, region.c0 + cols * size)
        return Frame(box, (rows, cols))

    def column(self, text: str) -> NDArray[np.float32]:
        """The (n,) scores of a text.

        Raises
        ------
        KeyError
            If the map has no such text.
        """
        if text not in self.texts:
            raise KeyError(text)
        return self.scores[:, self.texts.index(text)]

    def raster(self, text: str) -> NDArray[np.float32]:
        """The scores of a text as a (rows, cols) image lying at `frame`; NaN between the tiles."""
        out = np.full(self.grid.shape, np.nan, np.float32)
        out[tuple(self.places.T)] = self.column(text)
        return out

    def top(self, text: str, count: int) -> NDArray[np.intp]:
        """Indices of the tiles that score highest, best first; equal ones in reading order."""
        order = np.lexsort((self.places[:, 1], self.places[:, 0], -self.column(text)))
        return order[:count]

    def box(self, index: int) -> Box:
        """The level-0 box of a tile."""
        row, col = self.places[index].tolist()
        return self.grid.tile(row, col).inner

    def index_at(self, row: float, col: float) -> int | None:
        """The tile that owns a level-0 point; None where there is none."""
        tile = self.grid.tile_of(row, col)
        if tile is None:
            return None
        found = np.flatnonzero((self.places == (tile.row, tile.col)).all(axis=1))
        return int(found[0]) if found.size else None

    def inside(self, text: str, threshold: Threshold | None = None) -> NDArray[np.bool_]:
        """Which of the n tiles belong to a text, (n,) bool.

        Those marked yes, none marked no, and of the others those that reach its threshold.

        Raises
        ------
        RegionError
            If the text has no threshold and none is given: none is ever assumed.
        """
        cut = threshold or self.thresholds.get(text)
        if cut is None:
            raise RegionError(f"{text!r} has no threshold. Give one, or mark tiles yes and no.")
        found = np.asarray(self.column(text) >= cut.value)
        for tile, yes in self.marks.get(text, {}).items():
            found[tile] = yes
        return found

    def marked_yes(self, text: str) -> NDArray[np.intp]:
        """Indices of the tiles that a person said belong to a text."""
        return np.array([t for t, yes in self.marks.get(text, {}).items() if yes], np.intp)

    def with_marks(self, text: str, marks: Mapping[int, bool]) -> ScoreMap:
        """The same map with other marks of one text, in place of those it had."""
        return replace(self, marks={**self.marks, text: dict(marks)})

    def with_scores(self, text: str, scores: NDArray[np.float32], threshold: Threshold) -> ScoreMap:
        """The same map with other scores and another threshold of one text."""
        changed = self.scores.copy()
        changed[:, self.texts.index(text)] = scores
        return replace(self, scores=changed, thresholds={**self.thresholds, text: threshold})

    def with_threshold(self, text: str, threshold: Threshold) -> ScoreMap:
        """The same map with another threshold of one text."""
        return replace(self, thresholds={**self.thresholds, text: threshold})
