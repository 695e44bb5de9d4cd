"""Arguments that several commands share, and how they speak to a terminal."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TypeAlias

from histoprompt.core.errors import ExportError, RegionError, SlideError
from histoprompt.core.geometry import Box
from histoprompt.core.slide import Slide
from histoprompt.core.task import Progress, Task
from histoprompt.core.typed_numbers import check_mpp, parse_number

# argparse has no public name for what `add_subparsers` returns.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add `--device`."""
    choices = ("auto", "cpu", "cuda", "mps")
    parser.add_argument("--device", default="auto", choices=choices, help="default: %(default)s")


def add_mpp(parser: argparse.ArgumentParser) -> None:
    """Add `--mpp`."""
    parser.add_argument(
        "--mpp", type=pixel_size, metavar="X", help="microns per pixel, if not stated"
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


def region_of(text: str | None, slide: Slide) -> Box:
    """The region asked for, or the whole slide."""
    if text is None:
        return slide.box
    try:
        numbers = [int(v) for v in text.split(",")]
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


def keep_inputs(out: Path, *inputs: Path) -> None:
    """Refuse to write over what is read."""
    for path in inputs:
        if out.resolve() == path.resolve():
            raise ExportError(f"--out {out} is what is to be read. Choose another name.")


def terminal_task() -> Task:
    """Progress on one line of a terminal; silence elsewhere."""

    def report(progress: Progress) -> None:
        end = "\n" if progress.done >= progress.total else ""
        line = f"{progress.text} {progress.done}/{progress.total}"
        sys.stderr.write(f"\r{line[:78]:<78}{end}")
        sys.stderr.flush()

    return Task(report) if sys.stderr.isatty() else Task()


def say(text: str) -> None:
    """Write a line to the standard error."""
    print(text, file=sys.stderr)
