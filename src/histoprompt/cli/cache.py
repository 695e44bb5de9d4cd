"""`histoprompt cache`: what is kept between runs, how much it takes, and taking it away."""

from __future__ import annotations

import argparse

from histoprompt.cli.speech import tell
from histoprompt.pipelines.overview.storage import clear_counts, clear_embeddings, kept


def add(cache: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    cache.set_defaults(run=_list)
    actions = cache.add_subparsers(metavar="ACTION")
    clear = actions.add_parser("clear", help="remove what can be made again")
    clear.add_argument("what", choices=("embeddings", "counts"))
    clear.add_argument(
        "--all", action="store_true", help="also counts whose cells somebody has labelled"
    )
    clear.set_defaults(run=_clear)


def _list(_: argparse.Namespace) -> None:
    for kind in kept():
        tell(f"{kind.name:<10}  {kind.n_bytes / 1e6:>10.2f} MB  {kind.folder}")


def _clear(args: argparse.Namespace) -> None:
    freed = clear_embeddings() if args.what == "embeddings" else clear_counts(args.all)
    tell(f"{freed / 1e6:.2f} MB removed")
