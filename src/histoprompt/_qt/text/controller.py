"""From words to maps, regions and counts: the controller behind the Text dock."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from psygnal import Signal

from histoprompt._qt.layers.camera import fly_to
from histoprompt._qt.prompts.annotator import Annotator
from histoprompt._qt.shell.batch import BatchWork
from histoprompt._qt.shell.session import Session
from histoprompt._qt.text.best_tiles import BestTiles
from histoprompt._qt.text.calibrate_job import Fitting
from histoprompt._qt.text.layers import ScoreLayers
from histoprompt._qt.text.region_actions import Current, RegionActions
from histoprompt._qt.text.region_cells import RegionCells, Wanted
from histoprompt._qt.text.search import Search, SearchResult, TextSearch
from histoprompt._qt.text.tile_marking import TileMarking
from histoprompt.core.errors import HistopromptError
from histoprompt.core.geometry import Box
from histoprompt.core.scores.map import ScoreMap
from histoprompt.models.card import ModelCard
from histoprompt.pipelines.regions.count import RegionCountResult, RegionCounts
from histoprompt.pipelines.text.marks import MarkBook, book_path
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
    work : ScoreSession or None
        What came of it; None until something was found.
    text : str
        The one that is shown and marked.
    region_count : int
        How many regions it has.
    regions : RegionActions
        What can be done with the regions of the text.
    cells : RegionCells
        The cells in regions.
    marking : TileMarking
        Clicks on tiles.
    layers : ScoreLayers or None
        On the bound image.
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
    refused : Signal(str)
        The model cannot know one of the texts.
    """

    growing = Signal(ScoreMap)
    answered, changed = Signal(), Signal()
    failed, refused = Signal(str), Signal(str)

    def __init__(self, session: Session) -> None:
        self._session = session
        self._annotator: Annotator | None = None
        self._search: Search | None = None
        self.batch = BatchWork(session.jobs, _CANCELLED)
        self.search = TextSearch(session.jobs, session.manager, self.batch)
        self.search.grown.connect(self._on_grown)
        self.search.found.connect(self._on_found)
        self.search.asked.connect(self._on_asked)
        self.search.ended.connect(self._on_ended)
        self.search.refused.connect(self._on_refused)
        self.search.counted.connect(self._on_chained)
        self.cells = RegionCells(self.batch, self._current, session.counting)
        self.search.stopped.connect(self.cells.gather)
        self.regions = RegionActions(self.batch, self._current, self._counts)
        self.marking = TileMarking(session.viewer, session.modes, self)
        self.best = BestTiles(session.jobs)
        self._fitting = Fitting(session.jobs)
        self._fitting.fitted.connect(self._on_fitted)
        self.layers: ScoreLayers | None = None
        self.work: ScoreSession | None = None
        self.text, self.region_count = "", 0

    def bind(self) -> None:
        """Serve the session's annotator, which may be a new one or none; what was shown goes."""
        self._session.steps.forget(self)
        self.search.bind(self._session.annotator)
        self.batch.cancel()
        if self.layers is not None:
            self.layers.clear()
        if self._annotator is not None:
            self._annotator.image.events.scale.disconnect(self._on_scale)
        annotator = self._annotator = self._session.annotator
        self.layers = None
        if annotator is not None:
            image = annotator.image
            image.events.scale.connect(self._on_scale)
            self.layers = ScoreLayers(annotator.viewer, image, self.marking.attach)
        self.regions.bind(annotator)
        self.cells.bind(annotator, self.layers)
        self.best.drop()
        self.work, self.text = None, ""
        self.answered.emit()

    # -- asking ------------------------------------------------------------------------------

    def find(
        self,
        params: ScoreParams,
        card: ModelCard,
        weights: Path | None,
        where: Box,
        *,
        count: Wanted | None = None,
    ) -> None:
        """Look at the tiles of a part of the slide, those in view first, and ask the texts.

        With `count` the same job goes on: cells in the regions of all texts are counted and named.
        """
        if self._annotator is None:
            self.failed.emit(_NO_SLIDE)
            return
        kept = self._typed(params, card, weights)
        wish = None if count is None else self.cells.wish(count, params.templates, kept)
        self.search.find(params, card, weights, where, wish=wish)

    def ask(self, params: ScoreParams, card: ModelCard, weights: Path | None) -> bool:
        """Ask the tiles that were looked at; False if others would have to be looked at first.

        While tiles are being looked at, those seen so far answer, then the others.
        """
        if self.search.again(params, card, weights):
            return True
        search = self._search
        if self.work is None or search is None or not search.serves(params, card, weights):
            return False
        self.search.ask(self.work.seen, params, search.job)
        return True

    def choose(self, text: str) -> None:
        """Show this text's map, regions and marks."""
        if self.layers is None or self.layers.heat(text) is None:
            return
        self.text = text
        self.layers.choose(text)
        if self.work is not None and text in self.work.texts:
            self._show_text()

    # -- marks and threshold -----------------------------------------------------------------

    def mark_at(self, row: float, col: float, yes: bool) -> None:
        """Mark the tile at a level-0 position; the same answer again takes the mark away."""
        tile = None if self.work is None else self.work.scores.index_at(row, col)
        if tile is None or self.work is None:
            self.batch.status.emit("No tile was scored there: mark tiles that have a colour.")
            return
        same = self.work.marks(self.text).get(tile) == yes
        if self._guarded(partial(self.work.mark, self.text, tile, None if same else yes)):
            said = "unmarked" if same else f"marked {'yes' if yes else 'no'}"
            back = partial(self._walk_marks, lambda work: work.book.undo())
            again = partial(self._walk_marks, lambda work: work.book.redo())
            self._session.steps.push(f"a tile {said} for {self.text}", back, again, self)
            self.batch.status.emit(f"A tile {said} for {self.text}.")
            self._on_marks([self.text])

    def undo(self) -> None:
        """Take back what was done last, in whatever dock."""
        self._session.steps.undo()

    def redo(self) -> None:
        """Do again what was taken back last."""
        self._session.steps.redo()

    def set_threshold(self, value: float | None) -> None:
        """Cut regions at a value; None goes back to what text and marks say."""
        if self.work is not None and self.text:
            work = self.work
            if self._guarded(partial(work.set_threshold, self.text, value)):
                self._show_regions()

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
        if self.work is not None and self._annotator is not None:
            box = self.work.scores.box(tile)
            fly_to(self._annotator.viewer, self._annotator.image, box)

    # -- what came of it ---------------------------------------------------------------------

    def _on_grown(self, scores: ScoreMap) -> None:
        """Show the map of the tiles seen so far; marks and regions wait for the end."""
        assert self.layers is not None  # letting it go ends the search
        self._settle(scores)
        self.layers.show_maps(scores, self.text)
        self.growing.emit(scores)

    def _on_found(self, found: SearchResult) -> None:
        assert self._annotator is not None  # letting it go ends the search
        scores, job = found.scores, found.search.job
        try:
            book = self.work.book if self.work else MarkBook(book_path(self._annotator.slide.key))
        except HistopromptError as error:
            self.failed.emit(str(error))
            return
        typed = self._typed(found.search.params, job.card, job.weights)
        self._search = found.search
        self.work = ScoreSession(found.seen, scores, book, typed)
        self._on_answer()
        count = (
            f"{len(scores):,} tile{'s' if len(scores) != 1 else ''} scored with {job.card.title}"
        )
        rest = "Glass and pen are left out." if found.whole else "Stopped: Find goes on from there."
        self.batch.status.emit(f"{count}. {rest}")

    def _on_asked(self, seen: SeenTiles, found: ScoreMap) -> None:
        if self.work is not None and seen is self.work.seen:
            self.work.answer(found)
            self._on_answer()

    def _on_chained(self, found: RegionCountResult, scores: ScoreMap) -> None:
        assert self._search is not None  # found before it was counted in
        self.cells.take(found, scores, scores.texts, self._search.job.card.title)
        self.changed.emit()

    def _on_ended(self) -> None:
        """Maps as they were before a search that found nothing."""
        if self.layers is not None and self.work is not None:
            self._settle(self.work.scores)
            self.layers.show_maps(self.work.scores, self.text)
        elif self.layers is not None:
            self.layers.clear()

    def _on_refused(self, text: str) -> None:
        self._on_ended()
        self.refused.emit(text)

    def _on_answer(self) -> None:
        assert self.work is not None
        assert self.layers is not None
        self._settle(self.work.scores)
        self.layers.show_maps(self.work.scores, self.text)
        self.answered.emit()
        self._on_marks(self.work.texts)

    def _settle(self, scores: ScoreMap) -> None:
        """Choose the newest text; the present one if it is there still and none is new."""
        assert self.layers is not None
        new = [text for text in scores.texts if self.layers.heat(text) is None]
        if new or self.text not in scores.texts:
            self.text = (new or scores.texts)[-1]

    def _on_marks(self, texts: tuple[str, ...] | list[str]) -> None:
        """Show marks at once, and calibrate to them beside the GUI."""
        assert self.work is not None
        self._on_fitted(self.work, self._fitting.fit(self.work, texts))

    def _on_fitted(self, work: ScoreSession, texts: list[str]) -> None:
        if work is self.work and self.layers is not None:
            if texts:
                self.layers.show_maps(work.scores, self.text)
            self._show_text()

    def _on_scale(self, _: object) -> None:
        """Another pixel size: tiles are other tiles now."""
        self.bind()

    def _show_text(self) -> None:
        """Everything of the chosen text but its map."""
        assert self.work is not None
        assert self.layers is not None
        assert self._annotator is not None
        self.layers.show_marks(self.work.scores, self.work.marks(self.text))
        self._show_regions()
        self.best.ask(self._annotator.slide, self.work.scores, self.text)

    def _show_regions(self) -> None:
        assert self.work is not None
        assert self.layers is not None
        self.region_count = self.layers.show_regions(self.work.scores, self.text)
        self.changed.emit()

    # -- inner -------------------------------------------------------------------------------

    def _current(self) -> Current | None:
        """What regions are cut from now; says so if there is nothing."""
        if self.work is None or self._search is None:
            self.failed.emit(_NOTHING)
            return None
        return Current(self.work, self.text, self._search.job)

    def _typed(self, *look: Any) -> dict[str, float]:
        """Thresholds a person set, which hold while the model sees tiles the same way."""
        if self.work is None or self._search is None:
            return {}
        return self.work.typed if self._search.serves(*look) else {}

    def _counts(self) -> RegionCounts | None:
        """The cells counted in the regions there are now."""
        return None if self.work is None or self.cells.outdated(self.work) else self.cells.counts

    def _walk_marks(self, step: Callable[[ScoreSession], bool]) -> bool:
        work = self.work
        if work is None or not step(work):
            return False
        for text in work.texts:
            work.refresh(text)
        self._on_marks(work.texts)
        return True

    def _guarded(self, edit: Callable[[], object]) -> bool:
        """Do something that may be refused; whether it was done."""
        try:
            edit()
        except HistopromptError as error:
            self.failed.emit(str(error))
            return False
        return True
