"""`histoprompt project`: many slides as one study."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from histoprompt.cli.options import Commands as Actions
from histoprompt.cli.speech import say, tell, tell_notes
from histoprompt.core.strings.wording import many

if TYPE_CHECKING:
    from histoprompt.pipelines.project.gather import Gathered
    from histoprompt.pipelines.project.project import Project

_SHORT = 40


def add(project: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = project.add_subparsers(metavar="ACTION", required=True)
    new = _action(actions, "new", _new, "make a project")
    new.add_argument("--name", default="", metavar="TEXT", help="default: that of the folder")
    new.add_argument(
        "--slides", nargs="+", type=Path, default=[], metavar="WHAT",
        help="slide files, folders of slides, a table with a column path, or a QuPath project",
    )  # fmt: skip
    more = _action(actions, "add", _add, "add slides")
    more.add_argument("slides", nargs="+", type=Path, metavar="WHAT", help="as for `new --slides`")
    _action(actions, "list", _list, "its slides, as in slides.csv")
    _action(actions, "status", _status, "what was made of each slide")
    _action(actions, "check", _check, "open each slide; say what is missing or does not fit")
    moved = _action(actions, "relink", _relink, "find files that were moved")
    moved.add_argument("where", type=Path, metavar="FOLDER", help="looked through with all in it")
    counts = _action(actions, "counts", _counts, "all counts of a slide on this machine")
    counts.add_argument("slide", metavar="ID")
    summary = _action(actions, "summary", _summary, "one table over all slides")
    summary.add_argument("--out", type=Path, metavar="DIR", help="default: the project")


def _action(
    actions: Actions, name: str, run: Callable[[argparse.Namespace], object], text: str
) -> argparse.ArgumentParser:
    action = actions.add_parser(name, help=text)
    action.add_argument("project", type=Path, metavar="DIR")
    action.set_defaults(run=run)
    return action


def _new(args: argparse.Namespace) -> None:
    from histoprompt.pipelines.project.gather import gathered
    from histoprompt.pipelines.project.project import new_project

    found = gathered(args.slides)  # refused before anything is written
    _added(new_project(args.project, args.name), found, args)


def _add(args: argparse.Namespace) -> None:
    from histoprompt.pipelines.project.gather import gathered
    from histoprompt.pipelines.project.project import open_project

    found = gathered(args.slides)
    _added(open_project(args.project), found, args)


def _added(project: Project, found: Gathered, args: argparse.Namespace) -> None:
    from histoprompt.pipelines.project.classes import keep_classes
    from histoprompt.pipelines.project.project import add_slides

    before = len(project)
    project, more = add_slides(project, found.slides, args.task)
    tell_notes((*found.notes, *more))
    if new := keep_classes(project.folder, found.classes):
        tell(f"{new} classes taken over; slides that have none get them when they are opened")
    tell(f"{many(len(project) - before, 'slide')} added, {len(project)} in all -> {project.folder}")


def _list(args: argparse.Namespace) -> None:
    from histoprompt.pipelines.project.project import open_project

    project = open_project(args.project)
    columns = [c for c in project.table.columns if c != "key"]
    _table(columns, [[s.cell(c) for c in columns] for s in project.slides])


def _status(args: argparse.Namespace) -> None:
    from histoprompt.pipelines.overview.status import states
    from histoprompt.pipelines.project.check import filled
    from histoprompt.pipelines.project.project import open_project

    project = filled(open_project(args.project), args.task)
    rows = [
        [
            s.slide.id,
            ", ".join(s.words) or "new",
            str(s.objects or ""),
            "" if s.cells is None else str(s.cells),
            str(len(s.notes) or ""),
        ]
        for s in states(project)
    ]
    _table(["id", "state", "objects", "cells", "notes"], rows)


def _check(args: argparse.Namespace) -> int:
    from histoprompt.pipelines.project.check import check_project
    from histoprompt.pipelines.project.project import open_project

    project = open_project(args.project)
    found = check_project(project, args.task)
    for problem in found:
        tell(f"{problem.slide}: {problem.text}" if problem.slide else problem.text)
    serious = sum(problem.serious for problem in found)
    told = many(serious, "problem"), many(len(found) - serious, "remark")
    tell(", ".join((many(len(project), "slide"), *told)))
    return int(bool(serious))


def _relink(args: argparse.Namespace) -> int:
    from histoprompt.pipelines.project.project import open_project
    from histoprompt.pipelines.project.relink import relink

    _, moved, missing = relink(open_project(args.project), args.where, args.task)
    for name, path in moved.items():
        tell(f"{name} -> {path}")
    for name in missing:
        say(f"{name} was not found.")
    tell(f"{many(len(moved), 'slide')} found again, {len(missing)} still missing")
    return int(bool(missing))


def _counts(args: argparse.Namespace) -> None:
    from datetime import datetime

    from histoprompt.pipelines.overview.status import counts_of
    from histoprompt.pipelines.project.project import open_project

    project = open_project(args.project)
    rows = [
        [
            datetime.fromtimestamp(c.made).strftime("%Y-%m-%d %H:%M"),
            "whole slide" if c.region is None else ",".join(map(str, c.region)),
            c.segmenter,
            ", ".join(c.classes),
            "" if c.cells is None else str(c.cells),
            "audited" if c.audited else "",
            str(c.folder),
        ]
        for c in counts_of(project, project.slide(args.slide))
    ]
    _table(["made", "region", "model", "classes", "cells", "audit", "folder"], rows)


def _summary(args: argparse.Namespace) -> None:
    from histoprompt.pipelines.overview.summary import write_summary
    from histoprompt.pipelines.project.project import open_project

    path, rows = write_summary(open_project(args.project), args.out)
    tell(f"{many(rows, 'line')} -> {path}")


def _table(columns: list[str], rows: list[list[str]]) -> None:
    """Columns side by side, the last one as long as it is."""
    widths = [
        min(_SHORT, max([len(name), *(len(row[n]) for row in rows)]))
        for n, name in enumerate(columns)
    ]
    for row in [columns, *rows]:
        cells = [f"{text:<{width}}" for text, width in zip(row[:-1], widths, strict=False)]
        tell("  ".join([*cells, row[-1]]).rstrip())
