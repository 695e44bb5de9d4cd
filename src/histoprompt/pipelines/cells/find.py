"""All cells of a region, tile by tile: each belongs to the one tile that owns its centroid."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from histoprompt.core.cell_table import PROBABILITY
from histoprompt.core.errors import MissingMppError, RegionError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.labels.regrid import regrid
from histoprompt.core.labels.renumber import renumbered
from histoprompt.core.results import Mask
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.core.tiling import Tile, TileGrid
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.roles import CellEmbedder, CellScorer, CellSegmenter, SteppedSegmenter
from histoprompt.pipelines.cells.tile_context import frame_around, read_frame

# Raise it when a tile owns other cells of what a model found, or they are drawn otherwise.
ALGORITHM = 1
# Side in microns of a tile: large, as what is read around it is seen twice; smaller where somebody
# waits for it and may want to cancel.
TILE_UM, VIEW_UM = 512.0, 256.0


@dataclass(frozen=True, eq=False)
class Cell:
    """One nucleus.

    Attributes
    ----------
    row, col : float
        Centroid, level-0 pixels.
    mask : Mask
        Level-0 pixels.
    """

    row: float
    col: float
    mask: Mask


@dataclass(frozen=True, eq=False)
class TileCells:
    """The cells of an image.

    Attributes
    ----------
    image : (h, w, 3) uint8
    labels : (h, w) int32
        0 background, cells from 1 without gaps.
    frame : Frame
        Where both lie.
    described : (n, k) float32
        What the model's encoder saw of each cell, and how likely it is one; k is 0 for models that
        tell neither.
    centroids : (n, 2) float64
        Level-0 positions.
    code : (n,) int16
        Class of each cell, an index into `classes`, where what found them tells it.
    classes : tuple of str
        Empty where nobody told.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int32]
    frame: Frame
    described: NDArray[np.float32]
    centroids: NDArray[np.float64]
    code: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    classes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        image: NDArray[np.uint8],
        labels: NDArray[np.int32],
        frame: Frame,
        described: NDArray[np.float32] | None = None,
    ) -> TileCells:
        """All cells of an image and its labels."""
        count = int(labels.max(initial=0))
        if described is None:
            described = np.zeros((count, 0), np.float32)
        return cls(image, labels, frame, described, _centroids(labels, count, frame))

    def __len__(self) -> int:
        return len(self.described)

    @property
    def scale(self) -> float:
        """Level-0 pixels a pixel of the image."""
        return self.frame.scale[0]

    def only(self, keep: NDArray[np.bool_]) -> TileCells:
        """Some of the cells, numbered anew in the same order."""
        if keep.all():
            return self
        return replace(
            self,
            labels=renumbered(self.labels, keep),
            described=self.described[keep],
            centroids=self.centroids[keep],
            code=self.code[keep] if self.classes else self.code,
        )

    def within(self, bounds: Box) -> TileCells:
        """What of it lies on the slide: a model is shown mirror images beyond, nobody else is."""
        rows, cols = (pixels_on_slide(self.frame, bounds, axis) for axis in (0, 1))
        if (rows, cols) == ((0, self.frame.shape[0]), (0, self.frame.shape[1])):
            return self
        part = Box(rows[0], cols[0], rows[1], cols[1])
        frame = Frame(self.frame.box_to_slide(part), part.shape)
        labels = np.ascontiguousarray(self.labels[part.slices()])
        image = np.ascontiguousarray(self.image[part.slices()])
        cut = replace(
            self,
            image=image,
            labels=labels,
            frame=frame,
            centroids=_centroids(labels, len(self), frame),
        )
        return cut.only(np.bincount(labels.ravel(), minlength=len(self) + 1)[1:] > 0)

    def at_level0(self, bounds: Box) -> tuple[NDArray[np.int32], Box] | None:
        """Labels in level-0 pixels, cut to the cells and to bounds; None if nothing is there."""
        tight = Box.of_mask(self.labels > 0)
        if tight is None:
            return None
        box = self.frame.box_to_slide(tight).to_pixels().intersection(bounds)
        if box is None:
            return None
        return regrid(self.labels, self.frame, Frame(box, box.shape)), box


def pixels_on_slide(frame: Frame, bounds: Box, axis: int) -> tuple[int, int]:
    """First and last (exclusive) row or column of a frame whose pixels lie on a slide's box."""
    start, stop = ((bounds.r0, bounds.r1), (bounds.c0, bounds.c1))[axis]
    edges = ((v - 0.5 - frame.origin[axis]) / frame.scale[axis] for v in (start, stop))
    first, end = (min(max(math.ceil(v - 1e-9), 0), frame.shape[axis]) for v in edges)
    return first, end


def _centroids(labels: NDArray[np.int32], count: int, frame: Frame) -> NDArray[np.float64]:
    rows, cols = np.nonzero(labels)
    of = labels[rows, cols] - 1
    sums = [np.bincount(of, weights=axis, minlength=count) for axis in (rows, cols)]
    areas = np.maximum(np.bincount(of, minlength=count), 1)
    return frame.to_slide(np.stack(sums, axis=1) / areas[:, None])


class CellSource(Protocol):
    """Whatever finds the cells in and around a tile."""

    def find(self, slide: Slide, inner: Box, task: Task) -> TileCells:
        """All cells whose centroid may lie in a level-0 box, and some around it."""

    def picture(self, slide: Slide, inner: Box) -> NDArray[np.uint8]:
        """`TileCells.image` of what `find` gives for a box, without finding anything."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of what `TileCells.described` holds; known once something was found."""


