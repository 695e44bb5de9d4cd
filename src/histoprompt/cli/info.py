"""`histoprompt info`: what a slide file holds and lacks."""

from __future__ import annotations

import argparse

from histoprompt.cli.options import Commands, add_mpp, add_trust_size
from histoprompt.core.slide_info import describe
from histoprompt.core.slide_io import open_slide
from histoprompt.core.stain_look import look_at


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    info = commands.add_parser("info", help="what a slide file holds and lacks")
    info.add_argument("slide", help="a slide file or folder")
    add_mpp(info)
    add_trust_size(info)
    info.set_defaults(run=_info)


def _info(args: argparse.Namespace) -> None:
    slide = open_slide(args.slide, mpp=args.mpp, trust_size=args.trust_size)
    rows = describe(slide)
    rows += [("check", doubt) for doubt in look_at(slide)]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
