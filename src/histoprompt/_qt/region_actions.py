"""What is done with scored regions: kept as objects, written to files, cells counted in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from psygnal import Signal

from histoprompt._qt.annotator import Annotator
from histoprompt._qt.batch_work import BatchWork
from histoprompt._qt.counting import Counting
from histoprompt._qt.score_layers import ScoreLayers
from histoprompt.annotations.history import Change
from histoprompt.core.cell_table import UNSURE, CellTable
from histoprompt.models.card import ModelCard
from histoprompt.pipelines.count_work import Work
from histoprompt.pipelines.named_cells import named_among
from histoprompt.pipelines.region_steps import count_in, keep, tell_apart, write_all
from histoprompt.pipelines.score_cells import CellTexts
from histoprompt.pipelines.score_chain import RegionCounts
from histoprompt.pipelines.score_session import ScoreSession
from histoprompt.pipelines.score_tiles import ScoreJob

_THERE = "of the count in the Count dock."
_ANEW = "counted anew: no finished count of the Count dock covers them."


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
    counting : Counting
        Whose finished count of the slide is used where there is one.

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

    def __init__(
        self, batch: BatchWork, current: Callable[[], Current | None], counting: Counting
    ) -> None:
        self._batch, self._current, self._counting = batch, current, counting
        self._source: Work | None = None
        counting.classes.classified.connect(self._on_classified)
        self._annotator: Annotator | None = None
        self._layers: ScoreLayers | None = None
        self.counts: RegionCounts | None = None

    def bind(self, annotator: Annotator | None, layers: ScoreLayers | None) -> None:
        """Serve another slide."""
        self._annotator, self._layers, self.counts = annotator, layers, None
        self._source = None
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
        """Take the cells in the regions of the text from the count there is, or count them."""
        now, annotator = self._current(), self._annotator
        if now is not None and annotator is not None:
            given = (annotator.slide, now.work.scores, now.text, self._counting.work)
            call = partial(count_in, card=card, job=now.job)
            self._batch.run(call, *given, title="Counting cells", done=self._on_found)

    def tell_apart(self, texts: tuple[str, ...]) -> None:
        """Give the counted cells the word that fits each best."""
        now, annotator = self._current(), self._annotator
        if now is not None and annotator is not None and self.counts is not None:
            given = (annotator.slide, self.counts, CellTexts(texts), now.job)
            done = partial(self._on_named, self._source, now.job.card.title)
            self._batch.run(tell_apart, *given, title="Naming cells", done=done)

    def _on_kept(
        self, annotator: Annotator, text: str, found: tuple[list[int], Change | None]
    ) -> None:
        ids, change = found
        count = _many(len(ids), "region")
        annotator.committed.show_change(change, f"Committed {count}")
        self._batch.status.emit(f"{count} committed as objects of the class {text!r}, saved.")
        self.kept.emit()

    def _on_found(self, found: tuple[RegionCounts, Work | None]) -> None:
        counts, self._source = found
        if self._source is not None and self._source is self._counting.work:
            counts = _with_classes(counts, self._counting.cells)
        self._show(counts)
        where = f"{len(counts.cells)} cells in {_many(len(counts.names), 'region')}"
        self._batch.status.emit(f"{where}, {_ANEW if self._source is None else _THERE}")

    def _on_named(self, source: Work | None, model: str, counts: RegionCounts) -> None:
        """Show the words; those of a count of the Count dock are its classes from now on."""
        unsure = counts.cells.counts().get(UNSURE, 0)
        said = f"{len(counts.cells)} cells named, {unsure} of them unsure."
        if source is not None and source is self._counting.work:
            self._counting.classes.name(named_among(source.cells, counts.cells), f"words, {model}")
            said = f"{said} Correct them in the Count dock: classes are learnt from that."
        else:
            self._show(counts)
        self._batch.status.emit(said)

    def _on_classified(self) -> None:
        """Cells of the Count dock have other classes: so have those in the regions."""
        ours = self.counts is not None and self._source is not None
        if ours and self.counts is not None and self._source is self._counting.work:
            self._show(_with_classes(self.counts, self._counting.cells))

    def _show(self, counts: RegionCounts) -> None:
        self.counts = counts
        if self._layers is not None:
            self._layers.show_cells(counts.cells)
        self.counted.emit()


def _with_classes(counts: RegionCounts, cells: CellTable | None) -> RegionCounts:
    """Cells in regions with the classes that all cells of their count have now."""
    if cells is None:
        return counts
    return counts.with_classes(cells[counts.cells.id - 1])


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"
