"""Ctrl-C that ends a command even where a library loses it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from types import FrameType, TracebackType

from histoprompt.core.task import Task

# Presses of Ctrl-C while a command is ending already after which it ends at once.
_PATIENCE = 3


class Interrupts:
    """Cancels the task too on an interrupt, for as long as the block runs.

    The exception that an interrupt raises can get lost inside a library's compiled code. Then the
    task's next step ends the command. Who was told to ignore interrupts goes on doing so.

    Parameters
    ----------
    task : Task
    lasting : bool
        Whether interrupts stay caught after the block, to the end of the process: the interpreter
        would show a traceback for each.

    Attributes
    ----------
    ending : bool
        Set it when the command is ending: further interrupts then raise nothing.
    """

    def __init__(self, task: Task, *, lasting: bool = False) -> None:
        self.ending = False
        self._task, self._lasting, self._ignored = task, lasting, 0
        self._before: object = None

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        present = signal.getsignal(signal.SIGINT)
        if callable(present):
            self._before = present
            signal.signal(signal.SIGINT, self._on_interrupt)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if callable(self._before) and not self._lasting:
            signal.signal(signal.SIGINT, self._before)

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        self._task.cancel()
        if not self.ending:
            if callable(self._before):
                self._before(number, frame)
            return
        self._ignored += 1
        if self._ignored >= _PATIENCE:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
            os._exit(128 + number)


def cancelled_by_interrupt(task: Task, *, lasting: bool = False) -> Interrupts:
    """Cancel the task on an interrupt while a block runs; see `Interrupts`."""
    return Interrupts(task, lasting=lasting)
