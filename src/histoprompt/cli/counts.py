"""`histoprompt counts`: counts of the Count dock as they lie on disk, corrected by hand or not."""

from __future__ import annotations

import argparse
from pathlib import Path

from histoprompt.cli.slides import NamedSlide, add_slide, add_some_slides, each_slide, slide_of
from histoprompt.cli.speech import say, tell, tell_notes


def add(counts: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = counts.add_subparsers(metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="what is kept of a slide, and what was corrected")
    written = actions.add_parser("export", help="the files of a count, with corrections by hand")
    add_some_slides(listed)
    add_slide(written)
    written.add_argument("--out", required=True, type=Path, metavar="DIR")
    written.add_argument("--count", default="", metavar="NAME", help="as `list` names it")
    written.add_argument(
        "--as-found", action="store_true", help="what the program found, without corrections"
    )
    listed.set_defaults(run=_list)
    written.set_defaults(run=_export)


def _list(args: argparse.Namespace) -> int:
    return each_slide(args, lambda named, _: _list_of(named, args))


def _list_of(named: NamedSlide, args: argparse.Namespace) -> None:
    from histoprompt.pipelines.count.stored import open_count, stored_counts

    with named.open(args) as slide:
        found = stored_counts(slide)
        if not found:
            say(f"No count of {slide.name} is kept.")
        for one in found:
            work = open_count(slide, one, args.task)
            where = ", ".join(one.regions) or ",".join(str(int(v)) for v in one.box)
            partial = "" if work.complete else ", partial"
            by_hand = f", {work.by_hand}" if work.by_hand.touched else ""
            tell(f"{one.name}  {len(work.cells)} cells{partial}{by_hand}  {one.segmenter}  {where}")


def _export(args: argparse.Namespace) -> None:
    from histoprompt.pipelines.count.kept import Findings, write_work
    from histoprompt.pipelines.count.kept_recipe import keep_work_recipe
    from histoprompt.pipelines.count.stored import find_count, open_count, with_given_classes

    with slide_of(args) as slide:
        work = open_count(slide, find_count(slide, args.count), args.task)
        if args.as_found:
            work = work.as_found()
        tell_notes(work.notes)
        cells, how = with_given_classes(work, args.task)
        counted = write_work(work, cells, args.out, Findings(how), task=args.task)
        keep_work_recipe(work, args.out, how)
    by_hand = f", {counted.by_hand}" if counted.by_hand.touched else ""
    tell(f"{counted.tally.total} cells{by_hand} -> {counted.folder}")
