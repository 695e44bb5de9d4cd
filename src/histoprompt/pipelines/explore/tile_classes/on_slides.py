"""Classes of tiles over slides that are indexed now, and as a map of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import UNSURE
from histoprompt.core.labels.classes import Classes, Colour
from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.explore.from_index import tiles_of
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.kind_map import kind_map
from histoprompt.pipelines.explore.study import IndexedStudy, StudySlide, study_for
from histoprompt.pipelines.explore.tile_classes.apply import (
    TilesParams,
    classify_tiles,
    seen_as,
)
from histoprompt.pipelines.explore.tile_classes.fit import (
    TileFit,
    TileTrainParams,
    fit_marked,
    load_tiles,
    with_looks,
)
from histoprompt.pipelines.explore.tile_classes.marks import TileMark, marked_tiles
from histoprompt.pipelines.explore.tile_classes.queue import Queue, queue_of
from histoprompt.pipelines.explore.tile_set import TileSet

_INDEXING = 0.8
NONE = -1


@dataclass(frozen=True)
class ClassLine:
    """What a list says of a class.

    Attributes
    ----------
    name : str
    marks, tiles : int
    mm2, here : float
        On all slides, and on one of them; NaN if it is not among them.
    colour : (r, g, b)
    """

    name: str
    marks: int
    tiles: int
    mm2: float
    here: float
    colour: Colour


@dataclass(frozen=True, eq=False)
class ClassesFound:
    """What came of it.

    Attributes
    ----------
    study : IndexedStudy
    tiles : TileSet
    names : tuple of str
    code : (n,) int
        Index into `names`; -1 where it is unsure.
    told : str
        What it was learnt from and is worth, and what to know of it.
    fit : TileFit or None
        None where a classifier file was used.
    queue : Queue or None
        What to ask about next; None where a classifier file was used.
    """

    study: IndexedStudy
    tiles: TileSet
    names: tuple[str, ...]
    code: NDArray[np.int64]
    told: str
    fit: TileFit | None = None
    queue: Queue | None = None

    def label_map(self, key: str, order: Sequence[str]) -> ScoreMap | None:
        """Each tile's place in `order`, from 1, as a map; None of another slide.

        Unsure tiles, such as look-alikes that nobody has marked, have the number after the last.
        """
        place = self.study.part_of(key)
        if place is None:
            return None
        numbers = np.array([*(order.index(name) + 1 for name in self.names), len(order) + 1])
        values = numbers[self.code[self.tiles.rows_of(place)]]  # code -1 is the last
        return kind_map(self.tiles, place, "tile classes", values, facts=self._facts)

    def score_map(self, key: str, name: str) -> ScoreMap | None:
        """1 for the tiles of a class on one slide and 0 for others; None without either."""
        place = self.study.part_of(key)
        if place is None or name not in self.names:
            return None
        inside = self.code[self.tiles.rows_of(place)] == self.names.index(name)
        return kind_map(self.tiles, place, name, inside, facts=self._facts)

    def areas(self, place: int | None = None) -> dict[str, tuple[int, float]]:
        """Tiles and mm² of each class, on all slides or on one."""
        rows = np.arange(len(self.tiles)) if place is None else self.tiles.rows_of(place)
        found = {}
        for number, name in enumerate(self.names):
            inside = rows[self.code[rows] == number]
            found[name] = (len(inside), float(self.tiles.area_mm2[inside].sum()))
        return found

    @property
    def _facts(self) -> dict[str, str]:
        return {"encoder": self.tiles.encoder}


def class_lines(
    marks: Sequence[TileMark], found: ClassesFound | None, key: str
) -> tuple[ClassLine, ...]:
    """A line per class that is marked or was found; `key` is of the slide whose areas are shown."""
    given = [mark.name for mark in marks]
    names = dict.fromkeys((*given, *(() if found is None else found.names)))
    colours = Classes().palette(names)
    place = None if found is None else found.study.part_of(key)
    everywhere = {} if found is None else found.areas()
    here = {} if found is None or place is None else found.areas(place)
    nothing = (0, float("nan"))
    return tuple(
        ClassLine(
            name, given.count(name), *everywhere.get(name, nothing),
            here.get(name, nothing)[1], colours[name],
        )
        for name in names
    )  # fmt: skip


def learn_on(
    sources: Sequence[StudySlide],
    params: tuple[IndexParams, TileTrainParams],
    marks: Sequence[TileMark],
    manager: ModelManager,
    *,
    before: IndexedStudy | None = None,
    queue: Queue | None = None,
    like: str = "",
    task: Task,
) -> ClassesFound:
    """Index slides, learn classes from marks, and give all tiles theirs.

    Parameters
    ----------
    sources : sequence of StudySlide
    params : (IndexParams, TileTrainParams)
    marks : sequence of TileMark
        Each names its slide by `Slide.key`.
    manager : ModelManager
    before : IndexedStudy, optional
        Is taken if it serves.
    queue : Queue, optional
        Of the training before.
    like : str
        The class whose look-alikes are asked about; empty for what is most useful.
    task : Task

    Raises
    ------
    HistopromptError
        As `make_study`, `marked_tiles` and `fit_tiles` do.
    """
    indexing, wanted = params
    study = study_for(sources, indexing, manager, before, task.part(0.0, _INDEXING))
    tiles = tiles_of(study.bank.index)
    task.step(0, 0, "Learning classes")
    labels, notes = marked_tiles(marks, tiles, lambda mark: study.part_of(mark.slide))
    fit = fit_marked(tiles, labels, wanted, indexing)
    fit = with_looks(fit, tiles, labels, study.opened, task)
    names, code = _without_unsure(fit.fit.cells.classes, fit.fit.cells.code)
    told = " ".join((f"{fit.told}.", *notes, *fit.warnings, *study.faults))
    asked = queue_of(tiles, fit, labels, queue if study is before else None, like)
    return ClassesFound(study, tiles, names, code, told[:1].upper() + told[1:], fit, asked)


def classes_on(
    sources: Sequence[StudySlide],
    params: TilesParams,
    manager: ModelManager,
    *,
    before: IndexedStudy | None = None,
    task: Task,
) -> ClassesFound:
    """Index slides as a classifier file wants it, and give their tiles its classes.

    Raises
    ------
    HistopromptError
        As `load_tiles`, `make_study` and `classify_tiles` do.
    """
    classifier, about = load_tiles(params.file())
    indexing = task.part(0.0, _INDEXING)
    study = study_for(sources, seen_as(about), manager, before, indexing)
    tiles = tiles_of(study.bank.index)
    task.step(0, 0, "Giving tiles their classes")
    found = classify_tiles(tiles, classifier, about, study.opened, task)
    names, code = _without_unsure(found.names, found.code)
    unsure = int((code == NONE).sum())
    counted = f"{len(tiles):,} tiles classified by {params.file().name}, {unsure} of them unsure."
    told = " ".join((counted, *found.notes(), *study.faults))
    return ClassesFound(study, tiles, names, code, told)


def _without_unsure(
    classes: Sequence[str], code: NDArray[np.integer]
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names of classes, and codes of them with -1 for tiles that are unsure."""
    names = tuple(name for name in classes if name != UNSURE)
    numbers = [names.index(name) if name != UNSURE else NONE for name in classes]
    return names, np.array(numbers, np.int64)[code]
