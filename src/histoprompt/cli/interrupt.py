"""Ctrl-C that ends a command even where a library loses it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from histoprompt.core.task import Task


@contextmanager
def cancelled_by_interrupt(task: Task) -> Iterator[None]:
    """Cancel the task too on an interrupt, for as long as the block runs.

    The exception that an interrupt raises can get lost inside a library's compiled code. Then the
    task's next step ends the command. Who was told to ignore interrupts goes on doing so.
    """
    present = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(present):
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        task.cancel()
        present(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, present)
