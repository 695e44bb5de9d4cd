"""`histoprompt info`: what a slide file holds and lacks."""

from __future__ import annotations

import argparse

from histoprompt.cli.options import add_mpp
from histoprompt.cli.speech import tell
from histoprompt.core.slide_info import describe
from histoprompt.core.slide_io import open_slide


def add(info: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    info.add_argument("slide", help="a slide file or folder")
    add_mpp(info)
    info.set_defaults(run=_info)


def _info(args: argparse.Namespace) -> None:
    with open_slide(args.slide, mpp=args.mpp) as slide:
        rows = describe(slide)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        tell(f"{name:<{width}}  {value}")
