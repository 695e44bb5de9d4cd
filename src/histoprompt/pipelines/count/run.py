"""Count the cells of a slide: tiles in, cells with labels, features and classes on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage as ndi

from histoprompt.core.cell_table import UNCLASSIFIED
from histoprompt.core.errors import Cancelled
from histoprompt.core.geometry import Box
from histoprompt.core.provenance import ModelUse
from histoprompt.core.slides.slide import Slide
from histoprompt.core.stain.fit import StainMatrix
from histoprompt.core.task import Task
from histoprompt.core.tiling import Tile
from histoprompt.pipelines.cells.features import FEATURE_NAMES, measure
from histoprompt.pipelines.cells.find import CellSource, TileCells, owned_cells, tiles_of
from histoprompt.pipelines.classes.classifiers import CellClassifier
from histoprompt.pipelines.count.key import algorithm, seen
from histoprompt.pipelines.count.region import CountRegion
from histoprompt.pipelines.count.store import CountStore
from histoprompt.pipelines.count.store_files import Records, record_type
from histoprompt.pipelines.count.tile_log import Head

# Where a count lies until it is complete, inside the folder of its results.
UNFINISHED = ".unfinished"


@dataclass(frozen=True, eq=False)
class CountJob:
    """How cells are found and told apart; the same for all slides of a run.

    Attributes
    ----------
    source : CellSource or None
        Finds them; None for a count that is only read.
    settings : mapping
        What `source` and `classifier` are, as JSON: a count is only resumed with the same.
    tile : int or None
        Side of a tile in level-0 pixels; 512 um if None.
    classifier : CellClassifier or None
    decoding : tuple of str
        How what each model answers becomes cells: `key.decoding`. A count is only resumed with the
        same.
    models : tuple of ModelUse
        The models that `source` consists of.
    """

    source: CellSource | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    tile: int | None = None
    classifier: CellClassifier | None = None
    decoding: tuple[str, ...] = ()
    models: tuple[ModelUse, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """What decides which cells are found, as JSON."""
        return {**self.settings, "decoding": list(self.decoding)}


@dataclass(frozen=True, eq=False)
class Progress:
    """How far a count got.

    Attributes
    ----------
    store : CountStore
        Its cells and labels.
    done : tuple of Box
        What the finished tiles own.
    total : int
        Tiles.
    resumed : int
        Tiles that were done before.
    """

    store: CountStore
    done: tuple[Box, ...]
    total: int
    resumed: int

    @property
    def complete(self) -> bool:
        """Whether every tile is done."""
        return len(self.done) == self.total


def count_cells(
    slide: Slide, ground: CountRegion, dyes: StainMatrix, job: CountJob, *, folder: Path, task: Task
) -> Progress:
    """Count the cells of a slide, going on where an earlier run with the same settings stopped.

    Parameters
    ----------
    slide : Slide
        Its mpp must be known.
    ground : CountRegion
        What is counted.
    dyes : StainMatrix
        Of the slide.
    job : CountJob
    folder : Path
        Of the results; unfinished work lies in ``.unfinished`` there.
    task : Task
        Told of every tile. When it is cancelled the count ends early and is not complete.

    Returns
    -------
    Progress
        Its store stays locked until it is closed.

    Raises
    ------
    MissingMppError, RegionError
        As `find_cells.tiles_of`.
    ExportError
        If the disk is full, or another program counts into the folder; what was counted before
        stays.
    """
    grid = tiles_of(slide, ground.box, job.tile)
    tiles = [tile for tile in grid if ground.meets(tile.inner)]
    settings = {**job.facts, **_place(slide, ground), "tile": grid.size}
    settings |= {"algorithm": algorithm(), **seen(ground, dyes)}
    store = CountStore(folder / UNFINISHED, ground.box, settings)
    before = len(store.done)
    counter = _Counter(slide, ground, dyes, job, store)
    with contextlib.ExitStack() as counting:
        counting.callback(store.close)
        with contextlib.suppress(Cancelled):
            for tile in tiles:
                if not store.finished((tile.row, tile.col)):
                    task.step(
                        len(store.done), len(tiles), f"Counting cells in {slide.name}", "tile"
                    )
                    counter.count(tile, task)
            task.step(len(tiles), len(tiles), f"Counted cells in {slide.name}")
        counting.pop_all()
    wanted = {(tile.row, tile.col) for tile in tiles}
    done = tuple(grid.tile(*tile.place).inner for tile in store.done if tile.place in wanted)
    return Progress(store, done, len(tiles), before)


@dataclass(frozen=True, eq=False)
class _Counter:
    """What turns one tile into records."""

    slide: Slide
    ground: CountRegion
    dyes: StainMatrix
    job: CountJob
    store: CountStore

    def count(self, tile: Tile, task: Task) -> None:
        """Find, draw, measure, classify and store the cells of a tile."""
        assert self.slide.mpp is not None
        assert self.job.source is not None
        found = owned_cells(self.job.source, self.slide, tile, task)
        task.repeat()
        found = found.only(self.ground.counts(found.centroids))
        place, level0 = (tile.row, tile.col), found.at_level0(self.slide.box)
        shown = None if level0 is None else level0[1].intersection(self.ground.box)
        if level0 is None or shown is None:
            self.store.append(place, np.zeros(0, record_type(0)), Head(), None)
            return
        labels, box = level0
        part = labels[shown.slices((box.r0, box.c0))]
        drawn, kept = self.store.draw(part, shown)
        # cells are as large as they are, though their labels end where the region does
        beyond = _areas(labels, len(found)) - _areas(part, len(found))
        kept = np.pad(kept, (0, len(found) - len(kept)))
        found = found.only(kept)
        features, names = self._features(found)
        classes, code, score = self._classes(found, features, names)
        records = self._records(found, drawn, shown, features)
        pixels = _areas(drawn, len(found)) + beyond[kept]
        records["area_um2"] = pixels * self.slide.mpp**2
        records["code"], records["score"] = code, score
        self.store.append(place, records, Head(names, classes), shown)

    def _features(self, found: TileCells) -> tuple[NDArray[np.float32], tuple[str, ...]]:
        assert self.slide.mpp is not None
        assert self.job.source is not None
        measured = measure(found.image, found.labels, self.slide.mpp * found.scale, self.dyes)
        names = FEATURE_NAMES
        if found.described.shape[1]:
            names = (*FEATURE_NAMES, *self.job.source.feature_names)
            measured = np.concatenate([measured, found.described], axis=1)
        return measured, names

    def _classes(
        self, found: TileCells, features: NDArray[np.float32], names: tuple[str, ...]
    ) -> tuple[tuple[str, ...], NDArray[np.int16], NDArray[np.float32]]:
        if self.job.classifier is not None:
            return self.job.classifier.classify(features, names)
        n = len(features)
        if found.classes:
            return found.classes, found.code, np.full(n, np.nan, np.float32)
        return (UNCLASSIFIED,), np.zeros(n, np.int16), np.full(n, np.nan, np.float32)

    def _records(
        self, found: TileCells, drawn: NDArray[np.int32], box: Box, features: NDArray[np.float32]
    ) -> Records:
        n = len(found)
        records = np.zeros(n, record_type(features.shape[1]))
        records["id"] = len(self.store) + 1 + np.arange(n)
        records["row"], records["col"] = found.centroids.T
        records["box"] = _boxes(ndi.find_objects(drawn, n), box)
        records["features"] = features
        return records


def _areas(labels: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """Pixels of each of (count,) objects."""
    return np.asarray(np.bincount(labels.ravel(), minlength=count + 1)[1:], np.int64)


def _boxes(places: Sequence[tuple[slice, ...] | None], box: Box) -> NDArray[np.int32]:
    """(n, 4) level-0 boxes of objects of an array that lies at a box."""
    found = [(p[0].start, p[1].start, p[0].stop, p[1].stop) for p in places if p is not None]
    corner = np.array([box.r0, box.c0, box.r0, box.c0])
    return np.asarray(np.array(found).reshape(-1, 4) + corner, np.int32)


def _place(slide: Slide, ground: CountRegion) -> dict[str, Any]:
    """What of the slide a resumed count must share."""
    regions = [[r.name, shapely.to_wkt(r.polygon)] for r in ground.regions]
    place = {"slide": slide.key, "mpp": slide.mpp, "region": [int(v) for v in ground.box]}
    return {**place, "regions": regions, "chosen": ground.user_drawn}
