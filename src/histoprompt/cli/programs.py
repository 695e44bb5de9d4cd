"""Asking before weights are loaded that are a program."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from histoprompt.cli.speech import agrees, say
from histoprompt.core.errors import WeightsError
from histoprompt.models import registry
from histoprompt.models.weights import trust


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add `--trust-program`."""
    parser.add_argument(
        "--trust-program",
        action="store_true",
        help="load weights that are a program (TorchScript)",
    )


def agree_to_program(model: str, weights: Path | None, *, accepted: bool) -> None:
    """Have a person trust the program that a model's weights are, once for each file.

    Raises
    ------
    WeightsError
        If nobody does.
    """
    card = registry.card(model)
    path = trust.program_of(card, weights)
    if path is None or trust.is_trusted(path):
        return
    told = trust.statement(card, path)
    if not accepted:
        if not sys.stdin.isatty():
            raise WeightsError(f"{told} Then add --trust-program; it is asked once for each file.")
        say(told)
        if not agrees("Do you trust this program?"):
            raise WeightsError(f"{path} was not trusted: nothing was loaded.")
    trust.trust(path)
