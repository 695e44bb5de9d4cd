"""`histoprompt export`: labels to training data."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from histoprompt.cli.options import add_mpp, add_trust_size, region_numbers
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.speech import say, tell
from histoprompt.core.errors import InTheWayError, Remedy
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide
from histoprompt.pipelines.count.result_folders import MADE
from histoprompt.pipelines.exchange.export import FORMATS, ExportParams
from histoprompt.pipelines.exchange.own_files import list_also, set_aside
from histoprompt.pipelines.exchange.step import ExportStepParams, export_from
from histoprompt.pipelines.recipes.beside import keep_recipe, placed, recipe_beside
from histoprompt.pipelines.recipes.recipe import RECIPE, RecipeStep

# The format must be chosen; there is no default for it here.
_FILLED = ("format",)


def add(exp: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    exp.add_argument("--image", required=True, metavar="SLIDE")
    exp.add_argument(
        "--labels",
        required=True,
        type=Path,
        metavar="TIFF|DIR|store",
        help="a label image, what `count` wrote for the slide, or store: the committed objects",
    )
    exp.add_argument("--classes", type=Path, metavar="CSV", help="columns id and class")
    exp.add_argument("--format", required=True, choices=FORMATS)
    add_parameters(exp, ExportParams, skip=_FILLED)
    exp.add_argument("--out", required=True, type=Path, metavar="DIR")
    add_set_aside(exp)
    exp.add_argument("--region", metavar="r0,c0,r1,c1", help="where the labels lie on the slide")
    add_mpp(exp)
    add_trust_size(exp)
    exp.set_defaults(run=_export)


def add_set_aside(parser: argparse.ArgumentParser) -> None:
    """Add the option that keeps what is in the way of an export."""
    parser.add_argument(
        "--set-aside",
        action="store_true",
        help="where DIR holds anything but an earlier export, rename it to DIR-before first",
    )


@contextmanager
def offering_set_aside() -> Iterator[None]:
    """Tell of the option where something is in the way."""
    try:
        yield
    except InTheWayError as error:
        raise InTheWayError(error.fact, remedy=Remedy.SET_ASIDE) from error


def export_params(args: argparse.Namespace, slide: Slide) -> ExportStepParams:
    """What the arguments say; raises `HistopromptError` where a value cannot be."""
    return read_parameters(
        ExportStepParams,
        args,
        skip=(*_FILLED, "region"),
        format=args.format,
        region=region_numbers(args.region, slide),
    )


def _export(args: argparse.Namespace) -> None:
    slide = open_slide(args.image, mpp=args.mpp, trust_size=args.trust_size)
    params = export_params(args, slide)
    source = None if params.from_store else params.labels
    used = [path for path in (args.labels, args.classes, params.regions) if path is not None]
    aside = set_aside(args.out, [Path(args.image), *used]) if args.set_aside else nullcontext()
    with offering_set_aside(), aside as before:
        report = export_from(slide, params, source, args.out, args.task)
    tell(report)
    if before is not None:
        say(f"What was in {args.out} lies in {before} now.")
    _keep_recipe(args, params, slide)


def _keep_recipe(args: argparse.Namespace, params: ExportStepParams, slide: Slide) -> None:
    """The steps of the count that was exported, and the export; else the file it was made of."""
    before = recipe_beside(args.labels) if (args.labels / MADE).is_file() else None
    made = placed(params, ("labels",) if params.from_store else ())
    step = RecipeStep("export", replace(made, labels=None) if before else made)
    keep_recipe(args.out, (step,), {"slide": slide.key}, before)
    list_also(args.out, RECIPE)
