"""`histoprompt models install`, `import`, `export` and `remove`: putting weights in place."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from histoprompt.cli.options import Commands
from histoprompt.cli.speech import agrees, say, tell
from histoprompt.core.errors import LicenceError, ModelError, WeightsError
from histoprompt.models import registry, weights
from histoprompt.models.card import ModelCard
from histoprompt.models.weights import licence


def add(actions: Commands) -> None:
    """Add the commands to the parser of `models`."""
    install = actions.add_parser("install", help="fetch a model's weights and check them")
    install.add_argument("models", nargs="+", metavar="MODEL")
    install.set_defaults(run=_install)
    bring = actions.add_parser("import", help="put a pack or a weights file in place")
    bring.add_argument("file", type=Path, help="an offline pack, or a file fetched by hand")
    bring.add_argument("--model", metavar="MODEL", help="whose file it is, or what to take")
    bring.set_defaults(run=_import)
    for parser in (install, bring):
        parser.add_argument(
            "--accept-licence", action="store_true", help="accept the terms that are shown"
        )
    export = actions.add_parser("export", help="pack installed models for an offline machine")
    export.add_argument("models", nargs="+", metavar="MODEL")
    export.add_argument("--out", type=Path, required=True, metavar="PACK")
    export.set_defaults(run=_export)
    remove = actions.add_parser("remove", help="delete a model's weights")
    remove.add_argument("model")
    remove.add_argument("--forget", action="store_true", help="and the hash of the first file seen")
    remove.set_defaults(run=_remove)


def _install(args: argparse.Namespace) -> None:
    from histoprompt.models.weights.install import install

    cards = [registry.card(model) for model in args.models]
    for card in cards:
        _agree(card, args.accept_licence)
    for card in cards:
        _tell(card, install(card, args.task))


def _import(args: argparse.Namespace) -> None:
    from histoprompt.models.weights.pack import import_file, import_pack
    from histoprompt.models.weights.pack_format import is_pack

    if is_pack(args.file):
        cards = _packed_cards(args.file, args.model)
    elif args.model:
        cards = [registry.card(args.model)]
    else:
        raise WeightsError(
            f"{args.file} is no offline pack. If it is a weights file, say whose with --model."
        )
    for card in cards:
        _agree(card, args.accept_licence)
    if is_pack(args.file):
        for checked in import_pack(args.file, cards, args.task):
            tell(checked)
    else:
        _tell(cards[0], [import_file(args.file, cards[0], args.task)])


def _export(args: argparse.Namespace) -> None:
    from histoprompt.models.weights.pack import export_pack

    cards = [registry.card(model) for model in args.models]
    for packed in export_pack(cards, args.out, args.task):
        tell(f"{packed.place}: {packed.n_bytes:,} bytes, {packed.sha256}")
    bound = [card.id for card in cards if card.terms is not None]
    if bound:
        say(f"For your own machines only: {', '.join(bound)} may not be passed on without leave.")


def _remove(args: argparse.Namespace) -> None:
    from histoprompt.models.weights.install import remove, sharing

    card = registry.card(args.model)
    removed = remove(card, forget=args.forget)
    for path in removed:
        tell(f"removed {path}")
    others = ", ".join(c.id for c in sharing(card, registry.all_cards())) if removed else ""
    if others:
        say(f"The same files served {others}.")
    left = weights.locate(card).path
    if left is not None:
        say(f"{left} belongs to another program or package and was left.")
    elif not removed:
        say(f"{card.id} has no weights in the weights folder.")


def _packed_cards(file: Path, model: str | None) -> list[ModelCard]:
    """The models of a pack that this version knows, or the one asked for."""
    from histoprompt.models.weights.pack_format import known_cards

    cards = known_cards(file, registry.all_cards())
    if model is None:
        return cards
    wanted = [card for card in cards if card.id == model]
    if not wanted:
        held = ", ".join(card.id for card in cards)
        raise ModelError(f"{file} holds no {model}. It holds: {held}.")
    return wanted


def _agree(card: ModelCard, accepted: bool) -> None:
    """Show the terms and have them accepted, by a person at a terminal or by the option."""
    if licence.is_accepted(card):
        return
    say(licence.page(card), page=True)
    if not accepted:
        if not sys.stdin.isatty():
            licence.require(card)
        if not agrees(f"Do you accept the terms of {card.title}?"):
            raise LicenceError(f"The terms of {card.title} were not accepted: nothing was fetched.")
    licence.accept(card)


def _tell(card: ModelCard, found: list[weights.WeightsVerification]) -> None:
    if not found:
        say(f"{card.id} needs no weights.")
    for checked in found:
        tell(f"{card.id}: {checked}")
