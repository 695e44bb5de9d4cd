"""`histoprompt describe`: all steps and their parameters, for programs and people."""

from __future__ import annotations

import argparse
import json

from histoprompt.cli.speech import tell


def add(describe: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    describe.add_argument("--json", action="store_true", help="as a JSON schema")
    describe.set_defaults(run=_describe)


def _describe(args: argparse.Namespace) -> None:
    from histoprompt.core.parameters import fields_of
    from histoprompt.pipelines.recipes.schema import described
    from histoprompt.pipelines.recipes.step import STEPS, step

    if args.json:
        tell(json.dumps(described(), indent=1), page=True)
        return
    for name in STEPS:
        one = step(name)
        after = f" (after {' or '.join(one.after)})" if one.after else ""
        tell(f"{name}: {one.about}{after}")
        for field in fields_of(one.params):
            tell(f"    {field.name} = {field.default!r}  {field.about.help}")
