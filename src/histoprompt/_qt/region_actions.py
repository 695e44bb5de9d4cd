"""What is done with scored regions: kept as objects, written to files, cells counted in them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from psygnal import Signal

from histoprompt._qt.annotator import Annotator
from histoprompt._qt.batch_work import BatchWork
from histoprompt._qt.score_layers import ScoreLayers
from histoprompt.annotations.history import Change
from histoprompt.models.card import ModelCard
from histoprompt.pipelines.region_steps import count_in, keep, tell_apart, write_all
from histoprompt.pipelines.score_cells import CellTexts
from histoprompt.pipelines.score_chain import RegionCounts
from histoprompt.pipelines.score_session import ScoreSession
from histoprompt.pipelines.score_tiles import ScoreJob


class RegionActions:
    """The regions of one text on one annotated slide, handed on.

    Attributes
    ----------
    counts : RegionCounts or None
        Cells in the regions of a text, once they were counted.
    counted : Signal
        `counts` changed.
    kept : Signal
        Regions were committed.
    """

    counted, kept = Signal(), Signal()

    def __init__(self, batch: BatchWork) -> None:
        self._batch = batch
        self._annotator: Annotator | None = None
        self._layers: ScoreLayers | None = None
        self.counts: RegionCounts | None = None

    def bind(self, annotator: Annotator | None, layers: ScoreLayers | None) -> None:
        """Serve another slide."""
        self._annotator, self._layers, self.counts = annotator, layers, None
        self.counted.emit()

    def commit(self, work: ScoreSession, text: str) -> None:
        """Keep the regions of a text as objects of the label store."""
        if self._annotator is not None:
            done = partial(self._on_kept, self._annotator, text)
            store = self._annotator.store
            self._batch.run(keep, store, work.scores, text, title="Committing regions", done=done)

    def export(self, work: ScoreSession, folder: Path) -> None:
        """Write maps, tiles, regions and counts into a folder."""
        say = self._batch.status.emit
        given = (folder, work.scored(), self.counts)
        self._batch.run(write_all, *given, title="Writing maps and regions", done=say)

    def count(self, work: ScoreSession, text: str, card: ModelCard, job: ScoreJob) -> None:
        """Count the cells in the regions of a text."""
        if self._annotator is not None:
            given = (self._annotator.slide, work.scores, text, card, job)
            self._batch.run(count_in, *given, title="Counting cells", done=self._on_counted)

    def tell_apart(self, texts: tuple[str, ...], job: ScoreJob) -> None:
        """Give the counted cells the word that fits each best."""
        if self._annotator is not None and self.counts is not None:
            given = (self._annotator.slide, self.counts, CellTexts(texts), job)
            self._batch.run(tell_apart, *given, title="Naming cells", done=self._on_counted)

    def _on_kept(
        self, annotator: Annotator, text: str, found: tuple[list[int], Change | None]
    ) -> None:
        ids, change = found
        count = f"{len(ids)} region{'s' if len(ids) != 1 else ''}"
        annotator.committed.show_change(change, f"Committed {count}")
        self._batch.status.emit(f"{count} committed as objects of the class {text!r}, saved.")
        self.kept.emit()

    def _on_counted(self, counts: RegionCounts) -> None:
        self.counts = counts
        if self._layers is not None:
            self._layers.show_cells(counts.cells)
        regions = len(counts.names)
        self._batch.status.emit(
            f"{len(counts.cells)} cells in {regions} region{'s' if regions != 1 else ''}."
        )
        self.counted.emit()
