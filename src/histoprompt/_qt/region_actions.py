"""What is done with scored regions: kept as objects, written to files, cells counted in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Current:
    """Whose regions are meant: the text of some work, and what it was scored with."""

    work: ScoreSession
    text: str
    job: ScoreJob


class RegionActions:
    """The regions of the chosen text on one annotated slide, handed on.

    Parameters
    ----------
    batch : BatchWork
    current : callable
        What regions are cut from now; None, and the person was told, if there is nothing.

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

    def __init__(self, batch: BatchWork, current: Callable[[], Current | None]) -> None:
        self._batch, self._current = batch, current
        self._annotator: Annotator | None = None
        self._layers: ScoreLayers | None = None
        self.counts: RegionCounts | None = None

    def bind(self, annotator: Annotator | None, layers: ScoreLayers | None) -> None:
        """Serve another slide."""
        self._annotator, self._layers, self.counts = annotator, layers, None
        self.counted.emit()

    def commit(self) -> None:
        """Keep the regions of the text as objects of the label store."""
        now, annotator = self._current(), self._annotator
        if now is not None and annotator is not None:
            given = (annotator.store, now.work.scores, now.text)
            done = partial(self._on_kept, annotator, now.text)
            self._batch.run(keep, *given, title="Committing regions", done=done)

    def export(self, folder: Path) -> None:
        """Write maps, tiles, regions and counts into a folder."""
        now = self._current()
        if now is not None:
            given = (folder, now.work.scores, now.work.seen, self.counts)
            done = self._batch.status.emit
            self._batch.run(write_all, *given, title="Writing maps and regions", done=done)

    def count(self, card: ModelCard) -> None:
        """Count the cells in the regions of the text."""
        now, annotator = self._current(), self._annotator
        if now is not None and annotator is not None:
            given = (annotator.slide, now.work.scores, now.text)
            call = partial(count_in, card=card, job=now.job)
            self._batch.run(call, *given, title="Counting cells", done=self._on_counted)

    def tell_apart(self, texts: tuple[str, ...]) -> None:
        """Give the counted cells the word that fits each best."""
        now, annotator = self._current(), self._annotator
        if now is not None and annotator is not None and self.counts is not None:
            given = (annotator.slide, self.counts, CellTexts(texts), now.job)
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
