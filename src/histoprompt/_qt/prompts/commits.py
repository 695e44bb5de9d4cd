"""Keeping what is in hand: at once, or when its segmentation has come; and taking that back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from psygnal import Signal

from histoprompt._qt.prompts.committed import CommittedObjects
from histoprompt._qt.prompts.hand import Hand, Waiting
from histoprompt._qt.prompts.in_hand import InHand, Push, facts
from histoprompt._qt.prompts.params import PromptParams
from histoprompt._qt.prompts.preview import ShownMask
from histoprompt._qt.prompts.prompt_layers import Snapshot
from histoprompt._qt.shell.messages import told
from histoprompt._qt.shell.undo import UndoStack
from histoprompt.annotations.planes import PLANES
from histoprompt.annotations.store import Change
from histoprompt.core.errors import HistopromptError
from histoprompt.core.results import Mask
from histoprompt.core.strings.wording import capital, many
from histoprompt.pipelines.objects.correct import replace_object
from histoprompt.pipelines.prompts.segment import ObjectMasks


class Commits:
    """Makes objects of what is in hand.

    Parameters
    ----------
    hand : InHand
    planes : (CommittedObjects, CommittedObjects)
        Objects and regions; the parameters say which of them what is in hand becomes.
    steps : UndoStack
    push : callable
        As for `InHand`.

    Attributes
    ----------
    waiting : list of Waiting
        Commits that wait for their segmentation.
    said : Signal(str)
        What happened.
    failed : Signal(str)
        What went wrong.
    """

    said = Signal(str)
    failed = Signal(str)

    def __init__(
        self,
        hand: InHand,
        planes: tuple[CommittedObjects, CommittedObjects],
        steps: UndoStack,
        push: Push,
    ) -> None:
        self._hand, self._committed, self._planes = hand, planes[0], planes
        self._steps, self._push = steps, push
        self._closed = False
        self._prompts: dict[int, tuple[Snapshot, int]] = {}
        self.waiting: list[Waiting] = []

    def commit(self, params: PromptParams) -> list[int]:
        """Keep the object in hand and clear the prompts; the ids of what was kept.

        While it is still being segmented the commit waits for the answer, and nothing is kept yet;
        the next object can be prompted meanwhile.
        """
        held = self._hand
        if held.awaited:
            self.commit_later(Waiting(held.now, tuple(held.objects), params))
            return []
        masks = held.preview.final_masks(held.slide.box)
        if not masks or held.preview.is_sketch:
            self.failed.emit("There is no object to commit: click, scribble or box one.")
            return []
        hand, info = held.now, held.info()
        try:
            ids, change = self._keep(masks, hand, info, params)
        except HistopromptError as error:
            self.failed.emit(told(error))
            return []
        held.put(held.nothing)
        if change is None:
            self.said.emit(f"{self._committed.text_of(ids).capitalize()} is as it was.")
        else:
            self._show_commit(ids, change, hand, params)
        return ids

    def prompts_of(self, object_id: int) -> Snapshot | None:
        """The prompts an object was made of in this session, if it is as they made it."""
        prompts, area_px = self._prompts.get(object_id, (None, 0))
        return prompts if self._committed.store.area_of(object_id) == area_px else None

    def commit_later(self, waiting: Waiting) -> None:
        """Commit once the objects are segmented; what is in hand is free for the next one."""
        held = self._hand
        held.put(held.nothing)
        count = many(len(waiting.objects), "object")
        title = f"the commit of {count}, which waited"
        withdraw = partial(self._withdraw, waiting)
        waiting.step = self._push(title, withdraw, partial(self.commit_later, waiting))
        waiting.job = held.segmenting.ask_apart(
            held.slide,
            list(waiting.objects),
            partial(self._on_waited, waiting),
            partial(self._on_not_waited, waiting),
            partial(self._on_not_waited, waiting, "Cancelled"),
        )
        self.waiting.append(waiting)
        self.said.emit(f"Commit waits for the segmentation of {count} ...")

    def cancel(self) -> None:
        """Let no commit wait any more."""
        for waiting in self.waiting:
            waiting.cancel()

    def close(self) -> None:
        """Commit nothing any more."""
        self._closed = True

    # -- inner -------------------------------------------------------------------------------

    def _on_waited(self, waiting: Waiting, found: list[ObjectMasks]) -> None:
        if self._closed or not self._settle(waiting):
            return
        shown = replace(waiting.hand, shown=ShownMask(tuple(found)))
        masks = [item.masks[0] for item in found if not item.masks[0].empty]
        if not masks:
            self._on_left(waiting, "Nothing was found there")
            return
        info = facts(self._hand.segmenting.card, masks, waiting.hand.prompts)
        try:
            ids, change = self._keep(masks, shown, info, waiting.params)
        except HistopromptError as error:
            self._on_left(waiting, told(error))
            return
        if change is not None:
            self._show_commit(ids, change, shown, waiting.params)

    def _on_not_waited(self, waiting: Waiting, text: str) -> None:
        if not self._closed and self._settle(waiting):
            self._on_left(waiting, text)

    def _keep(
        self,
        masks: Sequence[Mask],
        hand: Hand,
        info: Mapping[str, object],
        params: PromptParams,
    ) -> tuple[list[int], Change | None]:
        """Make masks new objects, or the one mask that of the object that was taken up again.

        Should that be gone by now, the mask becomes a new one.
        """
        refined, store = hand.refined, self._committed.store
        ids: list[int]
        change: Change | None
        if refined is None or not store.area_of(refined.id):
            plane = self._plane(params)
            ids, change = plane.commit(masks, params.rule, info, params.class_name)
            if plane is not self._committed:
                return ids, change
        else:
            ids = [refined.id]
            change = replace_object(store, refined.id, masks[0], params.rule, info)
        if len(ids) == 1 and not hand.prompts.empty:
            self._prompts[ids[0]] = hand.prompts, store.area_of(ids[0])
        return ids, change

    def _plane(self, params: PromptParams) -> CommittedObjects:
        """What a new object becomes: an object, or a region."""
        return self._planes[PLANES.index(params.plane)]

    def _settle(self, waiting: Waiting) -> bool:
        """A commit waits no more; False if it was withdrawn before."""
        if waiting not in self.waiting:
            return False
        self.waiting.remove(waiting)
        if waiting.step is not None:
            self._steps.drop(waiting.step)
        return True

    def _on_left(self, waiting: Waiting, why: str) -> None:
        """A commit that waited came to nothing: its prompts come back as soon as hands are free."""
        held, why = self._hand, why.rstrip(".")
        if held.now.empty:
            held.put(replace(waiting.hand, shown=ShownMask()))
            held.segmenting.stop()
            self.said.emit(f"{why}. Nothing was committed; the prompts are as they were.")
            return
        take, leave = partial(held.put, waiting.hand), partial(held.put, held.now)
        self._push("prompts that were not committed", take, leave)
        self.said.emit(f"{why}. Nothing was committed; Undo brings those prompts back.")

    def _withdraw(self, waiting: Waiting) -> bool:
        """Take back a commit that has not happened yet."""
        if waiting not in self.waiting:
            return False
        self.waiting.remove(waiting)
        waiting.cancel()
        self._hand.put(waiting.hand)
        return True

    def _show_commit(
        self, ids: list[int], change: Change, hand: Hand, params: PromptParams
    ) -> None:
        """Show what was committed; taking it back brings its prompts back."""
        again = hand.refined is not None and [hand.refined.id] == ids
        plane = self._committed if again else self._plane(params)
        text = f"{'refined' if again else 'committed'} {plane.text_of(ids)}"
        undo = partial(self._undo, change.edit, hand)
        self._push(text, undo, partial(self._redo, change.edit), change.edit)
        plane.show_change(change, capital(text), step=False)

    def _undo(self, edit: int, hand: Hand) -> bool:
        if not self._committed.undo(edit):
            return False
        if self._hand.now.empty:
            self._hand.put(hand)
        return True

    def _redo(self, edit: int) -> bool:
        if not self._committed.redo(edit):
            return False
        self._hand.put(self._hand.nothing)
        return True
