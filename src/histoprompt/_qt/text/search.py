"""Looking at tiles and asking words of them, in the background; what it finds while it looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from psygnal import Signal

from histoprompt._qt.layers.work_area import view_box
from histoprompt._qt.shell.batch import BatchWork
from histoprompt._qt.shell.jobs import Jobs
from histoprompt._qt.shell.messages import told
from histoprompt._qt.text.work import TextView
from histoprompt.core.errors import PromptError, RefusedTextError
from histoprompt.core.geometry import Box
from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.embedding.words import TextCache
from histoprompt.pipelines.regions.count import RegionCountResult
from histoprompt.pipelines.regions.steps import RegionCountParams, count_found
from histoprompt.pipelines.text.score import SeenTiles, ask, score
from histoprompt.pipelines.text.text_embedding import ScoreParams

ASKING, LOOKING = "asking words", "Looking at tiles"
# Which part of the chain from words to counts the search is, for progress.
_FINDING = 0.4


@dataclass(frozen=True, eq=False)
class Search:
    """What is looked for, with what and where.

    Attributes
    ----------
    view : TextView
        The slide, and what is shown on it.
    params : ScoreParams
    job : ScoreJob
    where : Box
        Level-0 pixels.
    wish : RegionCountParams or None
        The chain to counts, where the same job goes on with it.
    """

    view: TextView
    params: ScoreParams
    job: ScoreJob
    where: Box
    wish: RegionCountParams | None = None

    def serves(self, params: ScoreParams, card: ModelCard, weights: Path | None) -> bool:
        """Whether its tiles look to the model as those of these values would."""
        return _look(self.params, self.job.card, self.job.weights) == _look(params, card, weights)


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What came of a search.

    Attributes
    ----------
    search : Search
    scores : ScoreMap
    seen : SeenTiles
    whole : bool
        Whether every tile was looked at.
    """

    search: Search
    scores: ScoreMap
    seen: SeenTiles
    whole: bool = True


@dataclass(frozen=True, eq=False)
class PartialSearch:
    """What a chain had that was cancelled while it looked at tiles."""

    scores: ScoreMap
    seen: SeenTiles


