"""`histoprompt info`: what a slide file holds and lacks."""

from __future__ import annotations

import argparse

from histoprompt.cli.options import add_mpp, add_trust_size
from histoprompt.cli.remedies import WAYS
from histoprompt.cli.speech import tell
from histoprompt.core.errors import Remedy
from histoprompt.core.readers.open import open_slide
from histoprompt.core.readers.pixel_size import MISSING
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
        rows = [(name, _told(value)) for name, value in describe(slide)]
        rows += [("check", doubt) for doubt in look_at(slide)]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        tell(f"{name:<{width}}  {value}")


def _told(note: str) -> str:
    """What is missing, and the option that gives it."""
    return f"{note} ({WAYS[Remedy.PIXEL_SIZE]})" if note == MISSING else note
