"""`histoprompt relate`: findings that relate images to patient data, and survive an honest test."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.speech import say, tell
from histoprompt.core.strings.wording import many
from histoprompt.pipelines.relate.params import RelateParams

if TYPE_CHECKING:
    from histoprompt.pipelines.relate.run import Related

_TOLD = 20


def add(relate: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    relate.add_argument("project", type=Path, metavar="PROJECT", help="a project's folder")
    relate.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="for the tables and the report"
    )
    add_parameters(relate, RelateParams)
    relate.set_defaults(run=_relate)


def _relate(args: argparse.Namespace) -> int:
    from histoprompt.pipelines.project.project import open_project
    from histoprompt.pipelines.relate.write import relate_into

    params = read_parameters(RelateParams, args)
    found, notes = relate_into(open_project(args.project), params, args.out, args.task)
    for note in (*found.notes, *found.guard.warnings, *notes):
        say(f"note: {note}")
    for fault in found.faults:
        say(f"histoprompt: {fault}")
    _tell(found)
    tell(f"-> {args.out}")
    return int(bool(found.faults))


def _tell(found: Related) -> None:
    study = found.study
    sites, features = many(len(study.sites), "site"), many(len(study.names), "feature")
    tell(f"{many(len(study), 'patient')} of {sites}, {features}")
    for column in found.columns:
        tell(f"{column.name}: {column.told}")
    for probe in found.guard.probes:
        tell(probe.told)
    for confounded in found.guard.confounded:
        tell(confounded.told)
    made = sum(f.tested.permutations > 0 for f in found.findings)
    alive = found.surviving
    tell(f"{len(alive)} of {made} tests survive")
    for one in alive[:_TOLD]:
        t = one.tested
        tell(
            f"{t.feature} and {t.column}: {t.test} {t.effect:.2f} ({t.low:.2f} to {t.high:.2f}), "
            f"n = {t.n}, p = {t.p:.2g}, q = {one.q:.2g}; {one.why}"
        )
