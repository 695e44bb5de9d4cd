"""Work in the background: the file that starts the threads of jobs.

Three lanes of one thread each, so a click is served while a slide is being counted, and neither
waits for a download. All that a job has to say reaches the GUI thread through one queued signal,
which exists before any job starts.
"""

from __future__ import annotations

import atexit
import contextlib
import inspect
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from psygnal import Signal as Told
from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QObject, Qt, QTimer, Signal, Slot

from histoprompt._qt.shell.job import Handler, Job, Lane, State
from histoprompt._qt.shell.messages import show_error
from histoprompt._qt.shell.outcome import Outcome, attempt
from histoprompt._qt.shell.warming import share_interpreter
from histoprompt.core.errors import HistopromptError
from histoprompt.core.task import Progress

__all__ = ["Job", "Jobs"]

LANES: tuple[Lane, ...] = ("interactive", "batch", "files")
# Least time between two progress reports of one job, milliseconds.
PROGRESS_MS = 50
# Longest wait for a running job when the window is closed, and when a process without one ends,
# seconds.
CLOSE_S, EXIT_S = 1.5, 60.0
_FINAL: dict[Outcome, State] = {
    "done": "done",
    "error": "failed",
    "cancel": "cancelled",
    "partial": "partial",
}


class Jobs(QObject):
    """Runs functions in the background and calls handlers on the GUI thread.

    Make one per viewer, on the GUI thread, and call `shutdown` when the viewer closes.

    Parameters
    ----------
    parent : QObject, optional
    notify : callable
        Shows an error text to the user; called on the GUI thread.

    Attributes
    ----------
    heard : Signal(Job, object)
        What a running job tells before its end, by `Task.tell`.
    ended : Signal(Job)
        A job ended in whatever way, after its handlers were called.
    edited : Signal
        The last job that makes an edit has ended, and its handler was called.
    """

    _message = Signal(object)
    # these hold who listens weakly: a session is not kept alive
    heard, ended, edited = Told(Job, object), Told(Job), Told()

    def __init__(
        self, parent: QObject | None = None, notify: Callable[[str], object] = show_error
    ) -> None:
        super().__init__(parent)
        self._notify = notify
        self._closed = False
        self._ready = threading.Condition()
        self._queues: dict[Lane, deque[Job]] = {lane: deque() for lane in LANES}
        self._active: list[Job] = []  # queued, running, or with their result on its way
        self._threads: dict[Lane, threading.Thread] = {}
        self._message.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._closed_at: float | None = None
        self._quitting = False  # whether a person or a program closed the window
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self._on_quit)
        atexit.register(self._leave)

    # ------------------------------------------------------------------ the GUI thread's side

    def submit(
        self,
        fn: Callable[..., Any],
        *args: Any,
        lane: Lane = "interactive",
        key: str | None = None,
        title: str = "",
        on_done: Handler | None = None,
        on_error: Handler | None = None,
        on_cancel: Handler | None = None,
        on_partial: Handler | None = None,
        on_progress: Handler | None = None,
        abandon: bool = False,
        aside: bool = False,
        edits: bool = False,
    ) -> Job:
        """Call ``fn(*args, task=task)`` in a lane.

        Handlers run on the GUI thread. A bound method is held weakly and is skipped once its
        owner is gone, be it a Python object or a Qt one; other callables are kept until the job
        ends. Exactly one of `on_done`, `on_error`, `on_cancel` and `on_partial` is called, unless a
        newer job took this one's place or `shutdown` was called: then none is.

        Parameters
        ----------
        fn : callable
            Runs in the lane's thread and must not touch napari or Qt.
        lane : "interactive", "batch" or "files"
            Interactive for what the user waits for at the pointer, files for what waits for disks
            and networks.
        key : str, optional
            A job with this key that is queued is dropped, one that runs is cancelled and its
            result discarded.
        title : str
            What the job does, for messages: "Counting cells".
        on_done : callable
            Given the result.
        on_error : callable
            Given the text, after it was shown to the user.
        on_cancel : callable
            Given nothing.
        on_partial : callable
            Given what the function returned after a cancel: all it had. Without this handler such
            a result is dropped, and `on_cancel` is called.
        on_progress : callable
            Given a `Progress`, at most twenty times a second; the newest always arrives while
            the job runs.
        abandon : bool
            A cancel ends the job for its handlers at once, and the function is left to stop by
            itself; for functions that write nothing after a cancel.
        aside : bool
            It only looks at something: nobody misses it, so it is not work that a person is asked
            about.
        edits : bool
            It makes an edit that can be taken back once its handler has told of it.
        """
        handlers = {
            "done": on_done,
            "error": on_error,
            "cancel": on_cancel,
            "partial": on_partial,
            "progress": on_progress,
        }
        job = Job(self._cancel, lambda task: fn(*args, task=task), lane, key, title or "The job")
        job._abandon, job.aside, job.edits = abandon, aside, edits
        job._handlers = {name: _reference(h) for name, h in handlers.items() if h is not None}
        if on_progress is not None:
            job._task.report = partial(self._report, job)
        job._task.hear = partial(self._hear, job)
        with self._ready:
            if self._closed:
                raise HistopromptError("The viewer is closing: no new jobs are taken.")
            if key is not None:
                self._supersede(key)
            self._active.append(job)
            self._queues[lane].append(job)
            self._start(lane)
            self._ready.notify_all()
        return job

    def call(self, fn: Callable[..., object], *args: object) -> None:
        """Call ``fn(*args)`` on the GUI thread, soon; may be called from any thread."""
        self._emit(partial(self._call_handler, "A message", _reference(fn), *args))

    def cancel_all(self) -> None:
        """Cancel what runs and what is queued."""
        with self._ready:
            for job in list(self._active):
                job.cancel()

    @property
    def editing(self) -> str:
        """Title of the first job that makes an edit, until its handler was called; else empty."""
        with self._ready:
            return next((job.title for job in self._active if job.edits), "")

    @property
    def at_work(self) -> list[str]:
        """Titles of the jobs that a person would not like to lose by closing the window."""
        with self._ready:
            return [
                job.title
                for job in self._active
                if job.lane != "interactive" and job.active and not job.aside
            ]

    def shutdown(self, timeout: float = CLOSE_S) -> bool:
        """Cancel everything and take no more jobs; no handler is called from now on.

        Parameters
        ----------
        timeout : float
            Seconds to wait for running jobs. One that does not stop in time is left to end by
            itself and its result is dropped.

        Returns
        -------
        bool
            Whether all threads have ended.
        """
        with self._ready:
            self._closed = True
            for job in self._active:
                job._task.cancel()
                job._end("cancelled")
            self._active.clear()
            for queue in self._queues.values():
                queue.clear()
            self._ready.notify_all()
        now = time.monotonic()
        self._closed_at = self._closed_at or now
        for thread in self._threads.values():
            thread.join(max(0.0, now + timeout - time.monotonic()))
        ended = not any(thread.is_alive() for thread in self._threads.values())
        if ended:
            atexit.unregister(self._leave)
        return ended

    def leave(self) -> None:
        """The window is closing: cancel everything, and let no job keep the process for long."""
        self._quitting = True
        self.shutdown(0.0)

    def _on_quit(self) -> None:
        """The application ends, `CLOSE_S` after somebody first asked for it at the latest."""
        self._quitting = True
        self.shutdown(self._left())

    def _left(self) -> float:
        """Seconds of `CLOSE_S` that are left."""
        waited = 0.0 if self._closed_at is None else time.monotonic() - self._closed_at
        return max(0.0, CLOSE_S - waited)

    def _leave(self) -> None:
        """End the process, though a job did not stop.

        A thread that is still inside a network when the interpreter is taken apart takes the
        process down with an abort, or fails with a traceback because others are gone already. So
        a program without a window waits for it. A person who closed the window does not wait: all
        that counts is on disk, in a state that an end at any moment leaves whole.
        """
        if not self._quitting:
            self.shutdown(EXIT_S)
        elif not self.shutdown(self._left()):
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(AttributeError, OSError, ValueError):
                    stream.flush()
            os._exit(int(hasattr(sys, "last_value")))

    def _cancel(self, job: Job) -> None:
        job._task.cancel()
        with self._ready:
            queued = job in self._queues[job.lane]
            if queued:
                self._queues[job.lane].remove(job)
            if queued or (job._abandon and job._task.cancelled):
                self._emit(partial(self._finish, job, "cancel", None))

    def _supersede(self, key: str) -> None:
        """Take the place of earlier jobs with this key, those whose result is on its way too."""
        for job in [j for j in self._active if j.key == key]:
            job._superseded = True
            job.cancel()

    @Slot(object)
    def _deliver(self, thunk: Callable[[], None]) -> None:
        if not self._closed:
            thunk()

    def _finish(self, job: Job, outcome: Outcome, payload: Any) -> None:
        with self._ready:
            if job not in self._active:  # abandoned, and told of already
                return
            self._active.remove(job)
        if job._task.cancelled:
            outcome = "partial" if outcome == "done" and "partial" in job._handlers else "cancel"
        handler = None if job._superseded else job._handlers.get(outcome)
        job._end(_FINAL[outcome])
        if outcome == "error":
            self._notify(payload)
        if handler is not None:
            self._call_handler(job.title, handler, *(() if outcome == "cancel" else (payload,)))
        self.ended.emit(job)
        if job.edits and not self.editing:
            self.edited.emit()

    def _tell(self, job: Job, news: object) -> None:
        if job.active and not job._task.cancelled:
            self.heard.emit(job, news)

    def _show_progress(self, job: Job) -> None:
        """Hand on the newest progress, and look again after a while until there is none."""
        progress = job._progress.take()
        handler = job._handlers.get("progress")
        if progress is None or handler is None or job._task.cancelled:
            return
        self._call_handler(job.title, handler, progress)
        QTimer.singleShot(PROGRESS_MS, partial(self._deliver, partial(self._show_progress, job)))

    def _call_handler(
        self, title: str, reference: Callable[[], Handler | None], *args: object
    ) -> None:
        handler = reference()
        if handler is None or not _owner_lives(handler):
            return
        outcome, text = attempt(title, partial(handler, *args))
        if outcome == "error":
            self._notify(text)

    # ------------------------------------------------------------------ the lanes' side

    def _start(self, lane: Lane) -> None:
        if lane not in self._threads:
            thread = threading.Thread(
                target=self._serve, args=(lane,), name=f"histoprompt-{lane}", daemon=True
            )
            self._threads[lane] = thread
            share_interpreter()
            thread.start()

    def _serve(self, lane: Lane) -> None:
        while self._serve_one(lane):
            pass

    def _serve_one(self, lane: Lane) -> bool:
        """Run the next job; a function of its own, so that nothing of a job outlives it here."""
        queue = self._queues[lane]
        with self._ready:
            while not queue and not self._closed:
                self._ready.wait()
            if self._closed:
                return False
            job = queue.popleft()
            job.state = "running"
        outcome, payload = self._run(job)
        self._emit(partial(self._finish, job, outcome, payload))
        return True

    def _run(self, job: Job) -> tuple[Outcome, Any]:
        call, job._call = job._call, None
        if call is None:
            return "cancel", None
        # what fails because the program is closing is nobody's fault
        return attempt(job.title, partial(call, job._task), quiet=lambda: self._closed)

    def _report(self, job: Job, progress: Progress) -> None:
        if job._progress.put(progress):
            self._emit(partial(self._show_progress, job))

    def _hear(self, job: Job, news: object) -> None:
        self._emit(partial(self._tell, job, news))

    def _emit(self, thunk: Callable[[], None]) -> None:
        """Queue a call for the GUI thread; nobody is there to hear it once this object is gone."""
        try:
            self._message.emit(thunk)
        except RuntimeError:
            self._closed = True


def _reference(handler: Handler) -> Callable[[], Handler | None]:
    """Hold a bound method weakly, so that a job keeps no closed dock alive; others strongly."""
    return weakref.WeakMethod(handler) if inspect.ismethod(handler) else lambda: handler


def _owner_lives(handler: Handler) -> bool:
    """Whether the Qt object a handler belongs to, if any, was not deleted."""
    while isinstance(handler, partial):
        handler = handler.func
    owner = getattr(handler, "__self__", None)
    return not isinstance(owner, QObject) or bool(isalive(owner))
