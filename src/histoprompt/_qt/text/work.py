"""A slide that words are asked of, and what came of it: neither has parts that may be missing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from histoprompt._qt.layers.camera import fly_to
from histoprompt._qt.prompts.annotator import Annotator
from histoprompt._qt.text.layers import ScoreLayers
from histoprompt._qt.text.shown import ShownResults
from histoprompt.models.card import ModelCard
from histoprompt.pipelines.text.session import ScoreSession
from histoprompt.pipelines.text.text_embedding import ScoreParams
from histoprompt.pipelines.text.tile_labels import TileLabels, tile_labels_path

if TYPE_CHECKING:
    from histoprompt._qt.text.search import Search, SearchResult


class TextView:
    """The slide that is searched, and what is shown on it.

    Parameters
    ----------
    annotator : Annotator
        Of the slide.
    layers : ScoreLayers
        On its image.

    Attributes
    ----------
    shown : ShownResults
        What the layers show.
    region_count : int
        How many regions the text has.
    """

    def __init__(self, annotator: Annotator, layers: ScoreLayers) -> None:
        self.annotator, self.layers = annotator, layers
        self.shown, self.region_count = ShownResults(), 0

    def show(self, after: ShownResults, anew: bool = False) -> None:
        """Draw what is not drawn yet; with `anew` a map that was hidden comes into sight too."""
        before, self.shown = self.shown, after
        scores, text = after.scores, after.text
        if scores is None:
            self.layers.clear()
            self.region_count = 0
            return
        if anew or not after.same_map(before) or self.layers.heat(text) is None:
            self.layers.show_maps(scores, text)
        else:
            self.layers.keep(scores)
        if after.settled and not after.same_regions(before):
            self.layers.show_marks(scores, after.marks)
            self.region_count = self.layers.show_regions(scores, text)


@dataclass(frozen=True, eq=False)
class TextWork:
    """What a search found: built when it has found something.

    Attributes
    ----------
    view : TextView
    search : Search
        What was looked for.
    session : ScoreSession
        Scores, marks and thresholds.
    """

    view: TextView
    search: Search
    session: ScoreSession

    @classmethod
    def of(cls, found: SearchResult, before: TextWork | None) -> TextWork:
        """The work on what a search found, with the marks and thresholds of the work before.

        Raises
        ------
        HistopromptError
            If the marks of the slide cannot be read.
        """
        search, job = found.search, found.search.job
        slide = search.view.annotator.slide
        book = TileLabels(tile_labels_path(slide.key)) if before is None else before.session.book
        manual = {} if before is None else before.manual(search.params, job.card, job.weights)
        return cls(search.view, search, ScoreSession(found.seen, found.scores, book, manual))

    def fly_to(self, tile: int) -> None:
        """Bring a tile to the middle of the canvas."""
        annotator = self.view.annotator
        fly_to(annotator.viewer, annotator.image, self.session.scores.box(tile))

    def manual(
        self, params: ScoreParams, card: ModelCard, weights: Path | None
    ) -> dict[str, float]:
        """Thresholds a person set, which hold while the model sees tiles the same way."""
        return self.session.manual if self.search.serves(params, card, weights) else {}
