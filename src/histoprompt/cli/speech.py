"""How the commands speak: lines to a terminal that hold nothing a terminal would obey."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterable
from typing import TextIO

from histoprompt.core.strings.printable import spelt
from histoprompt.core.task import Progress, Task

# Control characters (with the escapes of terminals) and what turns the direction of writing; a
# name or a message of another program may hold any of them.
_OBEYED = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_BREAKS = re.compile(r"[\t\n]")


def printable(text: str) -> str:
    """A text as one line, each character that a terminal would obey written as its code."""
    return _BREAKS.sub(_spelt, lines(text))


def lines(text: str) -> str:
    """As `printable`, with line breaks and tabs kept."""
    return _OBEYED.sub(_spelt, text)


def tell(text: object, *, page: bool = False) -> None:
    """Write a result to the standard output: a line, or a page of several."""
    _write(sys.stdout, (lines if page else printable)(str(text)) + "\n")


def say(text: str, *, page: bool = False) -> None:
    """Write a remark to the standard error; one that nobody reads is no fault."""
    with contextlib.suppress(OSError):
        _write(sys.stderr, (lines if page else printable)(text) + "\n")


def tell_notes(notes: Iterable[str]) -> None:
    """Say what a person should know of results, a line each."""
    for note in notes:
        say(f"note: {note}")


def agrees(question: str) -> bool:
    """Ask a person at the terminal; no answer is no."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def terminal_task() -> Task:
    """Progress on one line of a terminal; silence elsewhere."""

    def report(progress: Progress) -> None:
        end = "\n" if progress.done >= progress.total else ""
        line = printable(f"{progress.text} {progress.done}/{progress.total}")
        with contextlib.suppress(OSError):
            _write(sys.stderr, f"\r{line[:78]:<78}{end}")
            sys.stderr.flush()

    # a program without a window may have no standard error at all
    seen = sys.stderr is not None and sys.stderr.isatty()
    return Task(report) if seen else Task()


def _write(stream: TextIO | None, text: str) -> None:
    """Write what the stream's encoding lacks as codes, so that no name ends a command."""
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _spelt(found: re.Match[str]) -> str:
    return spelt(found[0])
