"""How commands end: in one line, whatever happens.

What a person can mend is said in the words of a `HistopromptError` or of the system. Anything else
is a fault of the program: its traceback goes into a file for a report, never to the terminal.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from histoprompt import __version__
from histoprompt.cli.interrupt import cancelled_by_interrupt
from histoprompt.cli.remedies import told
from histoprompt.cli.speech import say
from histoprompt.core import settings
from histoprompt.core.errors import Cancelled, HistopromptError
from histoprompt.core.task import Task

T = TypeVar("T")
INTERRUPTED = 130
_KEPT = 20  # log files


def ended(command: Callable[[Task], int], task: Task, *, whole_process: bool) -> int:
    """Run a command to its end.

    Parameters
    ----------
    command : callable
        Gives the exit status.
    task : Task
        Cancelled by Ctrl-C.
    whole_process : bool
        Whether nothing but the command runs in this process: then Ctrl-C does not get through any
        more once the command ends.

    Returns
    -------
    int
        0, or the exit status of what went wrong.
    """
    interrupts = cancelled_by_interrupt(task, lasting=whole_process)
    status = 0

    def run() -> None:
        nonlocal status
        status = command(task)

    try:
        with interrupts:
            fault = fault_of(run, task)
    except BrokenPipeError:
        _close_output()
        return 0
    except (KeyboardInterrupt, Cancelled):
        interrupts.ending = True
        say("histoprompt: interrupted; nothing half-written was left.")
        return INTERRUPTED
    interrupts.ending = True
    if fault:
        say(f"histoprompt: {fault}")
    return _flushed(1 if fault else status)


def each(paths: Sequence[T], work: Callable[[T], int], task: Task, what: tuple[str, str]) -> int:
    """Do the same for several files; what one of them does does not keep the others from it.

    Parameters
    ----------
    paths : sequence
        Named by what `str` gives of them.
    work : callable
        Gives 0, or the exit status to stop with.
    task : Task
    what : (str, str)
        What the files are, one and several.

    Returns
    -------
    int
        1 if any failed.
    """
    failed: list[T] = []
    stopped = 0
    for path in paths:

        def run(path: T = path) -> None:
            nonlocal stopped
            stopped = work(path)

        if fault := fault_of(run, task):
            say(f"histoprompt: {path}: {fault}")
            failed.append(path)
        if stopped:
            break
    if failed and len(paths) > 1:
        names = ", ".join(Path(str(path)).name for path in failed[:10])
        more = f" and {len(failed) - 10} more" if len(failed) > 10 else ""
        say(f"{len(failed)} of {len(paths)} {what[len(paths) > 1]} failed: {names}{more}.")
    return stopped or int(bool(failed))


def fault_of(work: Callable[[], None], task: Task) -> str:
    """Do something, and say in a line what went wrong; empty if nothing did.

    Raises
    ------
    BrokenPipeError, Cancelled, KeyboardInterrupt, SystemExit
        These are no faults.
    """
    try:
        work()
    except (BrokenPipeError, Cancelled, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except HistopromptError as error:
        return told(error)
    except BaseException as error:
        if task.cancelled:  # libraries turn an interrupt into whatever they raise
            raise Cancelled from error
        return _explained(error)
    return ""


def _explained(error: BaseException) -> str:
    """An unforeseen error in a line; what only a programmer can mend goes into a file."""
    text = " ".join(str(error).split())[:300]
    if isinstance(error, MemoryError):
        return (
            f"there is not enough memory for this{f' ({text})' if text else ''}. Close other "
            "programs, or choose a smaller region."
        )
    if isinstance(error, OSError) and error.strerror:
        named = isinstance(error.filename, str | bytes)
        place = os.fsdecode(error.filename) if named else "a file or the output cannot be used"
        return f"{place}: {error.strerror}. Check the name, the permissions and the disk."
    log = write_log(error)
    where = f"The details are in {log}" if log else "The details could not be written to a file"
    return f"an unforeseen error, {type(error).__name__}: {text}. {where}; please report it."


def write_log(error: BaseException) -> Path | None:
    """Write a traceback for a report, into the folder for logs or, failing that, a temporary one.

    All errors of a process go into one file. Old files are removed.

    Returns
    -------
    Path or None
        The file; None if none could be written.
    """
    text = "".join(
        (
            f"histoprompt {__version__}, Python {platform.python_version()}, ",
            f"{platform.platform()}\n{datetime.now().astimezone().isoformat()}\n",
            f"{sys.argv!r}\n",
            *traceback.format_exception(error),
            "\n",
        )
    )
    name = f"error-{os.getpid()}.txt"
    for folder in (settings.logs_folder(), _temporary()):
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / name).open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            _prune(folder)
            return folder / name
    return None


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


def _prune(folder: Path) -> None:
    logs = sorted(folder.glob("error-*.txt"), key=lambda path: path.stat().st_mtime)
    for path in logs[:-_KEPT]:
        path.unlink(missing_ok=True)


def _flushed(status: int) -> int:
    """The exit status once the output is through."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _close_output()
    except OSError as error:
        _close_output()
        say(f"histoprompt: the output could not be written: {error.strerror}.")
        return status or 1
    return status


def _close_output() -> None:
    """Let what is left of the output go nowhere: who read it has seen enough, as `head` does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
