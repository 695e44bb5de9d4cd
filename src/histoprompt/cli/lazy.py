"""Commands that are imported when they are chosen, so that `--help` and mistakes cost nothing."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from histoprompt.cli.options import Parser


class CommandParser(Parser):
    """The parser of one command; its module adds the arguments when they are needed first.

    Parameters
    ----------
    module : str
        The dotted name of the command's module, which has a function ``add(parser)``; empty where
        the arguments are there already.
    """

    def __init__(self, *args: Any, module: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._module = module

    def fill(self) -> None:
        """Import the command's module and have it add its arguments."""
        module, self._module = self._module, ""
        if module:
            import_module(module).add(self)

    # argparse hands the rest of a command line to this method of the parser that was chosen.
    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse arguments, as the parser of argparse does."""
        self.fill()
        return super().parse_known_args(args, namespace)
