"""Taking a committed object up again, so that more prompts change it."""

from __future__ import annotations

from functools import partial

from psygnal import Signal

from histoprompt._qt.layers import work_area
from histoprompt._qt.prompts.commits import Commits
from histoprompt._qt.prompts.committed import CommittedObjects
from histoprompt._qt.prompts.hand import Hand, Refined
from histoprompt._qt.prompts.in_hand import InHand, Push
from histoprompt._qt.prompts.preview import ShownMask
from histoprompt._qt.prompts.prompt_layers import Snapshot
from histoprompt._qt.shell.messages import told
from histoprompt._qt.shell.shortcuts import spelled
from histoprompt.core.errors import HistopromptError
from histoprompt.core.geometry import Box, Frame
from histoprompt.pipelines.objects.correct import mask_of
from histoprompt.pipelines.objects.refine import note_of, standing_for


class Retaking:
    """Takes the mask of an object and the prompts that stand for it into the hand.

    Parameters
    ----------
    hand : InHand
    committed : CommittedObjects
    commits : Commits
        Remember the prompts that objects were made of.
    push : callable
        As for `InHand`.

    Attributes
    ----------
    taken : Signal(str)
        An object is in hand; what to do with it.
    failed : Signal(str)
        Why none is.
    """

    taken = Signal(str)
    failed = Signal(str)

    def __init__(
        self, hand: InHand, committed: CommittedObjects, commits: Commits, push: Push
    ) -> None:
        self._hand, self._committed = hand, committed
        self._commits, self._push = commits, push

    def take(self, object_id: int) -> None:
        """Take an object up; not while another one is in hand."""
        hand, store = self._hand, self._committed.store
        if not hand.now.empty:
            self.failed.emit(
                spelled("There is an object in hand: commit it ({commit}) or clear it ({clear}), ")
                + f"then take up object {object_id}."
            )
            return
        if store.read_only:
            self.failed.emit("These labels can only be looked at: another window edits them.")
            return
        try:
            mask = mask_of(store, object_id)
        except HistopromptError as error:
            self.failed.emit(told(error))
            return
        card, own = hand.segmenting.card, self._commits.prompts_of(object_id)
        area = self._area_for(mask.frame.box)
        prompts = Snapshot.of(standing_for(mask, card), area) if own is None else own
        self._put(Hand(prompts, ShownMask(), Refined(object_id, mask, prompts)), object_id)
        note = note_of(card, remembered=own is not None)
        text = f"Object {object_id} is in hand: show what it lacks or has too much, then commit."
        self.taken.emit(f"{text} {note}".strip())

    def _put(self, taken: Hand, object_id: int) -> None:
        nothing = self._hand.nothing
        self._hand.put(taken)
        undo, redo = partial(self._hand.put, nothing), partial(self._hand.put, taken)
        self._push(f"taking up object {object_id}", undo, redo)

    def _area_for(self, box: Box) -> Frame:
        """A work area that holds all of an object, one that is shown already if there is any."""
        for area in (self._hand.area, self._committed.area):
            if area.box.covers(box):
                return area
        return work_area.area_for(box, self._hand.slide.box)
