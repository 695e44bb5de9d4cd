"""Arguments that several commands share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from histoprompt.cli.speech import lines
from histoprompt.core.errors import ExportError, RegionError, SlideError
from histoprompt.core.strings.typed_numbers import check_mpp, parse_number

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

    from histoprompt.core.geometry import Box
    from histoprompt.core.slides.slide import Slide


# argparse has no public name for what `add_subparsers` returns.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class Parser(argparse.ArgumentParser):
    """A parser whose messages hold nothing that a terminal would obey."""

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        super()._print_message(lines(message), file)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add `--device`."""
    choices = ("auto", "cpu", "cuda", "mps")
    parser.add_argument("--device", default="auto", choices=choices, help="default: %(default)s")


def add_mpp(parser: argparse._ActionsContainer) -> None:
    """Add `--mpp`."""
    parser.add_argument(
        "--mpp", type=pixel_size, metavar="X", help="microns per pixel, if not stated"
    )


def add_trust_size(parser: argparse.ArgumentParser) -> None:
    """Add `--trust-size`."""
    parser.add_argument(
        "--trust-size",
        action="store_true",
        help="read a slide however much memory its file asks for",
    )


def number(text: str) -> float:
    """A number with a point or a comma, for `type=` of an argument."""
    try:
        return parse_number(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def pixel_size(text: str) -> float:
    """Microns per pixel that a slide can have, for `type=` of an argument."""
    try:
        return check_mpp(number(text))
    except SlideError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def positive(text: str) -> float:
    """A number above 0, for `type=` of an argument."""
    value = number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be a number above 0")
    return value


def whole(text: str) -> int:
    """A whole number, 0 or more, for `type=` of an argument."""
    value = number(text)
    if not 0 <= value < 2**53 or value != int(value):
        raise argparse.ArgumentTypeError("must be a whole number, 0 or more")
    return int(value)


def region_of(text: str | None, slide: Slide) -> Box:
    """The region asked for, or the whole slide."""
    from histoprompt.core.geometry import Box

    if text is None:
        return slide.box
    try:
        numbers = [int(v) for v in text[:200].split(",")]
        box = Box(*numbers)
    except (ValueError, TypeError) as error:
        raise RegionError(
            f"--region must be r0,c0,r1,c1 in level-0 pixels, not {text!r}."
        ) from error
    if not slide.box.covers(box):
        raise RegionError(
            f"--region {text} reaches outside the slide, which has {slide.shape[0]} rows and "
            f"{slide.shape[1]} columns."
        )
    return box


def region_numbers(text: str | None, slide: Slide) -> tuple[int, ...]:
    """The region asked for as four numbers; none for the whole slide. Raises as `region_of`."""
    return () if text is None else tuple(int(v) for v in region_of(text, slide))


def keep_inputs(out: Path, *inputs: Path) -> None:
    """Refuse to write over what is read."""
    for path in inputs:
        if os.path.realpath(out) == os.path.realpath(path):
            raise ExportError(f"--out {out} is what is to be read. Choose another name.")
