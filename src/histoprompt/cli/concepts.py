"""`histoprompt concepts`: learn which phrases and measures tell classes, and tell tiles by them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from histoprompt.cli.indexed import index_all
from histoprompt.cli.marked import AppliedSlides, fit_and_apply, marked_slides, slide_of
from histoprompt.cli.options import keep_inputs
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.speech import say, tell
from histoprompt.core.errors import PromptError
from histoprompt.core.files.documents import read_text
from histoprompt.core.strings.wording import many
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.explore.concepts.apply import tell_tiles, write_told
from histoprompt.pipelines.explore.concepts.concept_file import read_concepts, write_concepts
from histoprompt.pipelines.explore.concepts.fit import (
    ConceptModel,
    fit_concepts,
    kept_concepts,
    looked_at,
    marked_rows,
)
from histoprompt.pipelines.explore.concepts.params import ConceptApplyParams, ConceptParams
from histoprompt.pipelines.explore.concepts.values import concepts_of, values_of
from histoprompt.pipelines.explore.from_index import index_part, tiles_of
from histoprompt.pipelines.explore.tile_classes.apply import seen_as
from histoprompt.pipelines.explore.tile_classes.fit import check_encoder
from histoprompt.pipelines.explore.tile_classes.marks import read_marks
from histoprompt.pipelines.text.phrases import known_phrases

# Given with semicolons between or one after the other: a phrase may hold a comma.
_LISTS = ("phrases", "strike")
_MOST_TOLD = 5


def add(concepts: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    fit, apply = fit_and_apply(
        concepts,
        (
            "learn from marked tiles how concepts tell classes",
            "the class of each tile, and the concept that decided",
        ),
    )
    fit.add_argument(
        "--phrases", action="extend", type=_split, default=[], metavar="WORDS;WORDS",
        help="what may be seen in a tile; a|b: synonyms",
    )  # fmt: skip
    fit.add_argument(
        "--phrases-file", type=Path, metavar="FILE", help="a phrase per line; # begins a remark"
    )
    fit.add_argument(
        "--strike", action="extend", nargs="+", default=[], metavar="NAME",
        help="concepts that must not decide; what that costs is told",
    )  # fmt: skip
    add_parameters(fit, ConceptParams, _LISTS)
    add_parameters(apply, ConceptApplyParams)
    fit.set_defaults(run=_fit)
    apply.set_defaults(run=_apply)


def _fit(args: argparse.Namespace) -> int:
    inputs = [args.marks] if args.phrases_file is None else [args.marks, args.phrases_file]
    keep_inputs(args.out, *inputs)
    marks, manager = read_marks(args.marks), ModelManager(device=args.device)
    phrases, notes = known_phrases(_phrases(args), args.encoder, manager, args.task)
    for note in notes:
        say(f"note: {note}")
    params = read_parameters(
        ConceptParams, args, _LISTS, phrases=phrases, strike=tuple(args.strike)
    )
    concepts = concepts_of(params.phrases, measured=params.measured)
    kept_concepts(concepts, params.strike)  # refused before anything is looked at
    seen = index_part(params)
    done = index_all(marked_slides(args, marks), seen, manager, args)
    tiles = tiles_of(done.indexes)
    marked = marked_rows(marks, tiles, lambda mark: slide_of(mark, done, args.marks))
    taught = tiles[marked.rows]
    values = values_of(taught, concepts, seen.job(manager), done.open, args.task)
    found = fit_concepts(
        values, marked, taught.slide, concepts,
        strike=params.strike, strength=params.strength, about=looked_at(seen, tiles),
    )  # fmt: skip
    write_concepts(args.out, found)
    for note in marked.notes:
        say(f"note: {note}")
    _report(found, args.out)
    return done.status


def _report(found: ConceptModel, out: Path) -> None:
    for number, name in enumerate(found.classes):
        told = ", ".join(f"{one} {weight:+.2f}" for one, weight in found.strongest(number))
        tell(f"{name}: {told}")
    if found.struck:
        tell(f"{', '.join(found.struck)} struck out: {found.cost}")
    examples = ", ".join(f"{n} {name}" for name, n in found.examples.items())
    tell(f"{many(len(found.concepts), 'concept')} from {examples}; {found.score} -> {out}")


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]


def _phrases(args: argparse.Namespace) -> list[str]:
    """Phrases that were typed, then those of the file."""
    if args.phrases_file is None:
        return list(args.phrases)
    lines = read_text(args.phrases_file, PromptError).splitlines()
    read = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not read:
        raise PromptError(f"{args.phrases_file} holds no phrase. Write one per line.")
    return [*args.phrases, *read]


def _apply(args: argparse.Namespace) -> int:
    params = read_parameters(ConceptApplyParams, args)
    model = read_concepts(params.file())
    seen = replace(seen_as(model.about), weights=params.weights)
    manager = ModelManager(device=args.device)
    asked = AppliedSlides.of(args, seen, manager)
    check_encoder(model.about, asked.tiles)
    job = seen.job(manager)
    values = values_of(asked.tiles, model.concepts, job, asked.done.open, args.task)
    found = tell_tiles(asked.tiles, values, model)
    args.task.repeat()  # files tell of all tiles or are not written
    folder = asked.folder(args, "concepts")
    write_told(folder, found)
    asked.keep(folder, "concepts", params)
    for name, mm2 in zip(model.classes, found.mm2(), strict=True):
        tell(f"{name}: {mm2:.3f} mm2")
    decided = ", ".join(f"{name} {count}" for name, count in found.often()[:_MOST_TOLD])
    tell(f"{many(len(asked.tiles), 'tile')}, decided by {decided or 'no concept'} -> {folder}")
    return asked.done.status
