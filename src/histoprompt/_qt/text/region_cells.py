"""The cells in scored regions: counted, named by words, and handed to the Count dock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from psygnal import Signal

from histoprompt._qt.count.controller import Counting
from histoprompt._qt.prompts.annotator import Annotator
from histoprompt._qt.shell.batch import BatchWork
from histoprompt._qt.text.layers import ScoreLayers
from histoprompt._qt.text.region_actions import Current
from histoprompt.core.cell_table import UNSURE, CellTable
from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.strings.wording import many
from histoprompt.models import registry
from histoprompt.pipelines.classes.named_cells import named_among
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.count.kept import KeptCount
from histoprompt.pipelines.regions.cell_texts import CellTexts
from histoprompt.pipelines.regions.count import RegionCountResult, RegionCounts
from histoprompt.pipelines.regions.steps import RegionCountParams, count_in, tell_apart
from histoprompt.pipelines.text.session import ScoreSession

_REVIEW = "Correct them with Review cells: classes are learnt from that."


@dataclass(frozen=True)
class CellsRequest:
    """What finds cells, and the texts that tell them apart; no text for cells of one kind."""

    choice: CountChoice
    texts: CellTexts = field(default_factory=CellTexts)


class RegionCells:
    """Cells in the regions of one annotated slide; their count is that of the Count dock.

    Parameters
    ----------
    batch : BatchWork
    current : callable
        What regions are cut from now; None, and the person was told, if there is nothing.
    counting : Counting
        Takes the count; one of its own is used where it covers the regions.

    Attributes
    ----------
    counts : RegionCounts or None
        Cells in regions, once they were counted.
    cuts : dict of str to float
        The thresholds of the texts whose regions were counted in.
    counted : Signal
        `counts` changed.
    """

    counted = Signal()

    def __init__(
        self, batch: BatchWork, current: Callable[[], Current | None], counting: Counting
    ) -> None:
        self._batch, self._current, self._counting = batch, current, counting
        counting.classes.classified.connect(self._on_classified)
        self.bind(None, None)

    def bind(self, annotator: Annotator | None, layers: ScoreLayers | None) -> None:
        """Serve another slide."""
        self._annotator, self._layers = annotator, layers
        self._source: KeptCount | None = None
        self.counts: RegionCounts | None = None
        self.cuts: dict[str, float] = {}
        self._marks: dict[str, dict[int, bool]] = {}
        self.counted.emit()

    def wish(
        self, wanted: CellsRequest, templates: str, thresholds: Mapping[str, float]
    ) -> RegionCountParams:
        """What is asked of the chain from words to counts, beside the count there is."""
        texts = replace(wanted.texts, templates=templates)
        return RegionCountParams(wanted.choice, texts, thresholds, self._counting.work)

    def count(self, choice: CountChoice) -> None:
        """Take the cells in the regions of the text from the count there is, or count them."""
        now, annotator = self._current(), self._annotator
        if now is None or annotator is None:
            return
        wish = RegionCountParams(choice, counted=self._counting.work)
        self._batch.run(
            partial(count_in, wish, job=now.job),
            annotator.slide,
            now.work.scores,
            now.text,
            title="Counting cells",
            done=partial(self._on_counted, now),
            stopped=partial(self._on_counted, now),
        )

    def tell_apart(self, texts: CellTexts) -> None:
        """Give the counted cells the text that fits each best."""
        now, annotator, source = self._current(), self._annotator, self._source
        if now is None or annotator is None or self.counts is None or source is None:
            return
        given = (annotator.slide, self.counts, texts, now.job)
        done = partial(self._on_named, source, now.job.card.title)
        self._batch.run(tell_apart, *given, title="Naming cells", done=done)

    def take(
        self, found: RegionCountResult, scores: ScoreMap, texts: Sequence[str], scorer: str
    ) -> None:
        """Show what the chain came to, and let the Count dock work on it.

        Parameters
        ----------
        found : RegionCountResult
        scores : ScoreMap
            What regions were cut from.
        texts : sequence of str
            Those whose regions they are.
        scorer : str
            Title of the model that told cells apart.
        """
        if not found.work.is_of(self._counting.work):
            self._counting.show(found.work)
        self._source, self.counts = found.work, found.counts
        self.cuts = {text: scores.thresholds[text].value for text in texts}
        self._marks = {text: dict(scores.marks.get(text, {})) for text in texts}
        if found.named:
            self._name(found.work, found.counts, scorer)
        else:
            self._on_classified()
        self._batch.status.emit(self._summary(found))

    def outlined(self) -> None:
        """The layer of the Count dock shows the cells: once is enough."""
        if self._layers is not None:
            self._layers.hide_cells()

    def uncover(self) -> None:
        """Clear the view for a look at the cells."""
        if self._layers is not None:
            self._layers.hide_maps()

    def outdated(self, work: ScoreSession) -> list[str]:
        """Texts whose regions were counted in and have other thresholds or marks now, or none."""
        now = {text: cut.value for text, cut in work.scores.thresholds.items()}
        return [
            text
            for text, cut in self.cuts.items()
            if not np.isclose(now.get(text, np.nan), cut)
            or dict(work.scores.marks.get(text, {})) != self._marks[text]
        ]

    # -- what came of it ---------------------------------------------------------------------

    def _on_counted(self, now: Current, found: tuple[RegionCountResult, ScoreMap]) -> None:
        chained, scores = found
        self.take(chained, scores, (now.text,), now.job.card.title)

    def _on_named(self, source: KeptCount, scorer: str, counts: RegionCounts) -> None:
        if not source.is_of(self._counting.work):
            self._counting.show(source)
        self._name(source, counts, scorer)
        self._batch.status.emit(f"{_named(counts)} {_REVIEW}")

    def _name(self, work: KeptCount, counts: RegionCounts, scorer: str) -> None:
        """Words are the classes of the count from now on; what is shown follows it."""
        now = self._counting.work
        cells = now.cells if now is not None and work.is_of(now) else work.cells
        named = counts.cells[np.isin(counts.cells.id, cells.id)]
        self._counting.classes.name(named_among(cells, named), f"words, {scorer}")

    def _on_classified(self) -> None:
        """Cells of the count have other classes: so have those in the regions."""
        if self.counts is None or self._source is None:
            return
        if not self._source.is_of(self._counting.work):
            return
        cells = self._counting.cells
        if cells is not None:
            self.counts = _with_classes(self.counts, cells)
        if self._layers is not None:
            self._layers.show_cells(self.counts.cells)
        self.counted.emit()

    def _summary(self, found: RegionCountResult) -> str:
        counts, work = found.counts, found.work
        finder = registry.card(work.job.settings["segmenter"]).short_title
        where = "" if work.ground.regions else " in the count there was"
        text = (
            f"{many(len(counts.cells), 'cell')} in {many(len(counts.names), 'region')}, found by "
            f"{finder}{where}."
        )
        if not work.complete:
            done = f"{len(work.progress.done)} of {many(work.progress.total, 'tile')}"
            return f"Stopped after {done}: {text} Press the same button to go on."
        return f"{text} {_named(counts)} {_REVIEW}" if found.named else text


def _named(counts: RegionCounts) -> str:
    unsure = counts.cells.counts().get(UNSURE, 0)
    return f"{many(len(counts.cells), 'cell')} named by words, {unsure:,} of them unsure."


def _with_classes(counts: RegionCounts, cells: CellTable) -> RegionCounts:
    """Cells in regions with the classes that all cells of their count have now.

    Those that were corrected away since are in no region any more.
    """
    here = np.isin(counts.cells.id, cells.id)
    kept = replace(counts, cells=counts.cells[here], inside=counts.inside[here])
    return kept.with_classes(cells[np.searchsorted(cells.id, kept.cells.id)])