@dataclass(eq=False)
class ModelCells:
    """Cells by a model that finds them all.

    Parameters
    ----------
    card : ModelCard
        Of the role ``cells``.
    manager : ModelManager
        Lends it.
    weights : Path, optional
        The user's own.
    describe : bool
        Whether to ask a `CellEmbedder` what its encoder saw.
    """

    card: ModelCard
    manager: ModelManager
    weights: Path | None = None
    describe: bool = False
    feature_names: tuple[str, ...] = ()

    def find(self, slide: Slide, inner: Box, task: Task) -> TileCells:
        """All cells in and around a tile."""
        frame = frame_around(inner, slide, self.card)
        image = read_frame(slide, frame)
        with self.manager.lease(self.card, task.aside(), self.weights) as model:
            task.repeat()
            stepped = isinstance(model, SteppedSegmenter)
            finder = model.stepping(task.repeat) if stepped else model
            labels, described = self._segment(finder, image, frame, slide.box)
        return TileCells.of(image, labels, frame, described).within(slide.box)

    def picture(self, slide: Slide, inner: Box) -> NDArray[np.uint8]:
        """What cells of a tile are measured on."""
        frame = frame_around(inner, slide, self.card)
        (r0, r1), (c0, c1) = (pixels_on_slide(frame, slide.box, axis) for axis in (0, 1))
        return np.ascontiguousarray(read_frame(slide, frame)[r0:r1, c0:c1])

    def _segment(
        self, model: CellSegmenter, image: NDArray[np.uint8], frame: Frame, bounds: Box
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        if self.describe and isinstance(model, CellEmbedder):
            self.feature_names = model.feature_names
            (r0, r1), (c0, c1) = (pixels_on_slide(frame, bounds, axis) for axis in (0, 1))
            return model.segment_described(image, Box(r0, c0, r1, c1))
        probability = None
        if isinstance(model, CellScorer):
            labels, probability = model.segment_scored(image)
        else:
            labels = model.segment(image)
        if probability is None:
            return labels, np.zeros((int(labels.max(initial=0)), 0), np.float32)
        self.feature_names = (PROBABILITY,)
        return labels, probability[:, None]


def tiles_of(slide: Slide, region: Box, tile: float | None = None) -> TileGrid:
    """The tiles of a region.

    Parameters
    ----------
    slide : Slide
        Its mpp must be known: at an unknown scale a segmenter guesses.
    region : Box
        Integer level-0 box on the slide.
    tile : int, optional
        Side in level-0 pixels; 512 um if not given.

    Raises
    ------
    MissingMppError
        If the slide has no pixel size.
    RegionError
        If the region reaches outside the slide.
    """
    mpp = known_mpp(slide)
    if not slide.box.covers(region):
        raise RegionError(
            f"Region {tuple(region)} reaches outside {slide.name}, which has {slide.shape[0]} "
            f"rows and {slide.shape[1]} columns."
        )
    size = tile or TILE_UM / mpp
    return TileGrid(region, max(1, round(size)), 0, slide.box)


def known_mpp(slide: Slide) -> float:
    """The slide's pixel size in microns.

    Raises
    ------
    MissingMppError
        If it has none; the message says where to give it.
    """
    if slide.mpp is None:
        raise MissingMppError(
            f"{slide.name} does not state its pixel size, and cells are found at a known scale."
        )
    return slide.mpp


def owned_cells(source: CellSource, slide: Slide, tile: Tile, task: Task) -> TileCells:
    """The cells a tile owns."""
    found = source.find(slide, tile.inner, task)
    at = found.centroids
    (r0, c0, r1, c1) = (v - 0.5 for v in tile.inner)
    mine = (at[:, 0] >= r0) & (at[:, 0] < r1) & (at[:, 1] >= c0) & (at[:, 1] < c1)
    return found.only(mine)


def find_cells(
    slide: Slide,
    region: Box,
    card: ModelCard,
    manager: ModelManager,
    task: Task,
    *,
    weights: Path | None = None,
) -> Iterator[Cell]:
    """Find the nuclei of a region, one by one as masks.

    Parameters
    ----------
    slide : Slide
    region : Box
        Integer level-0 box on the slide.
    card : ModelCard
        Of a `CellSegmenter`.
    manager : ModelManager
    task : Task
        Told of every tile.
    weights : Path, optional
        The user's own weights.

    Raises
    ------
    MissingMppError, RegionError
        As `tiles_of`.
    """
    grid = tiles_of(slide, region, VIEW_UM / slide.mpp if slide.mpp else None)
    source = ModelCells(card, manager, weights)
    for done, tile in enumerate(grid):
        task.step(done, len(grid), f"Finding nuclei in {slide.name}", "tile")
        yield from _masks(owned_cells(source, slide, tile, task), slide.box)
    task.step(len(grid), len(grid), "Done")


def _masks(found: TileCells, bounds: Box) -> Iterator[Cell]:
    at = found.centroids
    for value, where in enumerate(ndi.find_objects(found.labels), start=1):
        if where is None:
            continue
        inside = found.labels[where] == value
        box = Box(where[0].start, where[1].start, where[0].stop, where[1].stop)
        mask = Mask(inside, Frame(found.frame.box_to_slide(box), box.shape))
        row, col = at[value - 1].tolist()
        yield Cell(row, col, mask.at_level0(bounds))
