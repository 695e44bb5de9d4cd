"""Between the count and the committed objects of its slide: cells go there, objects come back."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from psygnal import Signal

from histoprompt._qt.count.controller import Counting
from histoprompt._qt.layers.shape_regions import chosen_regions
from histoprompt._qt.shell.docks import open_dock
from histoprompt._qt.shell.messages import told
from histoprompt._qt.shell.session import Session
from histoprompt.annotations.history import Change
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import HistopromptError
from histoprompt.core.strings.wording import many
from histoprompt.models.card import ModelCard
from histoprompt.pipelines.count.bridge import cells_of, from_labels, to_labels
from histoprompt.pipelines.count.region import CountRegion, count_region


class CellExchange:
    """Sends cells to the committed objects and takes objects as cells; each is one step of undo.

    Attributes
    ----------
    status : Signal(str)
    """

    status = Signal(str)

    def __init__(self, session: Session) -> None:
        self._session, self._counting = session, session.part(Counting)

    def weights_of(self, card: ModelCard) -> Path | None:
        """The person's own weights for a model that outlines, as they are in use for prompts."""
        keeper = self._session.labels
        return None if keeper is None else keeper.weights_for(card)

    def send(self, class_name: str) -> None:
        """Commit the cells of a class, of all if empty; those in the selected shapes, if any."""
        store, counting = self._store(), self._counting
        work, cells = counting.work, counting.cells
        if store is None or work is None or cells is None:
            return
        try:
            wanted = cells_of(cells, class_name, self._inside())
        except HistopromptError as error:
            self.status.emit(told(error))
            return
        if not len(wanted):
            self.status.emit("There is no such cell to send.")
            return
        self._session.jobs.submit(
            to_labels,
            work,
            wanted,
            store,
            lane="batch",
            key="count",
            title="Sending cells to the committed objects",
            edits=True,
            on_done=partial(self._on_sent, store, len(wanted)),
            on_error=self.status.emit,
            on_progress=counting.progress.emit,
        )
        self.status.emit(f"Sending {many(len(wanted), 'cell')} to the committed objects ...")

    def take(self) -> None:
        """Committed objects become cells, where none lies yet."""
        store = self._store()
        if store is not None:
            self._counting.correcting.do(
                lambda work, task: from_labels(work, store, task), "from committed objects"
            )

    def _on_sent(self, store: LabelStore, asked: int, found: tuple[int, Change | None]) -> None:
        count, change = found
        keeper = self._session.labels
        if keeper is not None:
            keeper.show_edit(store, change, f"Sent {many(count, 'cell')} to committed objects")
        left = asked - count
        told = f" {many(left, 'cell')} lie under objects that are there." if left else ""
        self.status.emit(f"Sent {many(count, 'cell')} to the committed objects.{told}")

    def _store(self) -> LabelStore | None:
        """The committed objects of the slide that was counted."""
        if self._counting.work is None:
            self.status.emit("Count some cells first.")
            return None
        if self._session.labels is None:
            # it keeps the objects; the count stays in front
            open_dock(self._session.viewer, "Prompt")
            open_dock(self._session.viewer, "Count")
        keeper = self._session.labels
        if keeper is not None and keeper.store is None:
            keeper.start()
        if keeper is None or keeper.store is None:
            told = "The committed objects of this slide cannot be opened now."
            self.status.emit(keeper.reason or told if keeper is not None else told)
            return None
        return keeper.store

    def _inside(self) -> CountRegion | None:
        """Where the selected shapes lie; None without any."""
        work, image = self._counting.work, self._session.slide.image
        if work is None or image is None:
            return None
        regions = chosen_regions(self._session.viewer, image)
        if not regions:
            return None
        return count_region(work.slide, regions=regions, tissue=work.ground.tissue)
