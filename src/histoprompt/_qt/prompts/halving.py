"""Splitting an object by a click in each of its halves."""

from __future__ import annotations

from functools import partial

from psygnal import Signal

from histoprompt._qt.prompts.committed import CommittedObjects
from histoprompt._qt.prompts.in_hand import InHand
from histoprompt._qt.shell.jobs import Job
from histoprompt._qt.shell.messages import told
from histoprompt.core.errors import HistopromptError
from histoprompt.core.strings.wording import many
from histoprompt.pipelines.objects.halves import (
    Click,
    object_under,
    prompts_of_halves,
    split_halves,
)
from histoprompt.pipelines.prompts.segment import ObjectMasks


class Halving:
    """Takes two clicks, asks the model in use for both halves, and splits.

    Parameters
    ----------
    committed : CommittedObjects
    hand : InHand
        Tells the slide, and whom to ask.

    Attributes
    ----------
    said : Signal(str)
        What to do next.
    failed : Signal(str)
        Why nothing was split.
    """

    said = Signal(str)
    failed = Signal(str)

    def __init__(self, committed: CommittedObjects, hand: InHand) -> None:
        self._committed, self._hand = committed, hand
        self._first: tuple[int, Click] | None = None
        self._job: Job | None = None
        self._closed = False

    @property
    def active(self) -> bool:
        """Whether a model is asked."""
        return self._job is not None and self._job.active

    def click(self, row: float, col: float) -> None:
        """Take a click at a level-0 position: the first picks an object, the second splits it."""
        try:
            found = object_under(self._committed.store, (row, col))
        except HistopromptError as error:
            self.failed.emit(told(error))
            return
        first, self._first = self._first, None
        if not found:
            self.said.emit("There is no committed object at that place.")
        elif first is None or first[0] != found:
            self._first = found, (row, col)
            self.said.emit(f"Object {found} picked: click in its other half, and it is split.")
        else:
            self._ask(found, (first[1], (row, col)))

    def forget(self) -> None:
        """Start with a first click again."""
        self._first = None

    def cancel(self) -> None:
        """Ask no model any more."""
        if self._job is not None:
            self._job.cancel()

    def close(self) -> None:
        """Split nothing any more."""
        self._closed = True

    def _ask(self, object_id: int, clicks: tuple[Click, Click]) -> None:
        segmenting = self._hand.segmenting
        objects = prompts_of_halves(clicks, segmenting.card)
        split = partial(self._split, object_id, clicks)
        self._job = None
        if objects:
            self.said.emit(f"Looking for the halves of object {object_id} ...")
            self._job = segmenting.ask_apart(
                self._hand.slide, objects, split, partial(self._on_error, split), self._on_cancel
            )
        if self._job is None:
            split([])

    def _on_error(self, split: partial[None], text: str) -> None:
        """The job has shown why no model answered: the object is split without one."""
        split([])

    def _on_cancel(self) -> None:
        if not self._closed:
            self.said.emit("Cancelled: nothing was split.")

    def _split(self, object_id: int, clicks: tuple[Click, Click], found: list[ObjectMasks]) -> None:
        if self._closed:
            return
        card, masks = self._hand.segmenting.card, [item.masks[0] for item in found]
        info = {"model": card.id if card is not None and masks else "by hand", "prompts": ["point"]}
        try:
            ids, change, used = split_halves(self._committed.store, object_id, clicks, masks, info)
        except HistopromptError as error:
            self.failed.emit(told(error))
            return
        where = "" if used else ", where it is narrowest between the clicks"
        text = f"Split object {ids[0]} into {many(len(ids), 'object')}{where}"
        self._committed.show_change(change, text)
