"""SLIDE arguments: files, folders, and projects with all of their slides."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from histoprompt.cli.ending import each
from histoprompt.cli.options import add_mpp, add_trust_size
from histoprompt.core.errors import ExportError, ProjectError
from histoprompt.core.files.own_folder import own_folder
from histoprompt.core.readers.naming import result_name

if TYPE_CHECKING:
    from histoprompt.core.slides.slide import Slide


@dataclass(frozen=True)
class NamedSlide:
    """A slide that a command was given.

    Attributes
    ----------
    path : str
    name : str
        For messages, and the folder of its results.
    mpp : float or None
        As the table of its project says.
    folder : Path or None
        What was made of it lies there, if it is one of a project.
    key : str
        Of the slide, where its project knows it.
    """

    path: str
    name: str
    mpp: float | None = None
    folder: Path | None = None
    key: str = ""

    def __str__(self) -> str:
        return self.name if self.folder else self.path

    def place(self, out: Path | None, subject: str) -> tuple[Path, str]:
        """The folder, and the name in it, for results of a subject such as ``"count"``."""
        if out is not None or self.folder is None:
            return out or Path(), self.name
        return own_folder(self.folder), subject

    def open(self, args: argparse.Namespace, channel: str | None = None) -> Slide:
        """Open it; what is typed goes before the table. Raises as `open_slide` does.

        `channel` is the one asked for, of fluorescence.
        """
        from histoprompt.core.readers.open import open_slide

        if not self.path:
            raise ProjectError(f"{self.name} has no path in the table of its project.")
        typed = self.mpp if args.mpp is None else args.mpp
        return open_slide(self.path, typed, channel=channel, trust_size=args.trust_size)


def add_slides(
    parser: argparse.ArgumentParser, out: str = "a folder per slide; default: in the project"
) -> None:
    """Add the argument SLIDE..., and ``--out``, which slides of a project do not need."""
    parser.add_argument("slides", nargs="+", metavar="SLIDE|PROJECT")
    parser.add_argument("--out", type=Path, metavar="DIR", help=out)


def add_slide(parser: argparse.ArgumentParser) -> None:
    """Add the argument SLIDE of a command that works on one, and how it is opened."""
    parser.add_argument("slide", metavar="SLIDE", help="a slide file or folder")
    add_mpp(parser)
    add_trust_size(parser)


def add_some_slides(parser: argparse.ArgumentParser) -> None:
    """Add the argument SLIDE|PROJECT... of a command that writes nothing, and how to open them."""
    parser.add_argument("slides", nargs="+", metavar="SLIDE|PROJECT", help="or all of a project")
    add_mpp(parser)
    add_trust_size(parser)


def slide_of(args: argparse.Namespace) -> Slide:
    """The slide of `add_slide`, opened; raises as `open_slide` does."""
    return NamedSlide(args.slide, result_name(args.slide)).open(args)


def each_slide(args: argparse.Namespace, work: Callable[[NamedSlide, bool], int | None]) -> int:
    """Do something with each of `add_some_slides`; what fails does not keep the others from it.

    Parameters
    ----------
    args : Namespace
    work : callable
        Given a slide, and whether it is one of several; gives 0, None or the exit status.
    """
    slides, status = named_slides(args.slides, None, without_out=True), 0

    def one(slide: NamedSlide) -> int:
        nonlocal status
        status = max(status, work(slide, len(slides) > 1) or 0)
        return 0

    return max(each(slides, one, args.task, ("slide", "slides")), status)


def named_slides(
    paths: Sequence[str], out: Path | None, *, without_out: bool = False
) -> list[NamedSlide]:
    """All slides that a command was given, those of projects one by one.

    Parameters
    ----------
    paths : sequence of str
    out : Path or None
        The folder for results.
    without_out : bool
        Whether slides that are in no project need no place for results.

    Raises
    ------
    ProjectError
        If a project cannot be read or has no slides.
    ExportError
        If there is no place for the results of a slide that is in no project.
    """
    from histoprompt.pipelines.project.project import is_project, open_project

    found: list[NamedSlide] = []
    for path in paths:
        if not is_project(path):
            found.append(NamedSlide(path, result_name(path)))
            continue
        project = open_project(path)
        if not project.slides:
            raise ProjectError(f"{project.name} has no slides yet. Add some.")
        found += [
            NamedSlide(project.place(s), s.id, s.mpp, project.results(s), s.key)
            for s in project.slides
        ]
    if out is None and not without_out and any(slide.folder is None for slide in found):
        raise ExportError("Name a folder for the results with --out.")
    return found
