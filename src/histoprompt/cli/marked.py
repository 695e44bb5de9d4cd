"""Slides that a table of marks names, for commands that learn from marked tiles."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from histoprompt.cli.indexed import Indexed, whole_path
from histoprompt.cli.slides import NamedSlide, named_slides
from histoprompt.core.errors import LabelError
from histoprompt.core.readers.naming import result_name
from histoprompt.core.strings.addresses import is_address
from histoprompt.pipelines.explore.tile_classes.marks import TileMark


def add_marks(fit: argparse.ArgumentParser) -> None:
    """Add the arguments SLIDE... and ``--marks``."""
    fit.add_argument(
        "slides", nargs="*", metavar="SLIDE|PROJECT", help="default: those that the marks name"
    )
    fit.add_argument(
        "--marks", required=True, type=Path, metavar="CSV",
        help="slide,row0,col0,row1,col1,class or slide,row,col,class",
    )  # fmt: skip


def marked_slides(args: argparse.Namespace, marks: Sequence[TileMark]) -> list[NamedSlide]:
    """Those that are given, or those that the marks name."""
    if args.slides:
        return named_slides(args.slides, args.out)
    named = list(dict.fromkeys(mark.slide for mark in marks))
    if "" in named:
        raise LabelError(f"{args.marks} does not name its slide. Name the slide before --marks.")
    return [NamedSlide(path := _path(name, args.marks), result_name(path)) for name in named]


def _path(name: str, marks: Path) -> str:
    """Where a slide that marks name lies: at that path, or by its name beside the marks."""
    if is_address(name) or Path(name).exists():
        return name
    if (marks.parent / name).exists():
        return str(marks.parent / name)
    for folder in (marks.parent, Path()):
        for path in sorted(folder.iterdir()):
            if result_name(path.name) == name and path.suffix not in (".csv", ".json", ".html"):
                return str(path)
    raise LabelError(
        f"The slide {name!r} of {marks} was not found. Write its path into the column slide, or "
        "name the slides."
    )


def slide_of(mark: TileMark, done: Indexed, marks: Path) -> int | None:
    """The number of the slide that a mark lies on."""
    if not mark.slide:
        return 0 if len(done.indexes) == 1 else None
    for number, index in enumerate(done.indexes):
        if mark.slide in (index.name, index.path, index.slide):
            return number
    wanted = {whole_path(mark.slide), whole_path(str(marks.parent / mark.slide))}
    places = [n for n, index in enumerate(done.indexes) if whole_path(index.path) in wanted]
    names = [n for n, index in enumerate(done.indexes) if index.name == result_name(mark.slide)]
    return next(iter([*places, *names]), None)
