"""`histoprompt tiles`: learn classes of tiles from a few marked ones, and use what was learnt."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from histoprompt.cli.indexed import index_all
from histoprompt.cli.marked import AppliedSlides, fit_and_apply, marked_slides, slide_of
from histoprompt.cli.options import keep_inputs
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.speech import say, tell
from histoprompt.core.strings.wording import many
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
    with_looks,
)
from histoprompt.pipelines.explore.tile_classes.marks import marked_tiles, read_marks
from histoprompt.pipelines.explore.tile_classes.queue import (
    learning_curve,
    queue_of,
    write_worth_marking,
)

# Tiles that are offered for marks at once.
_ASKED = 20


def add(tiles: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    fit, apply = fit_and_apply(
        tiles, ("train a classifier on marked tiles", "give tiles their classes")
    )
    add_parameters(fit, IndexParams)
    add_parameters(fit, TileTrainParams)
    fit.add_argument(
        "--ask",
        type=Path,
        metavar="CSV",
        help="write the tiles most worth a mark, with what they seem to be",
    )
    add_parameters(apply, TilesParams)
    fit.set_defaults(run=_fit)
    apply.set_defaults(run=_apply)


def _fit(args: argparse.Namespace) -> int:
    keep_inputs(args.out, args.marks)
    if args.ask is not None:
        keep_inputs(args.ask, args.marks)
    marks = read_marks(args.marks)
    seen, params = read_parameters(IndexParams, args), read_parameters(TileTrainParams, args)
    slides = marked_slides(args, marks)
    done = index_all(slides, seen, ModelManager(device=args.device), args)
    tiles = tiles_of(done.indexes)
    labels, notes = marked_tiles(marks, tiles, lambda mark: slide_of(mark, done, args.marks))
    found = fit_marked(tiles, labels, params, seen)
    found = with_looks(found, tiles, labels, done.open, args.task)
    save_tiles(args.out, found)
    for note in (*notes, *found.warnings):
        say(f"note: {note}")
    tell(f"{found.told} -> {args.out}")
    queue = queue_of(tiles, found, labels)
    curve = learning_curve(tiles, labels, params, seen)
    if len(curve) > 1:
        points = ", ".join(f"{p.accuracy:.2f} with {p.labels}" for p in curve)
        tell(f"balanced accuracy on marks left out, by number of marks: {points}")
    queue = replace(queue, review=replace(queue.review, curve=curve))
    tell(queue.hint)
    if args.ask is not None:
        count = write_worth_marking(args.ask, queue, _ASKED)
        tell(f"{many(count, 'tile')} worth a mark -> {args.ask}")
    return done.status


def _apply(args: argparse.Namespace) -> int:
    params = read_parameters(TilesParams, args)
    classifier, about = load_tiles(params.file())
    asked = AppliedSlides.of(args, seen_as(about), ModelManager(device=args.device))
    found = classify_tiles(asked.tiles, classifier, about, asked.done.open, args.task)
    args.task.repeat()  # files tell of all tiles or are not written
    folder = asked.folder(args, "tiles")
    write_classified(folder, found, about)
    asked.keep(folder, "tiles", params)
    for note in found.notes():
        say(f"note: {note}")
    for name, mm2 in zip(found.names, found.mm2().sum(axis=0), strict=True):
        tell(f"{name}: {mm2:.3f} mm2")
    tell(f"{many(len(found.tiles), 'tile')} -> {folder}")
    return asked.done.status
