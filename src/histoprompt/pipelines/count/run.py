"""Count the cells of a slide: tiles in, cells with labels, features and classes on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from histoprompt.core.tiling import Tile, TileGrid
from histoprompt.pipelines.cells.features import measure, with_areas
from histoprompt.pipelines.cells.find import CellSource, TileCells, owned_cells, tiles_of
from histoprompt.pipelines.cells.intensities import ALGORITHM as INTENSITIES
from histoprompt.pipelines.cells.intensities import (
    intensities,
    intensity_columns,
    measured_names,
)
from histoprompt.pipelines.classes.classifiers import CellClassifier
from histoprompt.pipelines.count.key import algorithm, seen
from histoprompt.pipelines.count.looked_tile import LookedTile, TilesAhead
from histoprompt.pipelines.count.region import CountRegion
from histoprompt.pipelines.count.so_far import CellsSoFar
from histoprompt.pipelines.count.store import CountStore
from histoprompt.pipelines.count.store_files import Records, record_type
from histoprompt.pipelines.count.tile_log import TileLogHeader

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
class CountProgress:
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
) -> CountProgress:
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
        Told of every tile, and of a `CellsSoFar` with each that is finished. When it is cancelled
        the count ends early and is not complete.

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
    counter, tiles = _counter(slide, ground, dyes, job, folder), _tiles(slide, ground, job)
    store = CountStore(folder / UNFINISHED, ground.box, counter.settings)
    before, so_far = len(store.done), CellsSoFar(store)
    with contextlib.ExitStack() as counting:
        counting.callback(store.close)
        with contextlib.suppress(Cancelled):
            for tile in tiles:
                if not store.finished((tile.row, tile.col)):
                    task.step(
                        len(store.done), len(tiles), f"Counting cells in {slide.name}", "tile"
                    )
                    if task.is_heard and so_far.take():
                        task.tell(so_far)
                    counter.count(tile, store, task)
            task.step(len(tiles), len(tiles), f"Counted cells in {slide.name}")
        counting.pop_all()
    grid, wanted = _grid(slide, ground, job), {(tile.row, tile.col) for tile in tiles}
    done = tuple(grid.tile(*tile.place).inner for tile in store.done if tile.place in wanted)
    if len(done) == len(tiles):
        counter.ahead.clear()
    return CountProgress(store, done, len(tiles), before)


def look_ahead(
    slide: Slide,
    ground: CountRegion,
    dyes: StainMatrix,
    job: CountJob,
    *,
    folder: Path,
    share: tuple[int, int],
    task: Task,
) -> None:
    """Look at a share of the tiles, for a count that goes on from there in another process.

    Parameters
    ----------
    slide, ground, dyes, job, folder
        As for `count_cells`.
    share : (int, int)
        Which one of how many: tiles that follow each other.
    task : Task
        Told of every tile; cancelled, what was looked at stays.

    Raises
    ------
    ExportError
        If the disk is full.
    """
    counter, tiles = _counter(slide, ground, dyes, job, folder), _tiles(slide, ground, job)
    first, last = (len(tiles) * (share[0] + i) // share[1] for i in (0, 1))
    for done, tile in enumerate(tiles[first:last]):
        task.step(done, last - first, f"Looking at {slide.name}", "tile")
        place = (tile.row, tile.col)
        if not counter.ahead.has(place):
            counter.ahead.put(place, counter.look(tile, task))


def _grid(slide: Slide, ground: CountRegion, job: CountJob) -> TileGrid:
    return tiles_of(slide, ground.box, job.tile)


def _tiles(slide: Slide, ground: CountRegion, job: CountJob) -> list[Tile]:
    """The tiles that meet what is counted, in the order in which they are counted."""
    return [tile for tile in _grid(slide, ground, job) if ground.meets(tile.inner)]


def _counter(
    slide: Slide, ground: CountRegion, dyes: StainMatrix, job: CountJob, folder: Path
) -> _Counter:
    settings = {**job.facts, **_place(slide, ground), "tile": _grid(slide, ground, job).size}
    settings |= {"algorithm": algorithm(), **seen(ground, dyes)}
    if slide.channels:
        settings |= {"intensities": [INTENSITIES, *intensity_columns(slide)]}
    return _Counter(slide, ground, dyes, job, settings, TilesAhead(folder, settings))


@dataclass(frozen=True, eq=False)
class _Counter:
    """What turns one tile into records."""

    slide: Slide
    ground: CountRegion
    dyes: StainMatrix
    job: CountJob
    settings: Mapping[str, Any]
    ahead: TilesAhead

    def look(self, tile: Tile, task: Task) -> LookedTile:
        """Find and measure the cells that a tile owns and the region holds."""
        found = self._found(tile, task)
        return LookedTile(found, *self._features(found, task))

    def count(self, tile: Tile, store: CountStore, task: Task) -> None:
        """Find the cells of a tile, unless that was done before; draw, measure and store them."""
        place = (tile.row, tile.col)
        looked = self.ahead.take(place)
        found = self._found(tile, task) if looked is None else looked.found
        level0 = found.at_level0(self.slide.box)
        shown = None if level0 is None else level0[1].intersection(self.ground.box)
        if level0 is None or shown is None:
            store.append(place, np.zeros(0, record_type(0)), TileLogHeader(), None)
            return
        labels, box = level0
        part = labels[shown.slices((box.r0, box.c0))]
        drawn, kept = store.fitted(part, shown)
        task.repeat()
        # cells are as large as they are, though their labels end where the region does
        beyond = _areas(labels, len(found)) - _areas(part, len(found))
        kept = np.pad(kept, (0, len(found) - len(kept)))
        found, features, names = self._measured(found, looked, kept, tile, task)
        pixels = _areas(drawn, len(found)) + beyond[kept]
        assert self.slide.mpp is not None
        area_um2 = pixels * self.slide.mpp**2
        features = with_areas(features, area_um2)
        classes, code, score = self._classes(found, features, names)
        records = _records(found, drawn, shown, features)
        records["id"] = len(store) + 1 + np.arange(len(found))
        records["area_um2"] = area_um2
        records["code"], records["score"] = code, score
        store.put(drawn, shown)  # from here on nobody cancels: what is drawn is stored
        store.append(place, records, TileLogHeader(names, classes), shown)

    def _found(self, tile: Tile, task: Task) -> TileCells:
        assert self.job.source is not None
        found = owned_cells(self.job.source, self.slide, tile, task)
        task.repeat()
        return found.only(self.ground.counts(found.centroids))

    def _measured(
        self,
        found: TileCells,
        looked: LookedTile | None,
        kept: NDArray[np.bool_],
        tile: Tile,
        task: Task,
    ) -> tuple[TileCells, NDArray[np.float32], tuple[str, ...]]:
        """The cells that are kept, their features, and the names of these.

        What was measured before is not taken where a cell is left out: others have another ring.
        """
        if looked is None:
            found = found.only(kept)
            return found, *self._features(found, task)
        if kept.all():
            return found, looked.features, looked.names
        assert self.job.source is not None
        image = self.job.source.picture(self.slide, tile.inner)
        found = replace(found, image=image).only(kept)
        return found, self._features(found, task)[0], looked.names

    def _features(
        self, found: TileCells, task: Task
    ) -> tuple[NDArray[np.float32], tuple[str, ...]]:
        assert self.slide.mpp is not None
        assert self.job.source is not None
        um = self.slide.mpp * found.scale
        columns = [measure(found.image, found.labels, um, self.dyes, task)]
        task.repeat()
        names = measured_names(self.slide)
        if self.slide.channels:
            columns.append(self._intensities(found))
        if found.described.shape[1]:
            names = (*names, *self.job.source.feature_names)
            columns.append(found.described)
        return np.concatenate(columns, axis=1), names

    def _intensities(self, found: TileCells) -> NDArray[np.float32]:
        level0 = found.at_level0(self.slide.box)
        if level0 is None:
            return np.full((len(found), len(intensity_columns(self.slide))), np.nan, np.float32)
        return intensities(self.slide.channels, *level0, len(found))

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
    found: TileCells, drawn: NDArray[np.int32], box: Box, features: NDArray[np.float32]
) -> Records:
    records = np.zeros(len(found), record_type(features.shape[1]))
    records["row"], records["col"] = found.centroids.T
    records["box"] = _boxes(ndi.find_objects(drawn, len(found)), box)
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
    place: dict[str, Any] = {
        "slide": slide.key,
        "mpp": slide.mpp,
        "region": [int(v) for v in ground.box],
    }
    place |= {"regions": regions, "chosen": ground.user_drawn}
    if ground.without:
        place["without"] = [[r.name, shapely.to_wkt(r.polygon)] for r in ground.without]
    return place
