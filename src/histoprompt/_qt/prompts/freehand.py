"""Objects and regions made without a model: drawn freehand, or taken by the wand."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from histoprompt._qt.prompts.committed import CommittedObjects
from histoprompt._qt.prompts.in_hand import InHand
from histoprompt._qt.prompts.params import PromptParams
from histoprompt._qt.shell.jobs import Job, Jobs
from histoprompt._qt.shell.messages import told
from histoprompt.annotations.history import Change
from histoprompt.annotations.planes import PLANES
from histoprompt.core.errors import HistopromptError
from histoprompt.core.task import Progress, Task
from histoprompt.pipelines.objects.draw import AT_ONCE_PX, Keeping, keep_outline, outline_box
from histoprompt.pipelines.objects.wand import Touch, WandParams, keep_wand

Kept = tuple[int, Change | None]


class Freehand:
    """Keeps what is drawn, each as one edit.

    Parameters
    ----------
    planes : (CommittedObjects, CommittedObjects)
        Objects and regions.
    hand : InHand
        Tells the slide.
    jobs : Jobs
        The wand, and what is large, work in the background.

    Attributes
    ----------
    params : PromptParams
        The plane, the overlap rule, the class, and how far the wand reaches.
    said : Signal(str)
        What is being done.
    failed : Signal(str)
        Why nothing was kept.
    progress : Signal(Progress)
        How far it is.
    """

    said = Signal(str)
    failed = Signal(str)
    progress = Signal(Progress)

    def __init__(
        self, planes: tuple[CommittedObjects, CommittedObjects], hand: InHand, jobs: Jobs
    ) -> None:
        self._planes, self._hand, self._jobs = planes, hand, jobs
        self.params = PromptParams()
        self._job: Job | None = None
        self._closed = False

    @property
    def active(self) -> bool:
        """Whether something is being kept in the background."""
        return self._job is not None and self._job.active

    def outline(self, corners: NDArray[np.float64]) -> None:
        """Keep what an outline goes round, (n, 2) level-0 (row, col)."""
        plane, how = self._plane, self._how("outline", grow=False)
        try:
            if outline_box(corners, plane.store.box).area <= AT_ONCE_PX:
                self._show("Drew", plane, 0, keep_outline(plane.store, corners, how, Task()))
                return
        except HistopromptError as error:
            self.failed.emit(told(error))
            return
        self._submit("Drew", plane, 0, partial(keep_outline, plane.store, corners, how))

    def wand(self, row: float, col: float) -> None:
        """Keep what looks like a level-0 position; a chosen region grows by it."""
        plane = self._plane
        how = self._how("wand", grow=plane is self._planes[1])
        touch = Touch(plane.area, (row, col), WandParams(self.params.tolerance))
        keep = partial(keep_wand, self._hand.slide, plane.store, touch, how)
        self._submit("Took with the wand", plane, how.into, keep)

    def cancel(self) -> None:
        """Keep nothing of what is under way."""
        if self._job is not None:
            self._job.cancel()

    def close(self) -> None:
        """Show nothing any more."""
        self._closed = True

    # -- inner -------------------------------------------------------------------------------

    @property
    def _plane(self) -> CommittedObjects:
        return self._planes[PLANES.index(self.params.plane)]

    def _how(self, prompt: str, *, grow: bool) -> Keeping:
        info = {"model": "by hand", "prompts": [prompt], "score": None}
        into = self._plane.chosen if grow else 0
        return Keeping(self.params.rule, self.params.class_name, into, info)

    def _submit(self, what: str, plane: CommittedObjects, grown: int, keep: partial[Kept]) -> None:
        self.said.emit(f"Drawing the {plane.noun} ...")
        self._job = self._jobs.submit(
            keep,
            lane="interactive",
            title="Drawing",
            edits=True,
            on_done=partial(self._show, what, plane, grown),
            on_error=self.failed.emit,
            on_cancel=self._on_cancel,
            on_progress=self.progress.emit,
        )

    def _on_cancel(self) -> None:
        if not self._closed:
            self.said.emit("Cancelled: nothing was drawn.")

    def _show(self, what: str, plane: CommittedObjects, grown: int, kept: Kept) -> None:
        if self._closed:
            return
        object_id, change = kept
        text = f"{'Extended' if grown else what} {plane.text_of([object_id])}"
        plane.show_change(change, text)
