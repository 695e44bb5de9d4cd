"""What may get a tag: the cells of a slide, or tiles of its tissue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask
from histoprompt.core.slides.slide import Slide
from histoprompt.core.stain.fit import StainMatrix
from histoprompt.core.task import Task
from histoprompt.core.tiling import Tile
from histoprompt.core.tissue.find import Tissue, find_tissue
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.features import FEATURE_NAMES, measure
from histoprompt.pipelines.cells.find import ModelCells, TileCells, known_mpp, owned_cells, tiles_of
from histoprompt.pipelines.cells.stains import stains_of
from histoprompt.pipelines.embedding.tile_plan import plan_tiles
from histoprompt.pipelines.recipes.place import region_box
from histoprompt.pipelines.tags.params import TagParams

Float = NDArray[np.float32]
# Side of a cell's picture over its diameter, and the smallest in microns, as for cells by words.
MARGIN, LEAST_UM = 1.75, 16.0
_SEED = 5


@dataclass(frozen=True, eq=False)
class Candidates:
    """n cells or tiles of one slide.

    Attributes
    ----------
    boxes : (n, 4) int64
        r0, c0, r1, c1 in level-0 pixels, half open.
    centres : (n, 2) float64
        (row, col) in level-0 pixels.
    masks : tuple of (h, w) bool
        The pixels of each box that belong to it.
    area_um2 : (n,) float64
    features : (n, k) float32
        NaN where one cannot be measured.
    feature_names : tuple of str
    found : int
        How many there are, of which these were taken at random.
    """

    boxes: NDArray[np.int64]
    centres: NDArray[np.float64]
    masks: tuple[NDArray[np.bool_], ...]
    area_um2: NDArray[np.float64]
    features: Float
    feature_names: tuple[str, ...]
    found: int

    def __len__(self) -> int:
        return len(self.boxes)

    def only(self, rows: Sequence[int] | NDArray[np.intp]) -> Candidates:
        """Some of them."""
        index = np.asarray(rows, np.intp)
        return replace(
            self, boxes=self.boxes[index], centres=self.centres[index],
            masks=tuple(self.masks[i] for i in index.tolist()), area_um2=self.area_um2[index],
            features=self.features[index],
        )  # fmt: skip

    def squares(self, mpp: float, kind: str) -> list[Box]:
        """The square that is shown of each, level-0 pixels; it may reach beyond the slide."""
        if kind == "tiles":
            return [Box(*row) for row in self.boxes.tolist()]
        diameter = 2 * np.sqrt(self.area_um2 / np.pi)
        sides = np.maximum(2, np.rint(np.maximum(MARGIN * diameter, LEAST_UM) / mpp)).astype(int)
        corners = np.rint(self.centres + 0.5 - sides[:, None] / 2).astype(int)
        return [
            Box(r, c, r + side, c + side)
            for (r, c), side in zip(corners.tolist(), sides.tolist(), strict=True)
        ]


def find_candidates(
    slide: Slide, params: TagParams, manager: ModelManager, task: Task
) -> Candidates:
    """The cells or tiles of a slide's tissue, at most ``params.candidates`` taken at random.

    Raises
    ------
    MissingMppError
        If the slide has no pixel size.
    RegionError
        If the region reaches outside the slide, or nothing is found in it.
    """
    known_mpp(slide)
    found = _tiles if params.kind == "tiles" else _cells
    return found(slide, params, manager, task)


def _tiles(slide: Slide, params: TagParams, manager: ModelManager, task: Task) -> Candidates:
    assert slide.mpp is not None
    card = registry.card(params.model)
    plan = plan_tiles(slide, card, region_box(params.region, slide))
    rows = _some(len(plan), params.candidates)
    windows = [plan.window((int(r), int(c))).to_pixels() for r, c in plan.places[rows]]
    inside = [box.intersection(slide.box) or box for box in windows]
    boxes = np.array([tuple(box) for box in inside], np.int64).reshape(-1, 4)
    centres = (boxes[:, :2] + boxes[:, 2:] - 1) / 2
    masks = tuple(np.ones(box.shape, bool) for box in inside)
    areas = np.array([mask.size for mask in masks], float) * slide.mpp**2
    nothing = np.zeros((len(boxes), 0), np.float32)
    return Candidates(boxes, centres, masks, areas, nothing, (), len(plan))


def _cells(slide: Slide, params: TagParams, manager: ModelManager, task: Task) -> Candidates:
    region = region_box(params.region, slide) or slide.box
    tissue = find_tissue(slide, region)
    source = ModelCells(registry.card(params.segmenter), manager, describe=True)
    dyes = stains_of(slide, tissue, region)
    grid = [tile for tile in tiles_of(slide, region) if tissue.area_px(tile.inner) > 0]
    order = np.random.default_rng(_SEED).permutation(len(grid))
    parts: list[Candidates] = []
    for done, place in enumerate(order.tolist()):
        task.step(done, len(grid), f"Finding cells in {slide.name}", "tile")
        parts.append(_of_tile(slide, source, grid[place], (tissue, dyes), task))
        if sum(map(len, parts)) >= params.candidates:
            break
    found = together([part for part in parts if len(part)])
    if found is None:
        raise RegionError(f"No cell was found in {slide.name}. Choose another region or segmenter.")
    rows = _some(len(found), params.candidates)
    chosen = found.only(rows)
    at = np.lexsort((chosen.centres[:, 1], chosen.centres[:, 0]))
    return chosen.only(at)


def _of_tile(
    slide: Slide, source: ModelCells, tile: Tile, ground: tuple[Tissue, StainMatrix], task: Task
) -> Candidates:
    """The cells a tile owns that lie on tissue, measured."""
    tissue, dyes = ground
    found = owned_cells(source, slide, tile, task)
    found = found.only(tissue.at(tissue.near, found.centroids))
    mpp = known_mpp(slide)
    features = measure(found.image, found.labels, mpp * found.scale, dyes)
    names = FEATURE_NAMES
    if found.described.shape[1]:
        names = (*FEATURE_NAMES, *source.feature_names)
        features = np.concatenate([features, found.described], axis=1)
    masks = _masks(found, slide.box)
    boxes = np.array([tuple(mask.frame.box) for mask in masks], np.int64).reshape(-1, 4)
    areas = np.array([mask.array.sum() for mask in masks], float) * mpp**2
    arrays = tuple(mask.array for mask in masks)
    made = Candidates(boxes, found.centroids, arrays, areas, features, names, len(found))
    return made.only(np.flatnonzero(areas > 0))


def _masks(found: TileCells, bounds: Box) -> list[Mask]:
    masks = []
    for value, where in enumerate(ndi.find_objects(found.labels), start=1):
        assert where is not None  # labels have no gaps
        box = Box(where[0].start, where[1].start, where[0].stop, where[1].stop)
        frame = Frame(found.frame.box_to_slide(box), box.shape)
        masks.append(Mask(found.labels[where] == value, frame).at_level0(bounds))
    return masks


def _some(count: int, most: int) -> NDArray[np.intp]:
    """At most so many of count, at random, in their order."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(_SEED).choice(count, most, replace=False))


def together(parts: Sequence[Candidates]) -> Candidates | None:
    """All candidates of some parts; None without any."""
    if not parts:
        return None
    return Candidates(
        np.concatenate([p.boxes for p in parts]),
        np.concatenate([p.centres for p in parts]),
        tuple(mask for p in parts for mask in p.masks),
        np.concatenate([p.area_um2 for p in parts]),
        np.concatenate([p.features for p in parts]),
        parts[0].feature_names,
        sum(p.found for p in parts),
    )
