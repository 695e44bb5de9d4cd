"""The long work of one dock: in the batch lane, with progress, Cancel and one status line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from psygnal import Signal

from histoprompt._qt.shell.jobs import Job, Jobs
from histoprompt.core.task import Progress


class BatchWork:
    """Submits jobs and tells of them.

    Attributes
    ----------
    status : Signal(str)
        Why a job ended without a result; the dock may tell other things through it.
    progress : Signal(Progress)
        How far the running job is.
    """

    status, progress = Signal(str), Signal(Progress)

    def __init__(self, jobs: Jobs, cancelled: str) -> None:
        self._jobs, self._cancelled = jobs, cancelled
        self._running: list[Job] = []

    def run(
        self,
        fn: Callable[..., Any],
        *args: Any,
        title: str,
        done: Callable[..., object],
        failed: Callable[[str], object] | None = None,
        cancelled: Callable[[], object] | None = None,
        stopped: Callable[..., object] | None = None,
        edits: bool = False,
    ) -> None:
        """Call ``fn(*args, task=task)``; a newer job of the same title takes the place of this.

        `failed` and `cancelled` are called after the status told of it; `stopped` is given what a
        cancelled job had; with `edits` it makes an edit that can be taken back.
        """
        job = self._jobs.submit(
            fn,
            *args,
            lane="batch",
            key=title,
            title=title,
            on_done=done,
            on_error=partial(_both, self.status.emit, failed),
            on_cancel=partial(_both, self._on_cancelled, cancelled),
            on_partial=stopped,
            on_progress=self.progress.emit,
            edits=edits,
        )
        self._running = [*(j for j in self._running if j.active), job]
        self.status.emit(f"{title} ...")

    @property
    def active(self) -> bool:
        """Whether any of it runs or waits to."""
        return any(job.active for job in self._running)

    def cancel(self) -> None:
        """Stop all of it."""
        for job in self._running:
            job.cancel()

    def _on_cancelled(self) -> None:
        self.status.emit(self._cancelled)


def _both(first: Callable[..., object], then: Callable[..., object] | None, *args: object) -> None:
    first(*args)
    if then is not None:
        then(*args)
