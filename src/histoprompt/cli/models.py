"""`histoprompt models`: which there are and where their weights lie."""

from __future__ import annotations

import argparse
from pathlib import Path

from histoprompt.cli.options import Commands
from histoprompt.core.errors import WeightsError
from histoprompt.models import registry, weights
from histoprompt.models.card import ModelCard


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    models = commands.add_parser("models", help="which models there are and where their weights")
    actions = models.add_subparsers(metavar="ACTION", required=True)
    actions.add_parser("list", help="all models").set_defaults(run=_models_list)
    path = actions.add_parser("path", help="where a model's weights lie")
    path.add_argument("model")
    path.set_defaults(run=_models_path)
    verify = actions.add_parser("verify", help="check weights against the published hash")
    verify.add_argument("model", nargs="?")
    verify.add_argument("--weights", type=Path, metavar="FILE")
    verify.set_defaults(run=_models_verify)


def _models_list(_: argparse.Namespace) -> None:
    rows = [("id", "role", "prompts", "size", "weights", "licence")]
    for card in registry.all_cards():
        kinds = ",".join(sorted(card.accepts)) or "-"
        rows.append((card.id, card.role, kinds, _size(card), _state(card), card.licence))
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    for line in rows:
        print("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip())


def _models_path(args: argparse.Namespace) -> None:
    path = weights.resolve(registry.card(args.model))
    print(path if path else "(needs no weights)")


def _models_verify(args: argparse.Namespace) -> None:
    if args.weights and not args.model:
        raise WeightsError("Say which model the file of --weights is for.")
    cards = [registry.card(args.model)] if args.model else list(registry.all_cards())
    for card in cards:
        if args.model or weights.locate(card).present:
            print(f"{card.id}: {weights.verify(card, weights.resolve(card, args.weights))}")


def _state(card: ModelCard) -> str:
    if card.missing:
        return f"needs pip install '{card.missing}'"
    if card.needs is not None:
        return "its package's own"
    if card.weights is None:
        return "none needed"
    return "present" if weights.locate(card).present else "missing"


def _size(card: ModelCard) -> str:
    n_bytes = card.weights.n_bytes if card.weights else None
    return "-" if n_bytes is None else f"{n_bytes / 1e6:.0f} MB"
