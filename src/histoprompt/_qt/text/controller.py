"""From words to maps, regions and counts: the controller behind the Text dock."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from psygnal import Signal

from histoprompt._qt.count.controller import Counting
from histoprompt._qt.count.growing import Growing
from histoprompt._qt.prompts.annotating import Annotating
from histoprompt._qt.shell.batch import BatchWork
from histoprompt._qt.shell.messages import told
from histoprompt._qt.shell.session import Session
from histoprompt._qt.text.best_tiles import BestTiles
from histoprompt._qt.text.calibrate_job import Fitting
from histoprompt._qt.text.layers import ScoreLayers
from histoprompt._qt.text.region_actions import Current, RegionActions
from histoprompt._qt.text.region_cells import CellsRequest, RegionCells
from histoprompt._qt.text.search import Search, SearchResult, TextSearch
from histoprompt._qt.text.shown import ShownResults, resolve
from histoprompt._qt.text.tile_marking import TileMarking
from histoprompt._qt.text.work import TextView, TextWork
from histoprompt.core.errors import HistopromptError
from histoprompt.core.geometry import Box
from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.strings.wording import many
from histoprompt.models.card import ModelCard
from histoprompt.pipelines.regions.count import RegionCountResult, RegionCounts
from histoprompt.pipelines.text.score import SeenTiles
from histoprompt.pipelines.text.session import ScoreSession
from histoprompt.pipelines.text.text_embedding import ScoreParams

_NO_SLIDE = "Open a slide first: File > Open Sample > histoprompt has one."
_CANCELLED = "Cancelled; maps and labels are as they were, and tiles that were seen are kept."
_NOTHING = "Nothing was scored yet: type a word and press Find."


class TextController:
    """Words asked of the session's slide.

    Attributes
    ----------
    regions : RegionActions
        What can be done with the regions of the text.
    cells : RegionCells
        The cells in regions.
    counting : Counting
        The count that they are of.
    marking : TileMarking
        Clicks on tiles.
    growing : Signal(ScoreMap)
        The map of the tiles seen so far is shown.
    answered : Signal
        There are other maps, or none any more.
    changed : Signal
        Marks, threshold, regions or the chosen text changed.
    best : BestTiles
        The tiles that fit the text best.
    failed : Signal(str)
        What went wrong, for people; what happened comes from `batch`.
    refused : Signal(str, tuple)
        Why the model refuses texts, and which, by name.
    """

    growing = Signal(ScoreMap)
    answered, changed = Signal(), Signal()
    failed, refused = Signal(str), Signal(str, tuple)

    def __init__(self, session: Session) -> None:
        self._session = session
        self._annotating = session.part(Annotating)
        self.counting = session.part(Counting)
        session.part(Growing)
        self._view: TextView | None = None
        self._work: TextWork | None = None
        self._params: ScoreParams | None = None
        self.batch = BatchWork(session.jobs, _CANCELLED)
        self.search = TextSearch(session.jobs, session.manager, self.batch)
        self.search.grown.connect(self._on_grown)
        self.search.found.connect(self._on_found)
        self.search.asked.connect(self._on_asked)
        self.search.ended.connect(self._on_ended)
        self.search.refused.connect(self.refused.emit)
        self.search.counted.connect(self._on_chained)
        self.cells = RegionCells(self.batch, self._current, self.counting)
        self.regions = RegionActions(self.batch, self._current, self._counts)
        self.marking = TileMarking(session.viewer, session.modes, self.mark_at, session.steps)
        self.best = BestTiles(session.jobs)
        self._fitting = Fitting(session.jobs)
        self._fitting.fitted.connect(self._on_fitted)

    @property
    def work(self) -> ScoreSession | None:
        """What came of a search; None until something was found."""
        return None if self._work is None else self._work.session

    @property
    def shown_work(self) -> TextWork | None:
        """What is worked on, with how it was looked for; None until something was found."""
        return self._work

    @property
    def layers(self) -> ScoreLayers | None:
        """On the slide; None where there is none."""
        return None if self._view is None else self._view.layers

    @property
    def text(self) -> str:
        """The text that is shown and marked."""
        return "" if self._view is None else self._view.shown.text

    @property
    def region_count(self) -> int:
        """How many regions it has."""
        return 0 if self._view is None else self._view.region_count

    def bind(self, _: object = None) -> None:
        """Serve the session's annotator, which may be a new one or none; what was shown goes.

        So it does with another pixel size: tiles are other tiles then.
        """
        self._session.steps.forget(self)
        self.search.drop()
        self.batch.cancel()
        before, annotator = self._view, self._annotating.annotator
        self._view = self._work = None
        if before is not None:
            before.layers.clear()
            before.annotator.image.events.scale.disconnect(self.bind)
        if annotator is not None:
            annotator.image.events.scale.connect(self.bind)
            layers = ScoreLayers(annotator.viewer, annotator.image, self.marking.attach)
            self._view = TextView(annotator, layers)
        self.regions.bind(annotator)
        self.cells.bind(annotator, self.layers)
        self.best.drop()
        self.answered.emit()

    # -- asking ------------------------------------------------------------------------------

    def find(
        self,
        params: ScoreParams,
        card: ModelCard,
        weights: Path | None,
        where: Box,
        *,
        count: CellsRequest | None = None,
    ) -> None:
        """Look at the tiles of a part of the slide, those in view first, and ask the texts.

        With `count` the same job goes on: cells in the regions of all texts are counted and named.
        """
        view, work = self._view, self._work
        if view is None:
            self.failed.emit(_NO_SLIDE)
            return
        self._params = params
        kept = {} if work is None else work.manual(params, card, weights)
        wish = None if count is None else self.cells.wish(count, params.templates, kept)
        self.search.find(view, params, card, weights, where, wish=wish)

    def ask(self, params: ScoreParams, card: ModelCard, weights: Path | None) -> bool:
        """Ask the tiles that were looked at; False if others would have to be looked at first.

        While tiles are being looked at, those seen so far answer, then the others.
        """
        if self.search.again(params, card, weights):
            self._params = params
            return True
        work = self._work
        if work is None or not work.search.serves(params, card, weights):
            return False
        self._params = params
        self.search.ask(work.session.seen, params, work.search.job)
        return True

    def choose(self, text: str) -> None:
        """Show this text's map, regions and marks."""
        view = self._view
        present = ShownResults() if view is None else view.shown
        if view is None or present.scores is None or text not in present.scores.texts:
            return
        after = resolve(present, present.scores, wish=text, settled=present.settled)
        view.show(after, anew=True)
        if self._work is not None and present.settled:
            self._tell(self._work)

    # -- marks and threshold -----------------------------------------------------------------

    def mark_at(self, row: float, col: float, yes: bool) -> None:
        """Mark the tile at a level-0 position; the same answer again takes the mark away."""
        work, text = self._work, self.text
        tile = None if work is None else work.session.scores.index_at(row, col)
        if tile is None or work is None:
            self.batch.status.emit("No tile was scored there: mark tiles that have a colour.")
            return
        same = work.session.marks(text).get(tile) == yes
        if self._guarded(partial(work.session.mark, text, tile, None if same else yes)):
            said = "unmarked" if same else f"marked {'yes' if yes else 'no'}"
            back = partial(self._walk_marks, lambda session: session.book.undo())
            again = partial(self._walk_marks, lambda session: session.book.redo())
            self._session.steps.push(f"a tile {said} for {text}", back, again, self)
            self.batch.status.emit(f"A tile {said} for {text}.")
            self._on_marks(work, [text])

    def set_threshold(self, value: float | None) -> None:
        """Cut regions at a value; None goes back to what text and marks say."""
        work, text = self._work, self.text
        if work is None or text not in work.session.texts:
            return
        if self._guarded(partial(work.session.set_threshold, text, value)):
            self._show(work)

    def next_doubtful(self) -> None:
        """Fly to the tile whose mark would teach most."""
        tile = None if self.work is None or not self.text else self.work.doubtful(self.text)
        if tile is None:
            self.batch.status.emit(_NOTHING if self.work is None else "All tiles are marked.")
        else:
            self.fly_to(tile)
            self.batch.status.emit("Is the tile in the middle one? Mark it yes or no.")

    def fly_to(self, tile: int) -> None:
        """Bring a tile to the middle of the canvas."""
        if self._work is not None:
            self._work.fly_to(tile)

    # -- what came of it ---------------------------------------------------------------------

    def _on_grown(self, search: Search, scores: ScoreMap) -> None:
        """Show the map of the tiles seen so far; marks and regions wait for the end."""
        search.view.show(resolve(search.view.shown, scores, settled=False))
        self.growing.emit(scores)

    def _on_found(self, found: SearchResult) -> None:
        try:
            self._work = TextWork.of(found, self._work)
        except HistopromptError as error:
            self.failed.emit(told(error))
            return
        self._on_answer(self._work)
        count, title = many(len(found.scores), "tile"), found.search.job.card.title
        rest = "Glass and pen are left out." if found.whole else "Stopped: Find goes on from there."
        self.batch.status.emit(f"{count} scored with {title}. {rest}")

    def _on_asked(self, seen: SeenTiles, found: ScoreMap) -> None:
        work = self._work
        if work is not None and seen is work.session.seen:
            work.session.answer(found)
            self._on_answer(work)

    def _on_chained(self, found: RegionCountResult, scores: ScoreMap) -> None:
        if self._work is not None:
            scorer = self._work.search.job.card.title
            self.cells.take(found, scores, scores.texts, scorer)
            self.changed.emit()

    def _on_ended(self, search: Search) -> None:
        """Maps as they were before a search that found nothing."""
        view, work = search.view, self._work
        view.show(resolve(view.shown, None if work is None else work.session.scores))

    def _on_answer(self, work: TextWork) -> None:
        work.view.show(resolve(work.view.shown, work.session.scores), anew=True)
        self.answered.emit()
        self._on_marks(work, work.session.texts)

    def _on_marks(self, work: TextWork, texts: tuple[str, ...] | list[str]) -> None:
        """Show marks at once, and calibrate to them beside the GUI."""
        self._fitting.fit(work.session, texts)
        self._show(work)

    def _on_fitted(self, session: ScoreSession, _: list[str]) -> None:
        if self._work is not None and self._work.session is session:
            self._show(self._work)

    def _show(self, work: TextWork) -> None:
        """Show scores, marks and regions as they are now."""
        work.view.show(resolve(work.view.shown, work.session.scores))
        self._tell(work)

    def _tell(self, work: TextWork) -> None:
        self.best.ask(work.view.annotator.slide, work.view.shown)
        self.changed.emit()

    # -- inner -------------------------------------------------------------------------------

    def _current(self) -> Current | None:
        """What regions are cut from now; says so if there is nothing."""
        work = self._work
        if work is None:
            self.failed.emit(_NOTHING)
            return None
        params = self._params or work.search.params
        return Current(work.session, self.text, work.search.job, params, work.search.where)

    def _counts(self) -> RegionCounts | None:
        """The cells counted in the regions there are now."""
        return None if self.work is None or self.cells.outdated(self.work) else self.cells.counts

    def _walk_marks(self, step: Callable[[ScoreSession], bool]) -> bool:
        work = self._work
        if work is None or not step(work.session):
            return False
        for text in work.session.texts:
            work.session.refresh(text)
        self._on_marks(work, work.session.texts)
        return True

    def _guarded(self, edit: Callable[[], object]) -> bool:
        """Do something that may be refused; whether it was done."""
        try:
            edit()
        except HistopromptError as error:
            self.failed.emit(told(error))
            return False
        return True
