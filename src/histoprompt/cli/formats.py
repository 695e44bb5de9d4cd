"""`histoprompt formats`: the file formats of labels."""

from __future__ import annotations

import argparse

from histoprompt.cli.speech import tell
from histoprompt.pipelines.formats.catalogue import FORMATS


def add(formats: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    formats.set_defaults(run=_formats)


def _formats(args: argparse.Namespace) -> None:
    tell(f"{'format':<16} {'reads':<6} {'writes':<7} {'tiles':<6} holds")
    for one in FORMATS:
        marks = ("yes" if flag else "-" for flag in (one.reads, one.write, one.tiled))
        reads, writes, tiled = marks
        tell(f"{one.name:<16} {reads:<6} {writes:<7} {tiled:<6} {', '.join(one.holds)}")
