"""`histoprompt info`: what a slide file holds and lacks."""

from __future__ import annotations

import argparse

from histoprompt.cli.remedies import WAYS
from histoprompt.cli.slides import NamedSlide, add_some_slides, each_slide
from histoprompt.cli.speech import tell
from histoprompt.core.errors import Remedy
from histoprompt.core.readers.pixel_size import MISSING
from histoprompt.core.slides.info import describe
from histoprompt.core.stain.look import look_at


def add(info: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_some_slides(info)
    info.set_defaults(run=_info)


def _info(args: argparse.Namespace) -> int:
    def one(named: NamedSlide, several: bool) -> None:
        with named.open(args) as slide:
            rows = [(name, _told(value)) for name, value in describe(slide)]
            rows += [("check", doubt) for doubt in look_at(slide)]
        width = max(len(name) for name, _ in rows)
        if several:
            tell(f"== {named}")
        for name, value in rows:
            tell(f"{name:<{width}}  {value}")

    return each_slide(args, one)


def _told(note: str) -> str:
    """What is missing, and the option that gives it."""
    return f"{note} ({WAYS[Remedy.PIXEL_SIZE]})" if note == MISSING else note
