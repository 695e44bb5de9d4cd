"""Slides that a table of marks names, for commands that learn from marked tiles."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histoprompt.cli.indexed import Indexed, in_project, index_all, slide_facts, whole_path
from histoprompt.cli.options import add_device, add_mpp, add_trust_size
from histoprompt.cli.slides import NamedSlide, add_slides, named_slides
from histoprompt.core.errors import LabelError
from histoprompt.core.readers.naming import result_name
from histoprompt.core.strings.addresses import is_address
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.explore.from_index import tiles_of
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.tile_classes.marks import TileMark
from histoprompt.pipelines.explore.tile_set import TileSet
from histoprompt.pipelines.recipes.beside import keep_recipe, placed
from histoprompt.pipelines.recipes.recipe import RecipeStep


def _add_marks(fit: argparse.ArgumentParser) -> None:
    """Add the arguments SLIDE... and ``--marks``."""
    fit.add_argument(
        "slides", nargs="*", metavar="SLIDE|PROJECT", help="default: those that the marks name"
    )
    fit.add_argument(
        "--marks", required=True, type=Path, metavar="CSV",
        help="slide,row0,col0,row1,col1,class or slide,row,col,class",
    )  # fmt: skip


def fit_and_apply(
    parser: argparse.ArgumentParser, helps: tuple[str, str]
) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The actions ``fit`` and ``apply`` of a command that learns from marked tiles."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    fit, apply = (
        actions.add_parser(name, help=told)
        for name, told in zip(("fit", "apply"), helps, strict=True)
    )
    _add_marks(fit)
    fit.add_argument("--out", required=True, type=Path, metavar="FILE")
    add_slides(apply, "the results; default: in the project")
    for action in (fit, apply):
        add_device(action)
        add_mpp(action)
        add_trust_size(action)
    return fit, apply


@dataclass(frozen=True, eq=False)
class AppliedSlides:
    """Slides whose tiles something that was learnt is asked of.

    Attributes
    ----------
    slides : list of NamedSlide
    done : Indexed
    tiles : TileSet
    """

    slides: list[NamedSlide]
    done: Indexed
    tiles: TileSet

    @classmethod
    def of(
        cls, args: argparse.Namespace, seen: IndexParams, manager: ModelManager
    ) -> AppliedSlides:
        """Index the slides of a command as what was learnt wants them."""
        slides = named_slides(args.slides, args.out)
        done = index_all(slides, seen, manager, args)
        return cls(slides, done, tiles_of(done.indexes))

    def folder(self, args: argparse.Namespace, step: str) -> Path:
        """Where the results go."""
        return Path(args.out or in_project(self.slides, step))

    def keep(self, folder: Path, step: str, params: Any) -> None:
        """Leave a recipe beside results that are written."""
        keep_recipe(folder, (RecipeStep(step, placed(params)),), slide_facts(self.done.indexes))


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