class TextSearch:
    """The search that runs.

    Attributes
    ----------
    grown : Signal(Search, ScoreMap)
        The map of the tiles seen so far, while others are looked at.
    found : Signal(SearchResult)
        It ended, or was cancelled after some tiles were seen.
    asked : Signal(SeenTiles, ScoreMap)
        Tiles that were seen before answered other words.
    counted : Signal(RegionCountResult, ScoreMap)
        The chain ended.
    ended : Signal(Search)
        It ended without a result; why was told.
    refused : Signal(str, tuple)
        Why the model cannot be asked, and the texts that it refuses, by name: none where what they
        are held against is wrong.
    """

    grown, found, asked = (
        Signal(Search, ScoreMap),
        Signal(SearchResult),
        Signal(SeenTiles, ScoreMap),
    )
    counted = Signal(RegionCountResult, ScoreMap)
    ended, refused = Signal(Search), Signal(str, tuple)

    def __init__(self, jobs: Jobs, manager: ModelManager, batch: BatchWork) -> None:
        self._jobs, self._manager, self._batch = jobs, manager, batch
        self._cache = TextCache()
        self.drop()

    def drop(self) -> None:
        """Let the search go: it tells nothing any more."""
        self._now: Search | None = None
        self._chained: SearchResult | None = None
        self._newest: tuple[Search, ScoreMap] | None = None

    def find(
        self,
        view: TextView,
        params: ScoreParams,
        card: ModelCard,
        weights: Path | None,
        where: Box,
        *,
        wish: RegionCountParams | None = None,
    ) -> None:
        """Look at the tiles of a part of the slide, those in view first, and ask the texts.

        With a wish the same job goes on to regions, cells, classes and counts.
        """
        annotator = view.annotator
        search = Search(view, params, ScoreJob(self._manager, card, weights), where, wish)
        self._now, self._chained = search, None
        find = partial(
            score,
            region=where,
            first=view_box(annotator.viewer, annotator.image),
            texts=self._cache,
            growing=partial(self._grow, search),
        )
        call, done = partial(_or_refusal, find), partial(self._on_score, search, True)
        stopped = partial(self._on_score, search, False)
        if wish is not None:
            call = partial(_chain, call, wish, partial(self._tell, search))
            done = stopped = partial(self._on_chained, search)
        self._batch.run(
            call,
            annotator.slide,
            search.params,
            search.job,
            title=LOOKING,
            done=done,
            failed=partial(self._on_failed, search),
            cancelled=partial(self._on_failed, search),
            stopped=stopped,
        )

    def again(self, params: ScoreParams, card: ModelCard, weights: Path | None) -> bool:
        """Let the search that runs go on with these texts; False if none runs that would serve."""
        search = self._now
        if search is None or not search.serves(params, card, weights):
            return False
        self.find(search.view, params, card, weights, search.where, wish=search.wish)
        return True

    def ask(self, seen: SeenTiles, params: ScoreParams, job: ScoreJob) -> None:
        """Ask tiles that were looked at."""
        self._jobs.submit(
            partial(_or_refusal, partial(_ask, texts=self._cache)),
            seen,
            params,
            job,
            lane="interactive",
            key=ASKING,
            title="Asking",
            on_done=partial(self._on_asked, seen),
            on_error=self._batch.status.emit,
        )

    # -- while it looks ----------------------------------------------------------------------

    def _grow(self, search: Search, scores: ScoreMap) -> None:
        """Hand a map to the GUI thread; called in the thread of the search."""
        self._newest = (search, scores)
        self._jobs.call(self._show_newest)

    def _show_newest(self) -> None:
        """Where the GUI thread was busy, maps in between are left out."""
        newest, self._newest = self._newest, None
        if newest is not None and newest[0] is self._now:
            self.grown.emit(*newest)

    def _tell(self, search: Search, scores: ScoreMap, seen: SeenTiles) -> None:
        """Hand on what was found before the chain goes on; called in the thread of the search."""
        self._jobs.call(self._on_score, search, True, (scores, seen))

    # -- how it ends -------------------------------------------------------------------------

    def _on_score(
        self,
        search: Search,
        whole: bool,
        found: tuple[ScoreMap, SeenTiles] | PromptError,
    ) -> None:
        if search is not self._now:
            return
        self._now = None
        if isinstance(found, PromptError):
            self.ended.emit(search)
            self._refuse(found)
        else:
            told = SearchResult(search, *found, whole)
            self._chained = told if whole and search.wish is not None else None
            self.found.emit(told)

    def _on_chained(
        self,
        search: Search,
        found: tuple[RegionCountResult, ScoreMap] | PartialSearch | PromptError,
    ) -> None:
        if isinstance(found, PromptError):
            self._on_score(search, True, found)
        elif isinstance(found, PartialSearch):
            self._on_score(search, False, (found.scores, found.seen))
        elif self._chained is not None and self._chained.search is search:
            self._chained = None
            self.counted.emit(*found)

    def _on_failed(self, search: Search, _: str = "") -> None:
        """Without a result; what was found before the chain went on stays."""
        if search is self._now:
            self._now = None
            self.ended.emit(search)

    def _on_asked(self, seen: SeenTiles, found: ScoreMap | PromptError) -> None:
        if isinstance(found, PromptError):
            self._refuse(found)
        else:
            self.asked.emit(seen, found)

    def _refuse(self, error: PromptError) -> None:
        self.refused.emit(told(error), error.texts if isinstance(error, RefusedTextError) else ())


def _look(params: ScoreParams, card: ModelCard, weights: Path | None) -> tuple[Any, ...]:
    """What makes tiles look as they do to a model."""
    return card, weights, params.scales, params.overlap, params.mpp


def _ask(
    seen: SeenTiles, params: ScoreParams, job: ScoreJob, *, texts: TextCache, task: Task
) -> ScoreMap:
    return ask(seen, params, job, task, texts)


def _or_refusal(call: Callable[..., Any], *args: Any, task: Task) -> Any:
    """What a call returns, or why it refuses a text: the dock answers that in its own way."""
    try:
        return call(*args, task=task)
    except PromptError as error:
        return error


def _chain(
    find: Callable[..., Any],
    wish: RegionCountParams,
    tell: Callable[[ScoreMap, SeenTiles], object],
    *given: Any,
    task: Task,
) -> tuple[RegionCountResult, ScoreMap] | PartialSearch | PromptError:
    """Find, tell of it, and go on to counts, as one job."""
    slide, _, job = given
    wish.check(job, task)
    found = find(*given, task=task.part(0.0, _FINDING))
    if isinstance(found, PromptError):
        return found
    scores, seen = found
    if task.cancelled:
        return PartialSearch(scores, seen)
    tell(scores, seen)
    return count_found(wish, slide, scores, seen, job, task=task.part(_FINDING, 1.0))
