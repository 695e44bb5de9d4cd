"""`histoprompt search`: more like this, over slides and projects."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from histoprompt.cli.ending import each
from histoprompt.cli.options import add_device, add_mpp, add_trust_size
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.slides import NamedSlide, named_slides
from histoprompt.cli.speech import say, tell
from histoprompt.core.errors import PromptError
from histoprompt.core.strings.addresses import is_address
from histoprompt.core.strings.wording import many
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.explore.building import open_index, other_weights
from histoprompt.pipelines.explore.exact import Bank
from histoprompt.pipelines.explore.examples import Example
from histoprompt.pipelines.explore.hits import GALLERY, HITS, hits_of, write_gallery, write_hits
from histoprompt.pipelines.explore.index import SlideIndex
from histoprompt.pipelines.explore.indexing import index_slide
from histoprompt.pipelines.explore.project_index import ProjectIndex
from histoprompt.pipelines.explore.search import Asker, SearchParams, answered, index_params
from histoprompt.pipelines.explore.search_step import open_picture
from histoprompt.pipelines.recipes.beside import keep_recipe, placed
from histoprompt.pipelines.recipes.recipe import RecipeStep

if TYPE_CHECKING:
    from histoprompt.core.slides.slide import Slide

# Given once per example, not as a list.
_TOLD = ("like", "unlike", "texts")


def add(search: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    search.add_argument("slides", nargs="+", metavar="SLIDE|PROJECT")
    search.add_argument("--out", type=Path, metavar="DIR", required=True)
    what = "a picture, r0,c0,r1,c1 on the first slide, or SLIDE:r0,c0,r1,c1"
    for name, text in (("like", what), ("unlike", "the same, of what is not meant")):
        search.add_argument(
            f"--{name}", action="append", default=[], metavar="FILE|r0,c0,r1,c1", help=text
        )
    search.add_argument(
        "--text",
        action="append",
        default=[],
        metavar="WORDS",
        help="for encoders that know words; a|b: synonyms",
    )
    add_parameters(search, SearchParams, _TOLD)
    add_device(search)
    add_mpp(search)
    add_trust_size(search)
    search.set_defaults(run=_search)


def _search(args: argparse.Namespace) -> int:
    given = {"like": tuple(args.like), "unlike": tuple(args.unlike), "texts": tuple(args.text)}
    params = read_parameters(SearchParams, args, _TOLD, **given)
    params.question  # noqa: B018 what cannot be read is refused before anything is looked at
    manager = ModelManager(device=args.device)
    job = index_params(params).embed_job(manager)
    named = named_slides(args.slides, args.out)
    done: list[tuple[NamedSlide, SlideIndex]] = []

    def index_one(one: NamedSlide) -> int:
        done.append((one, _indexed(one, params, manager, args)))
        return 0

    status = each(named, index_one, args.task, ("slide", "slides"))
    if not done:
        return status
    slides = [one for one, _ in done]
    if slides[0] is not named[0] and _lies_on_first(params):
        raise PromptError(f"The example lies on {named[0].name}, which is not indexed.")
    bank = Bank(ProjectIndex(tuple(part for _, part in done)))
    asker = Asker(bank, job, lambda place: _slide_of(place, slides, args), open_picture)
    answers = answered(asker, params, args.task)
    hits = hits_of(bank.index, answers)
    args.task.repeat()  # files tell of one search or are not written
    write_hits(args.out / HITS, hits)
    asked = [*(str(Example.parse(text)) for text in params.like), *params.texts]
    write_gallery(
        args.out / GALLERY,
        hits,
        lambda k: slides[k].open(args),
        args.task,
        told=answers.told,
        asked=asked,
    )
    _keep_recipe(args.out, params, done[0])
    for line in answers.told:
        tell(line)
    what = "cells" if params.cells else "tiles"
    tell(f"{many(len(hits), 'hit')} among {len(bank)} {what} -> {args.out / HITS}")
    return status


def _indexed(
    named: NamedSlide, params: SearchParams, manager: ModelManager, args: argparse.Namespace
) -> SlideIndex:
    """The index of a slide, as it is kept or made now."""
    indexed = index_params(params)
    with named.open(args) as slide:
        other = "" if indexed.cells else other_weights(slide, indexed, manager)
        if other and open_index(slide, indexed, manager) is None:
            say(
                f"note: {named.name} was indexed with other weights of {params.encoder} ({other}) "
                "than those here. It is indexed anew."
            )
        found = index_slide(slide, indexed, manager, args.task, name=named.name)
        return replace(found, name=named.name, path=named.path)


def _slide_of(place: str, slides: Sequence[NamedSlide], args: argparse.Namespace) -> Slide:
    """The slide that an example lies on: one of those searched, or another file."""
    for named in slides:
        if place in ("", named.name, named.path):
            return named.open(args)
    return NamedSlide(place, place).open(args)


def _lies_on_first(params: SearchParams) -> bool:
    return any(one.box is not None and not one.place for side in params.question for one in side)


def _keep_recipe(out: Path, params: SearchParams, first: tuple[NamedSlide, SlideIndex]) -> None:
    """What was done, beside its results; every example with the whole path of its slide."""
    named, part = first

    def whole(text: str) -> str:
        one = Example.parse(text)
        path = named.path if not one.place or one.place == named.name else one.place
        if not is_address(path) and Path(path).exists():
            path = str(Path(path).absolute())
        return str(replace(one, place=path)) if one.box is not None else path

    like, unlike = (tuple(map(whole, side)) for side in (params.like, params.unlike))
    step = RecipeStep("search", placed(replace(params, like=like, unlike=unlike)))
    keep_recipe(out, (step,), {"slide": part.slide})
