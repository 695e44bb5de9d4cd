"""`histoprompt models`: which there are, and their weights."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from histoprompt.cli import weights as commands_of_weights
from histoprompt.cli.speech import say, tell
from histoprompt.core.errors import WeightsError
from histoprompt.models import registry, weights
from histoprompt.models.card import ModelCard
from histoprompt.models.weights import licence
from histoprompt.models.weights.describe import size_of, source_of, state_of

# Columns where there is no terminal to ask, between two columns, and what each keeps at least.
_WIDTH, _GAP, _LEAST = 120, "  ", 12
# Before a licence whose terms are not accepted yet.
_TERMS = "(!)"


def add(models: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = models.add_subparsers(metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="all models")
    listed.add_argument("--long", action="store_true", help="cut nothing off, however wide")
    listed.set_defaults(run=_list)
    commands_of_weights.add(actions)
    path = actions.add_parser("path", help="where a model's weights lie")
    path.add_argument("model")
    path.set_defaults(run=_path)
    verify = actions.add_parser("verify", help="check weights against the published hash")
    verify.add_argument("model", nargs="?")
    verify.add_argument("--weights", type=Path, metavar="FILE", help="a file of your own")
    verify.set_defaults(run=_verify)


def _list(args: argparse.Namespace) -> None:
    rows = [("id", "role", "prompts", "size", "weights", "licence", "source")]
    for card in registry.all_cards():
        kinds = ",".join(sorted(card.accepts)) or "-"
        facts = (size_of(card), state_of(card), _licence(card), source_of(card))
        rows.append((card.id, card.role, kinds, *facts))
    full = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    columns = shutil.get_terminal_size((_WIDTH, 0)).columns
    widths = full if args.long else _fitted(full, columns)
    for line in rows:
        cells = (_cut(cell, w).ljust(w) for cell, w in zip(line, widths, strict=True))
        tell(_GAP.join(cells).rstrip())
    if any(not licence.is_accepted(card) for card in registry.all_cards()):
        say(f"{_TERMS} there are terms to accept, which `histoprompt models install ID` shows.")
    if widths != full:
        say("… something was cut off: --long shows all of it.")


def _fitted(widths: list[int], total: int) -> list[int]:
    """Column widths of which the last three, the widest first, give what is too much."""
    widths = list(widths)
    while sum(widths) + len(_GAP) * (len(widths) - 1) > total and max(widths[-3:]) > _LEAST:
        widest = max(range(len(widths) - 3, len(widths)), key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _path(args: argparse.Namespace) -> None:
    for checked in weights.verify_all(registry.card(args.model)):
        tell(checked.path)
    if registry.card(args.model).weights is None:
        tell("(needs no weights)")


def _verify(args: argparse.Namespace) -> None:
    if args.weights and not args.model:
        raise WeightsError("Say which model the file of --weights is for.")
    cards = [registry.card(args.model)] if args.model else list(registry.all_cards())
    for card in cards:
        if args.weights or card.weights is None:
            tell(f"{card.id}: {weights.verify(card, args.weights)}")
        elif args.model or weights.locate(card).present:
            for checked in weights.verify_all(card):
                tell(f"{card.id}: {checked}")


def _licence(card: ModelCard) -> str:
    text = card.licence or "not stated"
    return text if licence.is_accepted(card) else f"{_TERMS} {text}"
