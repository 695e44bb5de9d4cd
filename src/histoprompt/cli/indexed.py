"""Slides of a command as indexes, for commands that work on all of them at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from histoprompt.cli.ending import each
from histoprompt.cli.slides import NamedSlide
from histoprompt.core.errors import RegionError
from histoprompt.core.files.own_folder import own_folder
from histoprompt.core.strings.addresses import is_address
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.explore.index import IndexParams, SlideIndex
from histoprompt.pipelines.explore.indexing import index_slide

if TYPE_CHECKING:
    from histoprompt.core.slides.slide import Slide
    from histoprompt.pipelines.explore.tile_set import TiledSlide


@dataclass(frozen=True)
class Indexed:
    """Slides that were indexed.

    Attributes
    ----------
    indexes : list of SlideIndex
    named : dict of str to NamedSlide
        By the path that their index has.
    status : int
        1 if a slide could not be indexed.
    args : Namespace
    """

    indexes: list[SlideIndex]
    args: argparse.Namespace
    named: dict[str, NamedSlide] = field(default_factory=dict)
    status: int = 0

    def open(self, slide: TiledSlide) -> AbstractContextManager[Slide]:
        """Open a slide to read pictures of it."""
        return self.named[slide.path].open(self.args)


def index_all(
    slides: Sequence[NamedSlide],
    params: IndexParams,
    manager: ModelManager,
    args: argparse.Namespace,
) -> Indexed:
    """Index slides; what is wrong with one is told, and does not keep the others from it.

    Raises
    ------
    RegionError
        If none could be indexed.
    """
    done: list[SlideIndex] = []
    named: dict[str, NamedSlide] = {}

    def index_one(one: NamedSlide) -> int:
        with one.open(args) as slide:
            found = index_slide(slide, params, manager, args.task, name=one.name)
        done.append(replace(found, path=one.path))
        named[one.path] = one
        return 0

    status = each(slides, index_one, args.task, ("slide", "slides"))
    if not done:
        raise RegionError("No slide could be indexed.")
    return Indexed(done, args, named, status)


def whole_path(path: str) -> str:
    """A path that holds in any folder; an address as it is."""
    return path if is_address(path) else str(Path(path).absolute())


def in_project(slides: Sequence[NamedSlide], subject: str) -> Path:
    """The folder of results of all slides of a project, beside those of each slide.

    Raises
    ------
    ExportError
        If a link lies in its place.
    """
    return own_folder(Path(slides[0].folder or Path()).parent / subject)


def slide_facts(indexes: Sequence[SlideIndex]) -> dict[str, str]:
    """Which slides results are of, for their recipe."""
    if len(indexes) == 1:
        return {"slide": indexes[0].slide}
    return {"slides": ", ".join(index.name for index in indexes)}
