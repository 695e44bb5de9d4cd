"""`histoprompt labels`: the committed objects of a slide as they lie on disk."""

from __future__ import annotations

import argparse
from pathlib import Path

from histoprompt.annotations.place import store_folder
from histoprompt.annotations.store import LabelStore
from histoprompt.cli.options import add_mpp, add_trust_size
from histoprompt.cli.speech import say, tell
from histoprompt.core.readers.open import open_slide


def add(labels: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = labels.add_subparsers(metavar="ACTION", required=True)
    for name, run, text in (
        ("info", _info, "what is kept, and where"),
        ("verify", _verify, "read every file and compare it with its checksum"),
        ("rebuild", _rebuild, "make the labels again from the journal of all edits"),
        ("restore", _restore, "bring labels back that were kept when a store mended itself"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("slide", help="a slide file or folder")
        add_mpp(action)
        add_trust_size(action)
        if name == "restore":
            action.add_argument("kept", metavar="NAME", help="such as replaced-1")
        action.set_defaults(run=run)


def _info(args: argparse.Namespace) -> None:
    with _open(args, read_only=True) as store:
        tell(f"folder   {store.folder}")
        tell(f"objects  {store.count}")
        tell(f"edits    {len(store.history())} in force, {store.journal_bytes / 1e6:.2f} MB")
        for path in sorted([*store.folder.glob("replaced-*"), *store.folder.glob("journal.cut-*")]):
            tell(f"kept     {path.name}")


def _verify(args: argparse.Namespace) -> int:
    with _open(args, read_only=True) as store:
        found = store.verify()
    tell(
        f"{found.chunks} files of labels and {found.records} edits read: "
        f"{found.labels} of labels, {found.display} for display and {found.damaged} places of the "
        "journal are damaged"
    )
    if found.labels or found.display:
        say("They are mended when the labels are opened, or by `histoprompt labels rebuild`.")
    return 0 if found.fine else 1


def _rebuild(args: argparse.Namespace) -> None:
    with _open(args, rebuild=True) as store:
        for note in store.notes:
            say(f"note: {note}")
        tell(f"{store.count} objects in {store.folder}")


def _restore(args: argparse.Namespace) -> None:
    with _open(args) as store:
        count = store.restore(store.folder / Path(args.kept).name)
        tell(f"{count} objects in {store.folder}")


def _open(args: argparse.Namespace, **how: bool) -> LabelStore:
    slide = open_slide(args.slide, mpp=args.mpp, trust_size=args.trust_size)
    return LabelStore.open(store_folder(slide.key), slide.shape, slide.key, **how)
