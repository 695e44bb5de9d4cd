"""One job as those who submitted it see it, and the newest of its progress."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Literal

from histoprompt.core.task import Progress, Task

Lane = Literal["interactive", "batch", "files"]
State = Literal["queued", "running", "done", "failed", "cancelled", "partial"]
Handler = Callable[..., object]


class Job:
    """One call of a function in the background; made by `Jobs.submit`.

    Members with an underscore are for `Jobs`, which queues and runs it.

    Attributes
    ----------
    title : str
        For messages.
    lane : "interactive", "batch" or "files"
    key : str or None
        A newer job with the same key takes this one's place.
    state : "queued", "running", "done", "failed", "cancelled" or "partial"
        The last four are final, and set on the GUI thread. Partial is cancelled with what it had.
    aside : bool
        Whether it only looks at something, so that nobody misses it.
    edits : bool
        Whether it makes an edit that can be taken back.
    """

    def __init__(
        self,
        cancel: Callable[[Job], None],
        call: Callable[[Task], Any],
        lane: Lane,
        key: str | None,
        title: str,
    ) -> None:
        self.title = title
        self.lane = lane
        self.key = key
        self.state: State = "queued"
        self._cancel = cancel
        self._call: Callable[[Task], Any] | None = call
        self._task = Task()
        self._handlers: dict[str, Callable[[], Handler | None]] = {}
        self._progress = Latest()
        self._superseded = False
        self._abandon = self.aside = self.edits = False

    @property
    def active(self) -> bool:
        """Whether it is queued or running, or its result is on the way."""
        return self.state in {"queued", "running"}

    def cancel(self) -> None:
        """Leave the queue, or stop at the next `task.step`; a result on its way is dropped."""
        self._cancel(self)

    def _end(self, state: State) -> None:
        """Settle the state and let go of all that the job held."""
        self.state = state
        self._call = None
        self._handlers = {}


class Latest:
    """The newest progress of a job, and whether the GUI thread knows that it should look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value: Progress | None = None
        self._announced = False

    def put(self, value: Progress) -> bool:
        """Keep the value; True if the GUI thread must be told to look."""
        with self._lock:
            self._value = value
            must_tell, self._announced = not self._announced, True
            return must_tell

    def take(self) -> Progress | None:
        """The newest value not taken yet; None ends the announcement."""
        with self._lock:
            value, self._value = self._value, None
            self._announced = value is not None
            return value
