"""`histoprompt import`: labels and outlines of other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

from histoprompt.annotations.place import store_folder
from histoprompt.annotations.store import LabelStore
from histoprompt.cli.options import add_mpp, add_trust_size, positive
from histoprompt.cli.speech import say, tell
from histoprompt.core.errors import LabelError
from histoprompt.core.readers.open import open_slide
from histoprompt.pipelines.exchange.import_labels import (
    Incoming,
    apply_import,
    plan_import,
    read_incoming,
)
from histoprompt.pipelines.formats.catalogue import FORMATS

_SHOWN = 5


def add(imp: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    imp.add_argument("slide", metavar="SLIDE")
    imp.add_argument("files", nargs="+", type=Path, metavar="FILE")
    readable = tuple(f.name for f in FORMATS if f.reads)
    imp.add_argument("--format", choices=readable, help="default: told by the content")
    imp.add_argument(
        "--rule",
        choices=("keep", "overwrite"),
        default="keep",
        help="whether objects that are there keep their pixels; default: %(default)s",
    )
    imp.add_argument("--offset", metavar="R,C", help="level-0 position of the file's first pixel")
    imp.add_argument(
        "--scale",
        type=positive,
        default=1.0,
        metavar="X",
        help="level-0 pixels per pixel of the file",
    )
    imp.add_argument("--strict", action="store_true", help="import all objects or nothing")
    imp.add_argument("--dry-run", action="store_true", help="say what would change, change nothing")
    add_mpp(imp)
    add_trust_size(imp)
    imp.set_defaults(run=_import)


def _import(args: argparse.Namespace) -> None:
    with open_slide(args.slide, mpp=args.mpp, trust_size=args.trust_size) as slide:
        offset = _offset(args.offset)
        with LabelStore.open(store_folder(slide.key), slide.shape, slide.key) as store:
            for path in args.files:
                found = read_incoming(
                    slide,
                    path,
                    args.task,
                    name=args.format,
                    offset=offset,
                    scale=args.scale,
                    strict=args.strict,
                )
                plan = plan_import(store, found, args.task, args.rule)
                _tell(found)
                if not args.dry_run:
                    apply_import(store, plan, args.task)
                tell(str(plan))


def _tell(found: Incoming) -> None:
    for line in found.problems[:_SHOWN]:
        say(f"note: {line}; left out.")
    more = len(found.problems) - _SHOWN
    if more > 0:
        say(f"note: {more} further objects were left out for like reasons.")
    if found.points:
        say(f"note: {found.points} points have no outline and were left out.")


def _offset(text: str | None) -> tuple[float, float]:
    if text is None:
        return (0.0, 0.0)
    try:
        row, col = (float(v) for v in text.split(","))
    except ValueError as error:
        raise LabelError(f"An offset is two numbers such as 100,200; not {text!r}.") from error
    return row, col
