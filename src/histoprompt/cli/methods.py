"""`histoprompt methods`: the methods paragraph of what was done."""

from __future__ import annotations

import argparse
from pathlib import Path

from histoprompt.cli.speech import tell


def add(methods: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    methods.add_argument("folder", type=Path, metavar="DIR", help="results, with a recipe.toml")
    methods.set_defaults(run=_methods)


def _methods(args: argparse.Namespace) -> None:
    import json

    from histoprompt.pipelines.recipes.methods import methods_text
    from histoprompt.pipelines.recipes.recipe import RECIPE, read_recipe
    from histoprompt.pipelines.recipes.run import RUN_JSON

    file = args.folder / RECIPE if args.folder.is_dir() else args.folder
    ran = file.parent / RUN_JSON
    slides = None
    if ran.is_file():
        results = json.loads(ran.read_text(encoding="utf-8"))
        slides = sum(one.get("state") == "done" for one in results)
    tell(methods_text(read_recipe(file), slides), page=True)
