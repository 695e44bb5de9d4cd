"""Concepts over slides that are indexed now: learnt, struck out, and asked of single tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from histoprompt.core.errors import LabelError
from histoprompt.core.labels.classes import Classes, Colour
from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.task import Task
from histoprompt.core.tissue.words import normal
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.explore.concepts.apply import ToldTiles, tell_tiles
from histoprompt.pipelines.explore.concepts.concept_file import read_concepts
from histoprompt.pipelines.explore.concepts.fit import (
    ConceptModel,
    MarkedRows,
    fit_concepts,
    kept_concepts,
    looked_at,
    marked_rows,
)
from histoprompt.pipelines.explore.concepts.params import ConceptApplyParams, ConceptParams
from histoprompt.pipelines.explore.concepts.values import (
    Concept,
    Float,
    concepts_of,
    values_of,
)
from histoprompt.pipelines.explore.from_index import index_part, tiles_of
from histoprompt.pipelines.explore.kind_map import kind_map
from histoprompt.pipelines.explore.study import IndexedStudy, StudySlide, study_for
from histoprompt.pipelines.explore.tile_classes.apply import seen_as
from histoprompt.pipelines.explore.tile_classes.fit import check_encoder
from histoprompt.pipelines.explore.tile_classes.marks import TileMark

# Shares of a job: indexing, then what tiles are worth on concepts.
_INDEXING, _VALUES = 0.6, 0.95


@dataclass(frozen=True, eq=False)
class ConceptLesson:
    """What concepts were learnt from, so that they can be learnt anew without some.

    Attributes
    ----------
    values : (n, k) float32
        Of all tiles on all concepts, those struck out too.
    concepts : tuple of Concept
    marked : MarkedRows
    params : ConceptParams
    """

    values: Float
    concepts: tuple[Concept, ...]
    marked: MarkedRows
    params: ConceptParams


@dataclass(frozen=True)
class ConceptLine:
    """What a list says of a concept.

    Attributes
    ----------
    name : str
    speaks_for : str
        The class it says most for; empty if it is struck out.
    weight : float
        How much, as a logit per standard deviation; NaN if it is struck out.
    tiles : int
        That it decided.
    """

    name: str
    speaks_for: str
    weight: float
    tiles: int

    @property
    def struck(self) -> bool:
        """Whether it must not decide."""
        return not self.speaks_for


@dataclass(frozen=True)
class ClassShown:
    """A class as a layer shows it; ``here`` is its mm² on one slide."""

    name: str
    colour: Colour
    here: float


@dataclass(frozen=True, eq=False)
class ConceptsFound:
    """What came of it.

    Attributes
    ----------
    study : IndexedStudy
    tiles : ToldTiles
    notes : tuple of str
        What a person should know.
    lesson : ConceptLesson or None
        None where a file of concepts was used.
    """

    study: IndexedStudy
    tiles: ToldTiles
    notes: tuple[str, ...] = ()
    lesson: ConceptLesson | None = None

    @property
    def model(self) -> ConceptModel:
        """The concepts and their weights."""
        return self.tiles.model

    @property
    def told(self) -> str:
        """What was learnt, what it is worth, and what striking out cost."""
        model = self.model
        examples = ", ".join(f"{n} {name}" for name, n in model.examples.items())
        lines = [f"{len(model.concepts)} concepts from {examples}; {model.score}."]
        if model.struck:
            lines.append(f"{', '.join(model.struck)} struck out: {model.cost}.")
        return " ".join((*lines, *self.notes))

    def lines(self) -> tuple[ConceptLine, ...]:
        """A line per concept, those that decided most tiles first, then those struck out."""
        model, often = self.model, dict(self.tiles.often())
        best = model.linear.weights.argmax(axis=0)
        found = [
            ConceptLine(one.name, model.classes[c], float(model.linear.weights[c, k]),
                        often.get(one.name, 0))
            for k, (one, c) in enumerate(zip(model.concepts, best.tolist(), strict=True))
        ]  # fmt: skip
        found.sort(key=lambda line: (-line.tiles, -line.weight))
        return (*found, *(ConceptLine(name, "", float("nan"), 0) for name in model.struck))

    def at(self, key: str, row: float, col: float) -> str:
        """What is told of the tile at a level-0 position of a slide, and which concept decided."""
        place = self.study.part_of(key)
        tile = None if place is None else self.tiles.tiles.holding(place, row, col)
        if tile is None:
            return "No tile of tissue was looked at there."
        found, model = self.tiles, self.model
        told = f"{model.classes[found.code[tile]]} ({found.probability[tile]:.2f})"
        if found.decided[tile] < 0:
            return f"{told}: no concept speaks for it more than for the next class."
        name, value = model.concepts[found.decided[tile]].name, float(found.value[tile])
        side = "more" if value > 0 else "less"
        return (
            f"{told}: decided by {name}, {abs(value):.1f} standard deviations {side} than in the "
            f"marked tiles; it puts the class {found.lead[tile]:.1f} ahead."
        )

    def shown(self, key: str) -> tuple[ScoreMap | None, tuple[ClassShown, ...]]:
        """Each tile's class on one slide, numbers from 1, and the classes; no map without it."""
        place, model, tiles = self.study.part_of(key), self.model, self.tiles.tiles
        rows = np.zeros(0, np.intp) if place is None else tiles.rows_of(place)
        code = self.tiles.code[rows]
        mm2 = [float(tiles.area_mm2[rows[code == c]].sum()) for c in range(len(model.classes))]
        colours = Classes().palette(model.classes)
        lines = tuple(ClassShown(n, colours[n], a) for n, a in
                      zip(model.classes, mm2, strict=True))  # fmt: skip
        if place is None:
            return None, lines
        facts = {"encoder": tiles.encoder}
        return kind_map(tiles, place, "concept classes", code + 1, facts=facts), lines

    def struck(self, name: str, *, out: bool) -> ConceptsFound:
        """Learnt anew without a concept, or with one that was struck out.

        Raises
        ------
        LabelError
            If a file of concepts was used: there are no marks to learn from.
        ParameterError
            If none would be left.
        """
        lesson = self.lesson
        if lesson is None:
            raise LabelError("These concepts come from a file. Mark tiles and learn some first.")
        without = [one for one in self.model.struck if normal(one) != normal(name)]
        strike = (*without, name) if out else tuple(without)
        params = replace(lesson.params, strike=strike)
        return _learnt(self.study, replace(lesson, params=params), self.notes)


