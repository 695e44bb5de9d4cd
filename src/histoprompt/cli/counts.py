"""`histoprompt counts`: counts of the Count dock as they lie on disk, corrected by hand or not."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from histoprompt.cli.ending import each
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.slides import NamedSlide, add_slide, add_some_slides, each_slide, slide_of
from histoprompt.cli.speech import say, tell, tell_notes
from histoprompt.core.strings.wording import many
from histoprompt.pipelines.count.spatial.places import SpatialParams


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
    lying = actions.add_parser(
        "spatial", help="how cells lie to each other: per region, with cross-K and density maps"
    )
    lying.add_argument(
        "counts", nargs="+", type=Path, metavar="COUNT",
        help="folders that `histoprompt count` wrote, or a project",
    )  # fmt: skip
    lying.add_argument(
        "--out", type=Path, metavar="DIR", help="a folder per count; else `spatial` in each"
    )
    add_parameters(lying, SpatialParams)
    listed.set_defaults(run=_list)
    lying.set_defaults(run=_spatial)
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
            cells = many(len(work.cells), "cell")
            tell(f"{one.name}  {cells}{partial}{by_hand}  {one.segmenter}  {where}")


def _export(args: argparse.Namespace) -> None:
    from histoprompt.pipelines.count.kept import CountFindings, write_work
    from histoprompt.pipelines.count.kept_recipe import keep_work_recipe
    from histoprompt.pipelines.count.stored import find_count, open_count, with_given_classes

    with slide_of(args) as slide:
        work = open_count(slide, find_count(slide, args.count), args.task)
        if args.as_found:
            work = work.as_found()
        tell_notes(work.notes)
        cells, how = with_given_classes(work, args.task)
        counted = write_work(work, cells, args.out, CountFindings(how), task=args.task)
        keep_work_recipe(work, args.out, how)
    by_hand = f", {counted.by_hand}" if counted.by_hand.touched else ""
    tell(f"{counted.tally.total:,} cells{by_hand} -> {counted.folder}")


def _spatial(args: argparse.Namespace) -> int:
    from histoprompt.core.files.own_folder import own_folder
    from histoprompt.pipelines.count.counted_folder import read_counted
    from histoprompt.pipelines.count.spatial.files import write_spatial

    params = read_parameters(SpatialParams, args)
    folders = _folders(args.counts, args.out)

    def measure(one: tuple[Path, Path]) -> int:
        folder, out = one
        if out != args.out:
            own_folder(out)
        found = write_spatial(read_counted(folder), out, params, args.task)
        for note in found.notes:
            say(f"note: {note}")
        pairs = sum(len(place.pairs) for place in found.places)
        tell(f"{many(len(found.places), 'place')}, {many(pairs, 'pair')} of classes -> {out}")
        return 0

    return each(folders, measure, args.task, ("count", "counts"))


def _folders(named: Sequence[Path], out: Path | None) -> list[tuple[Path, Path]]:
    """The folder of each count, and where its files go."""
    from histoprompt.core.errors import LabelError
    from histoprompt.pipelines.count.result_folders import COUNT, MADE
    from histoprompt.pipelines.project.project import is_project, open_project

    found: list[tuple[Path, str]] = []
    for path in named:
        if not is_project(path):
            found.append((path, path.absolute().name))
            continue
        project = open_project(path)
        of = [(project.results(s) / COUNT, s.id) for s in project.slides]
        counted = [(folder, name) for folder, name in of if (folder / MADE).is_file()]
        if not counted:
            raise LabelError(f"No slide of {project.name} was counted yet. Count first.")
        found += counted
    if out is None:
        return [(folder, folder / "spatial") for folder, _ in found]
    if len(found) == 1:
        return [(found[0][0], out)]
    names = [name for _, name in found]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise LabelError(f"Two counts are named {twice}: give each an --out of its own.")
    return [(folder, out / name) for folder, name in found]
