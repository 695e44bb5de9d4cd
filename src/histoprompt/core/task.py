"""The one thing a long function is given: a way to report progress and to be cancelled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from histoprompt.core.errors import Cancelled


@dataclass(frozen=True)
class Progress:
    """One report of progress.

    Attributes
    ----------
    done, total : int
        Steps finished and steps in all; `total` 0 means the length is not known.
    text : str
        What is being done now, for the person waiting.
    start, stop : float
        Which part of the whole these steps are, in [0, 1].
    unit : str
        What one step is, such as "tile"; empty where steps are a mere number.
    """

    done: int
    total: int
    text: str
    start: float = 0.0
    stop: float = 1.0
    unit: str = ""

    @property
    def share(self) -> float:
        """How much of the whole is finished, in [0, 1]."""
        here = min(1.0, self.done / self.total) if self.total else 0.0
        return self.start + (self.stop - self.start) * here

    @property
    def told(self) -> str:
        """What is being done and how far it is, for people."""
        if not self.total:
            return f"{self.text} ..."
        if self.unit:
            return f"{self.text}: {self.unit} {min(self.done + 1, self.total):,} of {self.total:,}"
        return f"{self.text}: {self.done:,} of {self.total:,}"

    def within(self, start: float, stop: float) -> Progress:
        """The same report where its whole is a part of something larger."""
        width = stop - start
        return replace(self, start=start + width * self.start, stop=start + width * self.stop)


@dataclass(frozen=True)
class Note:
    """What a person should know while the work still goes on."""

    text: str


def _ignore(_: object) -> None:
    """Tell nobody."""


@dataclass
class Task:
    """Progress and cancellation of one running job; safe to share between threads.

    Parameters
    ----------
    report : callable
        Called with a `Progress` from the thread that runs the job.
    hear : callable
        Called, in that thread, with what is known before the end: a `Note`, or results so far.
    """

    report: Callable[[Progress], None] = _ignore
    hear: Callable[[object], None] = field(default=_ignore, kw_only=True)
    _cancelled: threading.Event = field(default_factory=threading.Event, repr=False)
    _settled: threading.Event = field(default_factory=threading.Event, repr=False)
    _choosing: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _last: Progress | None = field(default=None, repr=False)

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` has been called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Ask the job to stop; it does so at its next `step`. Too late after `settle`."""
        with self._choosing:
            if not self._settled.is_set():
                self._cancelled.set()

    def settle(self) -> None:
        """Begin what must not be left half done: from here on a cancel comes too late.

        Raises
        ------
        Cancelled
            If `cancel` was called before.
        """
        with self._choosing:
            if self._cancelled.is_set():
                raise Cancelled
            self._settled.set()

    def step(self, done: int, total: int, text: str = "", unit: str = "") -> None:
        """Report progress, and stop here if the user cancelled.

        Raises
        ------
        Cancelled
            If `cancel` was called before.
        """
        self._last = Progress(done, total, text, unit=unit)
        self.repeat()

    def repeat(self) -> None:
        """Report once more what was reported last, and stop here if the user cancelled.

        For places within a step: a cancel acts there too, and what was told by `aside` in between,
        such as the loading of a model, does not stay on show.

        Raises
        ------
        Cancelled
            If `cancel` was called before.
        """
        if self.cancelled:
            raise Cancelled
        if self._last is not None:
            self.report(self._last)

    @property
    def is_heard(self) -> bool:
        """Whether anybody hears what is known before the end: else it need not be worked out."""
        return self.hear is not _ignore

    def tell(self, news: object) -> None:
        """Hand on what is known before the end: a `Note`, or results so far."""
        self.hear(news)

    def aside(self) -> Task:
        """A task for what interrupts this one for a while; cancelling either cancels both."""
        return self._with(self.report)

    def quiet(self) -> Task:
        """A task for what belongs to one step: its reports repeat that of the step."""
        return self._with(lambda _: self.repeat())

    def part(self, start: float, stop: float) -> Task:
        """A task for a part of the work, in [0, 1] of it; cancelling either cancels both."""
        return self._with(lambda told: self.report(told.within(start, stop)))

    def _with(self, report: Callable[[Progress], None]) -> Task:
        """The same job told of in another way."""
        return Task(report, self._cancelled, self._settled, self._choosing, hear=self.hear)
