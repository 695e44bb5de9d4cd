"""The command line: everything the docks do, on a machine without a screen.

One file per command, imported when the command is chosen. Exit status: 0 for success, 1 for a
mistake of the user's (one line says which), 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from histoprompt import __version__
from histoprompt.cli.interrupt import cancelled_by_interrupt
from histoprompt.cli.lazy import CommandParser
from histoprompt.cli.options import say, terminal_task
from histoprompt.core.errors import Cancelled, HistopromptError

# What `--help` shows, in its order. Each command is the module of its name.
COMMANDS = {
    "info": "what a slide file holds and lacks",
    "segment": "prompts to a label image",
    "export": "labels to training data",
    "count": "all cells of slides: labels, tables, a report",
    "audit": "correct a count by fields counted by eye",
    "classify": "classes of cells from a few examples",
    "score": "words to heat maps, regions and counts",
    "train": "train the project's own heads on your exports",
    "bench": "how good a model is on data of your own",
    "models": "which models there are, and their weights",
    "doctor": "check this machine",
    "demo": "the sample slide in napari",
}


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
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=CommandParser)
    for name, about in COMMANDS.items():
        commands.add_parser(name, help=about, module=f"{__name__}.{name}")
    return parser