def learn_concepts(
    sources: Sequence[StudySlide],
    params: ConceptParams,
    marks: Sequence[TileMark],
    manager: ModelManager,
    *,
    before: IndexedStudy | None = None,
    task: Task,
) -> ConceptsFound:
    """Index slides, learn which concepts tell the classes of marks, and tell all tiles by them.

    Parameters
    ----------
    sources : sequence of StudySlide
    params : ConceptParams
        Its phrases are those that the model knows.
    marks : sequence of TileMark
        Each names its slide by `Slide.key`.
    manager : ModelManager
    before : IndexedStudy, optional
        Is taken if it serves.
    task : Task

    Raises
    ------
    HistopromptError
        As `make_study`, `marked_rows`, `values_of` and `fit_concepts` do.
    """
    concepts = concepts_of(params.phrases, measured=params.measured)
    kept_concepts(concepts, params.strike)  # refused before anything is looked at
    seen = index_part(params)
    study = study_for(sources, seen, manager, before, task.part(0.0, _INDEXING))
    tiles = tiles_of(study.bank.index)
    marked = marked_rows(marks, tiles, lambda mark: study.part_of(mark.slide))
    part = task.part(_INDEXING, _VALUES)
    values = values_of(tiles, concepts, seen.job(manager), study.opened, part)
    lesson = ConceptLesson(values, concepts, marked, params)
    return _learnt(study, lesson, (*marked.notes, *study.faults))


def concepts_on(
    sources: Sequence[StudySlide],
    params: ConceptApplyParams,
    manager: ModelManager,
    *,
    before: IndexedStudy | None = None,
    task: Task,
) -> ConceptsFound:
    """Index slides as a file of concepts wants it, and tell their tiles by it.

    Raises
    ------
    HistopromptError
        As `read_concepts`, `make_study` and `values_of` do.
    """
    model = read_concepts(params.file())
    seen = replace(seen_as(model.about), weights=params.weights)
    study = study_for(sources, seen, manager, before, task.part(0.0, _INDEXING))
    tiles = tiles_of(study.bank.index)
    check_encoder(model.about, tiles)
    part = task.part(_INDEXING, _VALUES)
    values = values_of(tiles, model.concepts, seen.job(manager), study.opened, part)
    return ConceptsFound(study, tell_tiles(tiles, values, model), study.faults)


def _learnt(study: IndexedStudy, lesson: ConceptLesson, notes: tuple[str, ...]) -> ConceptsFound:
    tiles, params = tiles_of(study.bank.index), lesson.params
    rows = lesson.marked.rows
    model = fit_concepts(
        lesson.values[rows], lesson.marked, tiles.slide[rows], lesson.concepts,
        strike=params.strike, strength=params.strength, about=looked_at(params, tiles),
    )  # fmt: skip
    kept, _ = kept_concepts(lesson.concepts, params.strike)
    found = tell_tiles(tiles, lesson.values[:, kept], model)
    return ConceptsFound(study, found, notes, lesson)
