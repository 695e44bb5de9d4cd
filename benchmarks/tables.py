"""Puts measured tables and the table of models into the README.

    python benchmarks/tables.py            # write them
    python benchmarks/tables.py --check    # exit 1 if the README says something else

A place in the README is a pair of comments, `<!-- table:NAME -->` and `<!-- /table -->`. NAME is
``models`` for the registry's models, or a file of `benchmarks/results` without its suffix: its
first table with the text that says how it was measured. ``NAME/2`` is its second table, alone.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from histoprompt.models import registry
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.weights.find import megabytes

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
PLACE = re.compile(r"(<!-- table:([\w/-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)
_KINDS = {"point": "clicks", "box": "boxes", "scribble": "scribbles"}
_ROLES = {
    "cells": "all nuclei",
    "text": "images and words",
    "encoder": "features of tiles",
    "classifier": "classes of cells",
}


class TableError(ValueError):
    """A place names a table that is not there, or a result has no place."""


def filled(readme: str) -> str:
    """The text of the README with every table as it is now.

    Raises
    ------
    TableError
        If a place names a table that is not there.
    """
    return PLACE.sub(lambda m: f"{m[1]}{table(m[2])}\n{m[3]}", readme)


def places(readme: str) -> list[str]:
    """The names of all places in the README."""
    return [match[2] for match in PLACE.finditer(readme)]


def without_place(readme: str) -> list[str]:
    """Results that no place shows."""
    shown = {name.partition("/")[0] for name in places(readme)}
    return sorted({path.stem for path in RESULTS.glob("*.md")} - shown)


def table(name: str) -> str:
    """What stands at a place.

    Parameters
    ----------
    name : str
        ``models``, ``NAME`` or ``NAME/2``.
    """
    if name == "models":
        return models_table()
    stem, _, number = name.partition("/")
    path = RESULTS / f"{stem}.md"
    if not path.is_file():
        raise TableError(f"There is no {path.name} in benchmarks/results for the place {name}.")
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE)
    index = int(number or 1) - 1
    if index >= len(found):
        raise TableError(f"{path.name} has {len(found)} tables, none for the place {name}.")
    wanted = found[index].strip()
    return wanted if number else "\n\n".join([*_setting(text), wanted])


def models_table() -> str:
    """The models of the registry."""
    head = ["id", "model", "what it does", "weights", "licence", "access", "in short"]
    rows = [
        [
            f"`{card.id}`",
            card.title,
            _purpose(card),
            _weights(card),
            card.licence,
            _access(card),
            card.description,
        ]
        for card in registry.all_cards()
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _setting(text: str) -> list[str]:
    """The paragraphs before the first table, without headings."""
    before = text.partition("\n|")[0]
    blocks = re.split(r"\n\s*\n", before)
    return [block.strip() for block in blocks if block.strip() and not block.startswith("#")]


def _purpose(card: ModelCard) -> str:
    """Its role, or the prompts it takes."""
    if card.role == "prompt":
        kinds = ("point", "scribble", "box")
        return "prompts: " + ", ".join(_KINDS[k] for k in kinds if k in card.accepts)
    return _ROLES[card.role]


def _access(card: ModelCard) -> str:
    """What stands between a user and the weights."""
    gated = any(spec.hub is not None and spec.hub.gated for spec in card.files)
    steps = ["ask its owner, token"] * gated + ["accept terms"] * (card.terms is not None)
    return ", ".join(steps) or "free"


def _weights(card: ModelCard) -> str:
    """Where the weights come from."""
    if card.needs is not None:
        return f"those of the package `{card.needs[0]}`, or your own"
    return "; ".join(_source(spec) for spec in card.files) or "none needed"


def _source(spec: WeightsSpec) -> str:
    if spec.package is not None:
        return f"comes with the package `{spec.package[0].replace('_', '-')}`"
    size = "" if spec.about is None else f"{'' if spec.n_bytes else '~'}{megabytes(spec.about)}"
    return ", ".join(filter(None, (f"[{spec.filename}]({spec.source})", size)))


def main() -> int:
    """Write the tables, or check them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; 1 if out of date")
    args = parser.parse_args()
    present = README.read_text(encoding="utf-8")
    wanted = filled(present)
    for name in without_place(present):
        sys.stderr.write(f"README.md has no place for the results {name}.md\n")
    if args.check:
        if wanted != present:
            sys.stderr.write("README.md is out of date: python benchmarks/tables.py\n")
        return int(wanted != present or bool(without_place(present)))
    README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
