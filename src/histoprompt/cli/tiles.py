"""`histoprompt tiles`: learn classes of tiles from a few marked ones, and use what was learnt."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from histoprompt.cli.indexed import Indexed, in_project, index_all, slide_facts, whole_path
from histoprompt.cli.options import add_device, add_mpp, add_trust_size, keep_inputs
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.slides import NamedSlide, add_slides, named_slides
from histoprompt.cli.speech import say, tell
from histoprompt.core.errors import LabelError
from histoprompt.core.readers.naming import result_name
from histoprompt.core.strings.addresses import is_address
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.explore.from_index import tiles_of
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.tile_classes.apply import (
    TilesParams,
    classify_tiles,
    seen_as,
    write_classified,
)
from histoprompt.pipelines.explore.tile_classes.fit import (
    TileTrainParams,
    fit_marked,
    load_tiles,
    save_tiles,
)
from histoprompt.pipelines.explore.tile_classes.marks import TileMark, marked_tiles, read_marks
from histoprompt.pipelines.recipes.beside import keep_recipe
from histoprompt.pipelines.recipes.recipe import RecipeStep


def add(tiles: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = tiles.add_subparsers(metavar="ACTION", required=True)
    fit = actions.add_parser("fit", help="train a classifier on marked tiles")
    fit.add_argument(
        "slides", nargs="*", metavar="SLIDE|PROJECT", help="default: those that the marks name"
    )
    fit.add_argument(
        "--marks", required=True, type=Path, metavar="CSV",
        help="slide,row0,col0,row1,col1,class or slide,row,col,class",
    )  # fmt: skip
    fit.add_argument("--out", required=True, type=Path, metavar="FILE")
    add_parameters(fit, IndexParams)
    add_parameters(fit, TileTrainParams)
    apply = actions.add_parser("apply", help="give tiles their classes")
    add_slides(apply, "the results; default: in the project")
    add_parameters(apply, TilesParams)
    for action in (fit, apply):
        add_device(action)
        add_mpp(action)
        add_trust_size(action)
    fit.set_defaults(run=_fit)
    apply.set_defaults(run=_apply)


def _fit(args: argparse.Namespace) -> int:
    keep_inputs(args.out, args.marks)
    marks = read_marks(args.marks)
    seen, params = read_parameters(IndexParams, args), read_parameters(TileTrainParams, args)
    slides = _slides(args, marks)
    done = index_all(slides, seen, ModelManager(device=args.device), args)
    tiles = tiles_of(done.indexes)
    labels, notes = marked_tiles(marks, tiles, lambda mark: _slide_of(mark, done, args.marks))
    found = fit_marked(tiles, labels, params, seen)
    save_tiles(args.out, found)
    for note in (*notes, *found.fit.warnings):
        say(f"note: {note}")
    tell(f"{found.told} -> {args.out}")
    return done.status


def _slides(args: argparse.Namespace, marks: Sequence[TileMark]) -> list[NamedSlide]:
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


def _slide_of(mark: TileMark, done: Indexed, marks: Path) -> int | None:
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


def _apply(args: argparse.Namespace) -> int:
    params = read_parameters(TilesParams, args)
    classifier, about = load_tiles(params.file())
    slides = named_slides(args.slides, args.out)
    done = index_all(slides, seen_as(about), ModelManager(device=args.device), args)
    found = classify_tiles(tiles_of(done.indexes), classifier, about)
    args.task.repeat()  # files tell of all tiles or are not written
    folder = args.out or in_project(slides, "tiles")
    write_classified(folder, found, about)
    placed = replace(params, classifier=params.file().absolute())
    keep_recipe(folder, (RecipeStep("tiles", placed),), slide_facts(done.indexes))
    for note in found.notes():
        say(f"note: {note}")
    for name, mm2 in zip(found.names, found.mm2().sum(axis=0), strict=True):
        tell(f"{name}: {mm2:.3f} mm2")
    tell(f"{len(found.tiles)} tiles -> {folder}")
    return done.status
