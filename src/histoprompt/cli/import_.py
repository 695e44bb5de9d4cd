"""`histoprompt import`: labels and outlines of other programs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from histoprompt.cli.options import add_device
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.slides import add_slide, slide_of
from histoprompt.cli.speech import say, tell, tell_notes
from histoprompt.core.errors import LabelError
from histoprompt.models import registry
from histoprompt.pipelines.exchange.params import ImportParams
from histoprompt.pipelines.formats.catalogue import FORMATS

if TYPE_CHECKING:
    from histoprompt.core.slides.slide import Slide
    from histoprompt.pipelines.exchange.incoming import Incoming

_SHOWN = 20


def add(imp: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_slide(imp)
    imp.add_argument("files", nargs="+", type=Path, metavar="FILE")
    readable = tuple(f.name for f in FORMATS if f.reads)
    imp.add_argument("--format", choices=readable, help="default: told by the content")
    add_parameters(imp, ImportParams)
    imp.add_argument("--dry-run", action="store_true", help="say what would change, change nothing")
    imp.add_argument("--out", type=Path, metavar="DIR", help="the folder of --into count")
    imp.add_argument(
        "--model",
        default=registry.DEFAULT,
        metavar="ID",
        help="what outlines the objects of --into prompts; default: %(default)s",
    )
    imp.add_argument("--weights", type=Path, metavar="FILE", help="a weights file of your own")
    add_device(imp)
    imp.set_defaults(run=_import)


def _import(args: argparse.Namespace) -> None:
    from histoprompt.pipelines.exchange.incoming import read_incoming

    params = read_parameters(ImportParams, args, format=args.format)
    if params.into == "count" and args.out is None and not args.dry_run:
        raise LabelError("Say with --out DIR where the count is to be written.")
    with slide_of(args) as slide:
        # all are read before anything is changed, so that a bad file leaves everything as it was
        found = [read_incoming(slide, path, args.task, params) for path in args.files]
        for one in found:
            _tell(one, params)
        if params.into == "count":
            _into_count(args, slide, found)
        else:
            _into_store(args, slide, found, params)


def _into_store(
    args: argparse.Namespace, slide: Slide, found: Sequence[Incoming], params: ImportParams
) -> None:
    from histoprompt.annotations.store import LabelStore
    from histoprompt.pipelines.exchange.import_labels import import_all, plane_for
    from histoprompt.pipelines.exchange.planning import plan_import

    if params.into == "prompts":
        found = [_refined(args, slide, one) for one in found]
    with LabelStore.of(slide) as opened:
        store = plane_for(opened, params.into)
        if args.dry_run:
            plans = tuple(plan_import(store, one, args.task, params.rule) for one in found)
        else:
            for one in found:
                one.check(slide)
            plans = import_all(store, found, args.task, params.rule).plans
    for plan in plans:
        tell(str(plan))


def _refined(args: argparse.Namespace, slide: Slide, found: Incoming) -> Incoming:
    from histoprompt.models.memory.embeddings import EmbeddingCache
    from histoprompt.models.memory.manager import ModelManager
    from histoprompt.pipelines.exchange.into_prompts import refined
    from histoprompt.pipelines.prompts.segment import SegmentJob

    manager, cache = ModelManager(device=args.device), EmbeddingCache()
    job = SegmentJob(manager, cache, registry.card(args.model), args.weights)
    outlined = refined(slide, found, job, args.task)
    for line in outlined.problems[len(found.problems) :][:_SHOWN]:
        say(f"note: {line}; left out.")
    return outlined


def _into_count(args: argparse.Namespace, slide: Slide, found: Sequence[Incoming]) -> None:
    from histoprompt.pipelines.exchange.into_count import plan_count, write_imported_count
    from histoprompt.pipelines.exchange.stacked import stacked

    plan = plan_count(slide, stacked(found, slide.shape, args.task), args.out)
    if args.dry_run:
        tell_notes(plan.notes)
    else:
        tell_notes(write_imported_count(slide, plan, args.out, args.task).notes)
    tell(str(plan))


def _tell(found: Incoming, params: ImportParams) -> None:
    for line in found.notes if params.into != "count" else ():  # a count tells them itself
        say(f"note: {line}.")
    for line in found.problems[:_SHOWN]:
        say(f"note: {line}; left out.")
    for line in found.remarks[:_SHOWN]:
        say(f"note: {line}.")
    more = max(0, len(found.problems) - _SHOWN) + max(0, len(found.remarks) - _SHOWN)
    if more:
        say(f"note: {more:,} further objects were left out or changed for like reasons.")
    if found.points and params.into != "prompts":
        say(
            f"note: {found.points} points have no outline and were left out. --point-radius makes "
            "each a disc, --into prompts a click."
        )
