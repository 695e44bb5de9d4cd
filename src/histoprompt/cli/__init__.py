"""The command line: everything the docks do, on a machine without a screen.

One file a command; each adds itself to the parser. Exit status: 0 for success, 1 for a mistake of
the user's (one line says which), 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from histoprompt import __version__
from histoprompt.cli import (
    audit,
    bench,
    classify,
    count,
    demo,
    doctor,
    exchange,
    export,
    info,
    models,
    score,
    segment,
    train,
)
from histoprompt.cli.interrupt import cancelled_by_interrupt
from histoprompt.cli.options import say, terminal_task
from histoprompt.core.errors import Cancelled, HistopromptError

# In the order `--help` shows them.
COMMANDS = (
    info,
    segment,
    export,
    exchange,
    count,
    audit,
    classify,
    score,
    train,
    bench,
    models,
    doctor,
    demo,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process if not given.

    Returns
    -------
    int
        The exit status.
    """
    # Libraries log what they stumble over; what matters of it is said here in one line.
    logging.basicConfig(handlers=[logging.NullHandler()])
    try:
        args = build_parser().parse_args(argv)
        args.task = terminal_task()
        with cancelled_by_interrupt(args.task):
            status = int(args.run(args) or 0)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads the output has seen enough, as `head` does; nothing more may be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, Cancelled):
        say("histoprompt: interrupted; nothing half-written was left.")
        return 130
    except HistopromptError as error:
        say(f"histoprompt: {' '.join(str(error).split())}")
        return 1
    return status


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="histoprompt",
        description="Prompt, correct, count and export in histology slides.",
    )
    parser.add_argument("--version", action="version", version=f"histoprompt {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser
