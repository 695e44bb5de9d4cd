"""Between the count and the committed objects of its slide: cells go there, objects come back."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from psygnal import Signal

from histoprompt._qt.count.controller import Counting
from histoprompt._qt.layers.shape_regions import chosen_regions
from histoprompt._qt.prompts.annotating import Annotating
from histoprompt._qt.prompts.annotator import Annotator
from histoprompt._qt.shell.session import Session
from histoprompt.annotations.history import Change
from histoprompt.core.errors import HistopromptError
from histoprompt.core.text.wording import many
from histoprompt.models.card import ModelCard
from histoprompt.pipelines.count.bridge import cells_of, from_labels, to_labels
from histoprompt.pipelines.count.region import count_region


class CellExchange:
    """Sends cells to the committed objects and takes objects as cells; each is one step of undo.

    Attributes
    ----------
    status : Signal(str)
    """

    status = Signal(str)

    def __init__(self, session: Session) -> None:
        self._session = session
        self._counting, self._annotating = session.part(Counting), session.part(Annotating)

    def weights_of(self, card: ModelCard) -> Path | None:
        """The person's own weights for a model that outlines, as they are in use for prompts."""
        annotator = self._annotating.annotator
        segmenting = None if annotator is None else annotator.segmenting
        return segmenting.weights if segmenting is not None and segmenting.card == card else None

    def send(self, class_name: str) -> None:
        """Commit the cells of a class, of all if empty; those in the selected shapes, if any."""
        annotator, counting = self._annotator(), self._counting
        work, cells = counting.work, counting.cells
        if annotator is None or work is None or cells is None:
            return
        try:
            regions = chosen_regions(self._session.viewer, annotator.image)
            inside = None
            if regions:
                inside = count_region(work.slide, regions=regions, tissue=work.ground.tissue)
            wanted = cells_of(cells, class_name, inside)
        except HistopromptError as error:
            self.status.emit(str(error))
            return
        if not len(wanted):
            self.status.emit("There is no such cell to send.")
            return
        self._session.jobs.submit(
            to_labels,
            work,
            wanted,
            annotator.store,
            lane="batch",
            key="count",
            title="Sending cells to the committed objects",
            on_done=partial(self._on_sent, annotator, len(wanted)),
            on_error=self.status.emit,
            on_progress=counting.progress.emit,
        )
        self.status.emit(f"Sending {many(len(wanted), 'cell')} to the committed objects ...")

    def take(self) -> None:
        """Committed objects become cells, where none lies yet."""
        annotator = self._annotator()
        if annotator is not None:
            store = annotator.store
            self._counting.correcting.do(
                lambda work, task: from_labels(work, store, task), "from committed objects"
            )

    def _on_sent(self, annotator: Annotator, asked: int, found: tuple[int, Change | None]) -> None:
        count, change = found
        if annotator is not self._annotating.annotator:
            return  # its objects are on disk
        left = asked - count
        annotator.committed.show_change(change, f"Sent {many(count, 'cell')} to committed objects")
        told = f" {many(left, 'cell')} lie under objects that are there." if left else ""
        self.status.emit(f"Sent {many(count, 'cell')} to the committed objects.{told}")

    def _annotator(self) -> Annotator | None:
        """Who keeps the committed objects of the slide that was counted."""
        work, annotating = self._counting.work, self._annotating
        if work is None:
            self.status.emit("Count some cells first.")
            return None
        if annotating.annotator is None:
            annotating.start()
        annotator = annotating.annotator
        if annotator is None or annotator.slide.key != work.slide.key:
            told = "The committed objects of this slide cannot be opened now."
            self.status.emit(annotating.reason or told)
            return None
        return annotator
