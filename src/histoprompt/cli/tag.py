"""`histoprompt tag`: words propose tags, a person reviews them, training data come out."""

from __future__ import annotations

import argparse
from pathlib import Path

from histoprompt.cli.options import add_device, add_mpp, add_trust_size, region_numbers
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.slides import NamedSlide, named_slides
from histoprompt.cli.speech import say, tell
from histoprompt.core.errors import ExportError, ParameterError
from histoprompt.core.strings.wording import many
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.project.project import is_project, open_project
from histoprompt.pipelines.recipes.beside import keep_recipe
from histoprompt.pipelines.recipes.recipe import RecipeStep
from histoprompt.pipelines.tags.params import TagParams
from histoprompt.pipelines.tags.records import TAGS_CSV
from histoprompt.pipelines.tags.review import read_review
from histoprompt.pipelines.tags.run import (
    SlideToTag,
    Tagged,
    kept_params,
    review,
    tag_slides,
)
from histoprompt.pipelines.tags.work import read_work

_SKIP = ("region",)


def add(tag: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    tag.add_argument("slides", nargs="*", metavar="SLIDE|PROJECT")
    tag.add_argument("--out", type=Path, metavar="DIR", help="folder of the results")
    tag.add_argument("--review", type=Path, metavar="FILE", help="answers: id, answer, tag")
    tag.add_argument("--reviewer", default="", metavar="NAME", help="who answered")
    tag.add_argument("--region", metavar="r0,c0,r1,c1", help="only this part of each slide")
    add_parameters(tag, TagParams, _SKIP)
    add_device(tag)
    add_mpp(tag)
    add_trust_size(tag)
    tag.set_defaults(run=_tag)


def _tag(args: argparse.Namespace) -> None:
    if args.out is None:
        raise ExportError("Name a folder for the results with --out.")
    if args.slides:
        _show(_tag_slides(args))
    elif args.review is None:
        raise ParameterError("Name slides to tag, or a review to take in with --review.")
    if args.review is not None:
        names = read_work(args.out).names
        said = read_review(args.review, names, args.reviewer)
        _show(review(args.out, said, args.task))
        tell(f"{many(len(said), 'answer')} taken in -> {args.out / TAGS_CSV}")


def _tag_slides(args: argparse.Namespace) -> Tagged:
    if args.tags is None:
        raise ParameterError("Name the file of tags with --tags.")
    slides = _slides(args)
    numbers: tuple[int, ...] = ()
    if args.region is not None:
        with slides[0].open() as first:
            numbers = region_numbers(args.region, first)
    params = read_parameters(TagParams, args, _SKIP, region=numbers)
    done = tag_slides(slides, params, ModelManager(device=args.device), args.out, args.task)
    keep_recipe(args.out, (RecipeStep("tag", kept_params(params)),))
    return done


def _slides(args: argparse.Namespace) -> list[SlideToTag]:
    """The slides with their patients, where a project tells them."""
    patients: dict[str, str] = {}
    for path in args.slides:
        if is_project(path):
            patients |= {slide.id: slide.patient for slide in open_project(path).slides}
    found: list[SlideToTag] = []
    taken: set[str] = set()
    for named in named_slides(args.slides, args.out):
        name = named.name if named.name not in taken else f"{named.name}-{len(taken) + 1}"
        taken.add(name)
        patient = patients.get(named.name, "") if named.folder else ""
        found.append(SlideToTag(name, _absolute(named), _opened(named, args), patient))
    return found


def _opened(named: NamedSlide, args: argparse.Namespace):  # type: ignore[no-untyped-def]  # noqa: ANN202
    return lambda: named.open(args)


def _absolute(named: NamedSlide) -> str:
    return str(Path(named.path).absolute()) if Path(named.path).exists() else named.path


def _show(done: Tagged) -> None:
    for note in done.notes:
        say(f"note: {note}")
    for line in done.told:
        tell(line)
