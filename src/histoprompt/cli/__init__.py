"""The command line: everything the docks do, on a machine without a screen.

One file per command, imported when the command is chosen. Exit status: 0 for success, 1 for a
mistake of the user's or for one of several files that failed (a line says which), 2 for wrong
usage, 130 for an interrupt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from histoprompt.core.task import Task

# What `--help` shows, in its order. Each command is the module of its name.
COMMANDS = {
    "info": "what a slide file holds and lacks",
    "segment": "prompts to a label image",
    "export": "labels to training data",
    "import": "labels and outlines of other programs",
    "formats": "file formats of labels: which are read, which are written",
    "count": "all cells of slides: labels, tables, a report",
    "counts": "the counts of a slide kept by the Count dock, with what was corrected by hand",
    "audit": "correct a count by fields counted by eye",
    "classify": "classes of cells from a few examples",
    "score": "words to heat maps, regions and counts",
    "index": "what an encoder sees in the tiles of slides",
    "anomaly": "tiles that are unlike normal tissue",
    "cluster": "scenes: kinds of tissue, over all slides",
    "tiles": "classes of tiles from a few marked ones",
    "concepts": "classes of tiles told by phrases and measures, and which decided",
    "search": "more like this: tiles like examples, over slides and projects",
    "words": "phrases understood, and wordings of tags drafted",
    "align": "a vocabulary of one's own from sentences about slides",
    "tag": "tags for cells or tiles by words, reviewed, as training data",
    "detect": "a detector learnt from reviewed tags",
    "train": "train the project's own heads on your exports",
    "bench": "how good a model is on data of your own",
    "models": "which models there are, and their weights",
    "run": "a recipe on slides or a project, here or on a cluster",
    "describe": "all steps of recipes and their parameters",
    "methods": "the methods paragraph of what was done",
    "project": "many slides as one study",
    "relate": "features of slides against patient data, tested within sites",
    "labels": "the committed objects of a slide, as kept on disk",
    "cache": "what is kept between runs, and taking it away",
    "doctor": "check this machine",
    "demo": "the sample slide in napari",
}
# Where a command's name is no name of a module.
_MODULES = {"import": "import_"}


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
    # The commands take seconds to import, and even then Ctrl-C and faults must end in one line.
    import logging

    from histoprompt.cli.ending import ended
    from histoprompt.cli.speech import terminal_task

    # Libraries log what they stumble over; what matters of it is said here in one line.
    logging.basicConfig(handlers=[logging.NullHandler()])
    return ended(lambda task: _run(argv, task), terminal_task(), whole_process=argv is None)


def _run(argv: Sequence[str] | None, task: Task) -> int:
    args = build_parser().parse_args(argv)
    args.task = task
    return int(args.run(args) or 0)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    from histoprompt import __version__
    from histoprompt.cli.lazy import CommandParser
    from histoprompt.cli.options import Parser

    parser = Parser(
        prog="histoprompt",
        description="Prompt, correct, count and export in histology slides.",
    )
    parser.add_argument("--version", action="version", version=f"histoprompt {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=CommandParser)
    for name, about in COMMANDS.items():
        commands.add_parser(name, help=about, module=f"{__name__}.{_MODULES.get(name, name)}")
    return parser
