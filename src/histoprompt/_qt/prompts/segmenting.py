"""Asking the prompt model in the background: the newest question counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from psygnal import Signal

from histoprompt._qt.shell.jobs import Job, Jobs
from histoprompt.core.errors import Cancelled, HistopromptError
from histoprompt.core.prompts.file import ObjectPrompt
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Progress, Task
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.embeddings import EmbeddingCache
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.prompts.segment import ObjectMasks, SegmentJob, segment

KEY = "segmenting"


class Segmenting:
    """One question at a time: about finished prompts, or about ones that are being drawn.

    Attributes
    ----------
    answered : Signal(list)
        The `ObjectMasks` of finished prompts.
    sketched : Signal(list)
        The same for prompts that are still being drawn.
    failed : Signal(str)
        Why there is no answer; the job has shown the text already.
    cancelled : Signal
        The user did not want to wait for the answer.
    status : Signal(str)
        What is being done.
    progress : Signal(Progress)
        How far it is.
    """

    answered = Signal(list)
    sketched = Signal(list)
    failed = Signal(str)
    cancelled = Signal()
    status = Signal(str)
    progress = Signal(Progress)

    def __init__(self, jobs: Jobs, manager: ModelManager, cache: EmbeddingCache) -> None:
        self._jobs, self._manager, self._cache = jobs, manager, cache
        self._with: SegmentJob | None = None
        self._running: Job | None = None
        self._asked: Job | None = None
        self._waiting: tuple[Slide, list[ObjectPrompt]] | None = None

    @property
    def card(self) -> ModelCard | None:
        """The model in use."""
        return None if self._with is None else self._with.card

    @property
    def weights(self) -> Path | None:
        """The user's own file for it, if there is one."""
        return None if self._with is None else self._with.weights

    def use(self, card: ModelCard, weights: Path | None = None) -> None:
        """Ask this model from now on."""
        self._with = SegmentJob(self._manager, self._cache, card, weights)

    def ask(self, slide: Slide, objects: list[ObjectPrompt]) -> None:
        """Segment finished prompts; whatever was asked before needs no answer any more."""
        if self._with is None:
            return
        self._waiting = None
        self._running = self._asked = self._jobs.submit(
            segment,
            slide,
            objects,
            self._with,
            lane="interactive",
            key=KEY,
            title="Segmenting",
            on_done=self._on_answer,
            on_error=self._on_error,
            on_cancel=self._on_cancel,
            on_progress=self.progress.emit,
            abandon=True,
        )
        self.status.emit(f"Segmenting with {self._with.card.title} ...")

    def ask_apart(
        self,
        slide: Slide,
        objects: list[ObjectPrompt],
        done: Callable[[list[ObjectMasks]], object],
        failed: Callable[[str], object],
        cancelled: Callable[[], object],
    ) -> Job | None:
        """Ask beside the question in hand: no later one takes its place. None without a model."""
        if self._with is None:
            return None
        return self._jobs.submit(
            segment,
            slide,
            objects,
            self._with,
            lane="interactive",
            title="Segmenting",
            on_done=done,
            on_error=failed,
            on_cancel=cancelled,
            on_progress=self.progress.emit,
            abandon=True,
        )

    def sketch(self, slide: Slide, objects: list[ObjectPrompt]) -> None:
        """Segment prompts that are being drawn.

        While an answer is under way the newest drawing waits for it: were it superseded each time,
        a slow machine would show nothing until the button is released.
        """
        if self._with is None:
            return
        if self._running is not None and self._running.active:
            self._waiting = (slide, objects)
            return
        self._running = self._jobs.submit(
            _segment_drawing,
            slide,
            objects,
            self._with,
            lane="interactive",
            key=KEY,
            title="Previewing",
            on_done=self._on_sketch,
        )

    @property
    def active(self) -> bool:
        """Whether finished prompts wait for their answer."""
        return self._asked is not None and self._asked.active

    def stop(self) -> None:
        """Want no answer any more, and say nothing of it."""
        self._waiting = self._asked = None
        if self._running is not None:
            self._running.cancel()

    def cancel(self) -> None:
        """Stop because the user does not want to wait."""
        self._waiting = None
        if self._running is not None:
            self._running.cancel()

    def _on_answer(self, found: list[ObjectMasks]) -> None:
        self._asked = None
        self.answered.emit(found)
        self._go_on()

    def _on_sketch(self, found: list[ObjectMasks]) -> None:
        if found:
            self.sketched.emit(found)
        self._go_on()

    def _on_cancel(self) -> None:
        if self._asked is not None:  # else nobody wants to know
            self._asked = None
            self.cancelled.emit()

    def _on_error(self, text: str) -> None:
        self._waiting = self._asked = None
        self.failed.emit(text)

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self.sketch(*waiting)


def _segment_drawing(
    slide: Slide, objects: list[ObjectPrompt], job: SegmentJob, task: Task
) -> list[ObjectMasks]:
    """As `segment`, or nothing: what is wrong with a drawing is said once it is finished."""
    try:
        return segment(slide, objects, job, task)
    except Cancelled:
        raise
    except HistopromptError:
        return []
