"""Looking at tiles and asking words of them, in the background; what it finds while it looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from psygnal import Signal

from histoprompt._qt.annotator import Annotator
from histoprompt._qt.batch_work import BatchWork
from histoprompt._qt.jobs import Jobs
from histoprompt._qt.work_area import view_box
from histoprompt.core.errors import PromptError
from histoprompt.core.geometry import Box
from histoprompt.core.score_map import ScoreMap
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.models.manager import ModelManager
from histoprompt.pipelines.asked_texts import ScoreParams
from histoprompt.pipelines.queries import TextCache
from histoprompt.pipelines.score import SeenTiles, ask, score, score_seen
from histoprompt.pipelines.score_tiles import ScoreJob

ASKING, LOOKING = "asking words", "Looking at tiles"


@dataclass(frozen=True, eq=False)
class Search:
    """What is looked for, with what and where.

    Attributes
    ----------
    params : ScoreParams
    job : ScoreJob
    where : Box
        Level-0 pixels.
    """

    params: ScoreParams
    job: ScoreJob
    where: Box

    def serves(self, params: ScoreParams, card: ModelCard, weights: Path | None) -> bool:
        """Whether its tiles look to the model as those of these values would."""
        return _look(self.params, self.job.card, self.job.weights) == _look(params, card, weights)


@dataclass(frozen=True, eq=False)
class Found:
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


class TextSearch:
    """The search that runs, on one annotated slide.

    Attributes
    ----------
    grown : Signal(ScoreMap)
        The map of the tiles seen so far, while others are looked at.
    found : Signal(Found)
        It ended, or was cancelled after some tiles were seen.
    asked : Signal(SeenTiles, ScoreMap)
        Tiles that were seen before answered other words.
    ended : Signal
        It ended without a result; why was told.
    refused : Signal(str)
        The model cannot know one of the texts.
    """

    grown, found, asked = Signal(ScoreMap), Signal(Found), Signal(SeenTiles, ScoreMap)
    ended, refused = Signal(), Signal(str)

    def __init__(self, jobs: Jobs, manager: ModelManager, batch: BatchWork) -> None:
        self._jobs, self._manager, self._batch = jobs, manager, batch
        self._cache = TextCache()
        self.bind(None)

    def bind(self, annotator: Annotator | None) -> None:
        """Serve another slide; a search on the one before tells nothing any more."""
        self._annotator = annotator
        self._now: Search | None = None
        self._newest: tuple[Search, ScoreMap] | None = None
        self._has_grown = False

    def find(self, params: ScoreParams, card: ModelCard, weights: Path | None, where: Box) -> None:
        """Look at the tiles of a part of the slide, those in view first, and ask the texts."""
        annotator = self._annotator
        assert annotator is not None  # the controller says so where there is none
        search = self._now = Search(params, ScoreJob(self._manager, card, weights), where)
        self._has_grown = False
        call = partial(
            score,
            region=where,
            first=view_box(annotator.viewer, annotator.image),
            texts=self._cache,
            growing=partial(self._grow, search),
        )
        self._run(search, call, partial(self._on_cancelled, search))

    def again(self, params: ScoreParams, card: ModelCard, weights: Path | None) -> bool:
        """Let the search that runs go on with these texts; False if none runs that would serve."""
        search = self._now
        if search is None or not search.serves(params, card, weights):
            return False
        self.find(params, card, weights, search.where)
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

    def _run(
        self,
        search: Search,
        call: Callable[..., Any],
        cancelled: Callable[[], object],
        *,
        whole: bool = True,
    ) -> None:
        assert self._annotator is not None
        self._batch.run(
            partial(_or_refusal, call),
            self._annotator.slide,
            search.params,
            search.job,
            title=LOOKING,
            done=partial(self._on_score, search, whole),
            failed=partial(self._on_failed, search),
            cancelled=cancelled,
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
            self._has_grown = True
            self.grown.emit(newest[1])

    # -- how it ends -------------------------------------------------------------------------

    def _on_score(
        self,
        search: Search,
        whole: bool,
        found: tuple[ScoreMap, SeenTiles] | PromptError | None,
    ) -> None:
        if search is not self._now:
            return
        self._now = None
        if isinstance(found, PromptError):
            self.refused.emit(str(found))
        elif found is None:
            self.ended.emit()
        else:
            self.found.emit(Found(search, *found, whole))

    def _on_cancelled(self, search: Search) -> None:
        """Answer from the tiles that were seen, if there are any."""
        if search is not self._now:
            return
        if self._has_grown:
            call = partial(score_seen, region=search.where, texts=self._cache)
            self._run(search, call, partial(self._on_failed, search), whole=False)
        else:
            self._on_failed(search)

    def _on_failed(self, search: Search, _: str = "") -> None:
        if search is self._now:
            self._now = None
            self.ended.emit()

    def _on_asked(self, seen: SeenTiles, found: ScoreMap | PromptError) -> None:
        if isinstance(found, PromptError):
            self.refused.emit(str(found))
        else:
            self.asked.emit(seen, found)


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
