"""Several slides ready to be asked: indexed, in one bank, and what was found shown on each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import HistopromptError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.readers.open import open_slide
from histoprompt.core.scores.map import ScoreMap, Threshold
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.core.tiling import TileGrid
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.explore.exact import Bank
from histoprompt.pipelines.explore.examples import Example
from histoprompt.pipelines.explore.hits import Hit, hits_of, picture_of
from histoprompt.pipelines.explore.index import IndexParams, SlideIndex
from histoprompt.pipelines.explore.indexing import index_slide
from histoprompt.pipelines.explore.like import Answers, LikeParams, search
from histoprompt.pipelines.explore.project_index import ProjectIndex
from histoprompt.pipelines.explore.search import Asker
from histoprompt.pipelines.explore.search_step import open_picture
from histoprompt.pipelines.explore.tile_set import TiledSlide

# Share of a job that indexing takes.
_INDEXING = 0.8


@dataclass(frozen=True)
class StudySlide:
    """A slide that can be asked.

    Attributes
    ----------
    name : str
        For people; of each source another.
    path : str
        Empty where it is no file.
    mpp : float or None
        As typed.
    slide : Slide or None
        Where it is open already; it is left open.
    """

    name: str
    path: str = ""
    mpp: float | None = None
    slide: Slide | None = None

    def open(self) -> AbstractContextManager[Slide]:
        """The slide, for a ``with`` block; raises as `open_slide` does."""
        if self.slide is not None:
            return nullcontext(self.slide)
        return open_slide(self.path, self.mpp)


@dataclass(frozen=True, eq=False)
class IndexedStudy:
    """Slides in one bank.

    Attributes
    ----------
    sources : tuple of StudySlide
        In the order of the bank's slides.
    params : IndexParams
    bank : Bank
    faults : tuple of str
        Why slides were left out, a line each.
    """

    sources: tuple[StudySlide, ...]
    params: IndexParams
    bank: Bank
    faults: tuple[str, ...] = ()

    def serves(self, sources: Sequence[StudySlide], params: IndexParams) -> bool:
        """Whether it is of these slides and parameters."""
        wanted = [(s.name, s.path, s.mpp) for s in sources]
        return params == self.params and wanted == [(s.name, s.path, s.mpp) for s in self.sources]

    def part_of(self, key: str) -> int | None:
        """The position of the slide of a key; None if it is not among them."""
        keys = [part.slide for part in self.bank.index.slides]
        return keys.index(key) if key in keys else None

    def opened(self, slide: TiledSlide) -> AbstractContextManager[Slide]:
        """A slide that tiles of the study are of; an `Opener`."""
        place = self.part_of(slide.key)
        assert place is not None
        return self.sources[place].open()


def make_study(
    sources: Sequence[StudySlide],
    params: IndexParams,
    manager: ModelManager,
    task: Task,
    first: Box | None = None,
) -> IndexedStudy:
    """Index all slides that are not indexed yet, and take them into one bank.

    Parameters
    ----------
    sources : sequence of StudySlide
    params : IndexParams
    manager : ModelManager
    task : Task
        What was looked at before a cancel is kept.
    first : Box, optional
        What is in view of a slide that is open: its tiles come first.

    Raises
    ------
    HistopromptError
        If no slide at all can be indexed; why not the first.
    """
    kept: list[tuple[StudySlide, SlideIndex]] = []
    faults: list[HistopromptError] = []
    for done, source in enumerate(sources):
        part = task.part(done / len(sources), (done + 1) / len(sources))
        try:
            kept.append((source, _indexed(source, params, manager, part, first)))
        except HistopromptError as error:
            faults.append(error)
    if not kept:
        raise faults[0] if faults else RegionError("No slide is open. Open one, or a project.")
    bank = Bank(ProjectIndex(tuple(part for _, part in kept)))
    return IndexedStudy(tuple(s for s, _ in kept), params, bank, tuple(e.fact for e in faults))


def study_for(
    sources: Sequence[StudySlide],
    params: IndexParams,
    manager: ModelManager,
    before: IndexedStudy | None,
    task: Task,
) -> IndexedStudy:
    """The study there was if it serves, else another one; raises as `make_study` does."""
    if before is not None and before.serves(sources, params):
        return before
    return make_study(sources, params, manager, task)


def _indexed(
    source: StudySlide, params: IndexParams, manager: ModelManager, task: Task, first: Box | None
) -> SlideIndex:
    with source.open() as slide:
        seen = first if source.slide is not None else None
        found = index_slide(slide, params, manager, task, name=source.name, first=seen)
    return replace(found, name=source.name, path=source.path)


@dataclass(frozen=True, eq=False)
class HitPicture:
    """A hit as a small picture; none where its slide cannot be read."""

    hit: Hit
    picture: NDArray[np.uint8] | None


@dataclass(frozen=True, eq=False)
class QueryResult:
    """What a question found.

    Attributes
    ----------
    study : IndexedStudy
    answers : Answers
    hits : tuple of Hit
    pictures : tuple of HitPicture
        Of the first hits.
    """

    study: IndexedStudy
    answers: Answers
    hits: tuple[Hit, ...]
    pictures: tuple[HitPicture, ...]

    @property
    def told(self) -> tuple[str, ...]:
        """What a person should know, a line each."""
        return (*self.answers.told, *self.study.faults)

    @property
    def cut(self) -> float:
        """The threshold: that of the examples, else the lowest score of a hit."""
        if self.answers.cut is not None:
            return self.answers.cut.value
        return float(self.answers.scores.min(initial=1.0))

    def score_map(self, key: str, text: str, cut: float) -> ScoreMap | None:
        """Scores of one slide's tiles as a map with a threshold; None if it was not asked.

        Cosines c become (1 + c) / 2, as a map's scores lie between 0 and 1.
        """
        place = self.study.part_of(key)
        if place is None:
            return None
        part, starts = self.study.bank.index.slides[place], self.study.bank.index.starts
        scores = self.answers.all_scores[starts[place] : starts[place + 1]]
        box = Box.of_shape(part.shape)
        told = str(self.answers.cut or "the lowest score of a hit")
        return ScoreMap(
            (text,),
            np.clip((1 + scores[:, None]) / 2, 0, 1).astype(np.float32),
            part.places,
            TileGrid(box, part.step, 0, box),
            part.mpp,
            key,
            {text: Threshold((1 + cut) / 2, told)},
            {"model": part.encoder, "weights": part.digest},
        )


def find_like(
    sources: Sequence[StudySlide],
    params: tuple[IndexParams, LikeParams],
    question: tuple[Sequence[Example], Sequence[Example], Sequence[str]],
    manager: ModelManager,
    *,
    before: IndexedStudy | None = None,
    first: Box | None = None,
    pictures: tuple[int, int] = (40, 72),
    task: Task,
) -> QueryResult:
    """From slides and examples to hits with pictures, as one job.

    Parameters
    ----------
    sources : sequence of StudySlide
    params : (IndexParams, LikeParams)
    question : (like, unlike, texts)
    manager : ModelManager
    before : IndexedStudy, optional
        Is taken if it serves.
    first : Box, optional
        As for `make_study`.
    pictures : (int, int)
        How many hits are read as pictures, and pixels a side.
    task : Task

    Raises
    ------
    HistopromptError
        As `make_study`, `Asker.ask` and `search` do.
    """
    indexing, liking = params
    study = before if before is not None and before.serves(sources, indexing) else None
    if study is None:
        looking = task.part(0.0, _INDEXING)
        study = make_study(sources, indexing, manager, looking, first)
    known = {source.name: source for source in study.sources}

    def opened(place: str) -> AbstractContextManager[Slide]:
        return known[place].open() if place in known else open_slide(place)

    asker = Asker(study.bank, indexing.job(manager), opened, open_picture)
    like, unlike, texts = question
    answers = search(study.bank, asker.ask(like, unlike, texts, task), liking)
    hits = tuple(hits_of(study.bank.index, answers))
    count, side = pictures
    return QueryResult(study, answers, hits, tuple(_pictures(study, hits[:count], side, task)))


def _pictures(study: IndexedStudy, hits: Sequence[Hit], side: int, task: Task) -> list[HitPicture]:
    found: dict[int, HitPicture] = {}
    for place in sorted({hit.slide for hit in hits}):
        here = [hit for hit in hits if hit.slide == place]
        try:
            with study.sources[place].open() as slide:
                for hit in here:
                    task.step(len(found), len(hits), "Reading pictures of the hits")
                    found[hit.rank] = HitPicture(hit, picture_of(slide, hit.box, side))
        except HistopromptError:
            found |= {hit.rank: HitPicture(hit, None) for hit in here if hit.rank not in found}
    return [found[hit.rank] for hit in hits]
