"""`histoprompt info`: what a slide file holds and lacks."""

from __future__ import annotations

import argparse

from histoprompt.cli.options import add_mpp, add_trust_size
from histoprompt.cli.speech import tell
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.info import describe
from histoprompt.core.stain.look import look_at


def add(info: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    info.add_argument("slide", help="a slide file or folder")
    add_mpp(info)
    add_trust_size(info)
    info.set_defaults(run=_info)


def _info(args: argparse.Namespace) -> None:
    with open_slide(args.slide, mpp=args.mpp, trust_size=args.trust_size) as slide:
        rows = describe(slide)
        rows += [("check", doubt) for doubt in look_at(slide)]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        tell(f"{name:<{width}}  {value}")
