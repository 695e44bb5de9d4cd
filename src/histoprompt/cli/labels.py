"""`histoprompt labels`: the committed objects and regions of a slide as they lie on disk."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from histoprompt.annotations.class_list import with_others
from histoprompt.annotations.planes import PLANES
from histoprompt.annotations.store import LabelStore
from histoprompt.cli.export import add_set_aside, offering_set_aside
from histoprompt.cli.options import whole
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.slides import add_slide, slide_of
from histoprompt.cli.speech import say, tell
from histoprompt.core.slides.slide import Slide
from histoprompt.pipelines.exchange.export import FORMATS, ExportParams
from histoprompt.pipelines.exchange.step import export_kept
from histoprompt.pipelines.formats.qupath_classes import read_class_list, write_class_list

_FILLED = ("format",)


def add(labels: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = labels.add_subparsers(metavar="ACTION", required=True)
    _action(actions, "info", _info, "what is kept, and where")
    _action(actions, "verify", _verify, "read every file and compare it with its checksum")
    history = _action(actions, "history", _history, "the edits in force, the latest last")
    history.add_argument("--last", type=whole, metavar="N", help="only the last N edits")
    classes = _action(actions, "classes", _classes, "the classes of the slide")
    classes.add_argument("--read", type=Path, metavar="JSON", help="take those of a QuPath project")
    classes.add_argument("--write", type=Path, metavar="JSON", help="write them for QuPath")
    export = _action(actions, "export", _export, "write them as training data")
    export.add_argument("--format", required=True, choices=FORMATS)
    add_parameters(export, ExportParams, skip=_FILLED)
    export.add_argument("--out", required=True, type=Path, metavar="DIR")
    add_set_aside(export)
    compact = _action(actions, "compact", _compact, "make the journal of all edits smaller")
    compact.add_argument(
        "--keep-edits",
        type=whole,
        metavar="N",
        help="give up undo of all but the last N edits; default: all can still be undone",
    )
    _action(actions, "rebuild", _rebuild, "make the labels again from the journal of all edits")
    restore = _action(
        actions, "restore", _restore, "bring labels back that were kept when a store mended itself"
    )
    restore.add_argument("kept", metavar="NAME", help="such as replaced-1")


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int | None],
    text: str,
) -> argparse.ArgumentParser:
    action = actions.add_parser(name, help=text)
    add_slide(action)
    action.set_defaults(run=run)
    return action


def _info(args: argparse.Namespace) -> None:
    with _open(args, read_only=True) as store:
        tell(f"folder   {store.folder}")
        for plane in PLANES:
            tell(f"{plane}  {store.on(plane).count}")
        tell(f"edits    {len(store.history())} in force, {store.journal_bytes / 1e6:.2f} MB")
        for path in sorted([*store.folder.glob("replaced-*"), *store.folder.glob("journal.cut-*")]):
            tell(f"kept     {path.name}")


def _verify(args: argparse.Namespace) -> int:
    with _open(args, read_only=True) as store:
        found = store.verify()
    tell(
        f"{found.chunks:,} files of labels and {found.records} edits read: "
        f"{found.labels} of labels, {found.display} for display and {found.damaged:,} places of "
        "the journal are damaged"
    )
    if found.labels or found.display:
        say("They are mended when the labels are opened, or by `histoprompt labels rebuild`.")
    return 0 if found.fine else 1


def _history(args: argparse.Namespace) -> None:
    with _open(args, read_only=True) as store:
        entries = store.history()
    shown = entries if args.last is None else entries[max(0, len(entries) - args.last) :]
    for entry in shown:
        models = sorted({str(info["model"]) for _, info in entry.steps if info.get("model")})
        by = ", ".join(models)
        tell("  ".join(filter(None, (entry.time[:19], entry.op, by, entry.who))))
    tell(f"{len(shown)} of {len(entries)} edits")


def _classes(args: argparse.Namespace) -> None:
    with _open(args, read_only=args.read is None) as store:
        if args.read is not None:
            store.set_class_list(with_others(read_class_list(args.read), store.class_list()))
        classes = store.class_list()
        used = [store.on(plane).classes() for plane in PLANES]
    for item in classes:
        counts = [sum(name == item.name for name in of.values()) for of in used]
        ignored = "  ignored" if item.ignored else ""
        name, colour = item.to_row()
        tell(f"{colour}  {counts[0]} objects  {counts[1]} regions  {name}{ignored}")
    if args.write is not None:
        write_class_list(args.write, classes)


def _export(args: argparse.Namespace) -> None:
    params = read_parameters(ExportParams, args, skip=_FILLED, format=args.format)
    slide = _slide(args)
    with _open(args, read_only=True) as store:
        with offering_set_aside():
            found = export_kept(
                slide, store, args.out, params, aside=args.set_aside, task=args.task
            )
        tell(found)


def _compact(args: argparse.Namespace) -> None:
    with _open(args) as store:
        done = store.compact(args.keep_edits)
    tell(
        f"{done.before / 1e6:.2f} MB -> {done.after / 1e6:.2f} MB: {done.kept} edits can be undone "
        f"or done again, {done.given_up} no more; {done.dropped} were replaced before"
    )


def _rebuild(args: argparse.Namespace) -> None:
    with _open(args, rebuild=True) as store:
        for note in store.notes:
            say(f"note: {note}")
        tell(f"{store.count:,} objects in {store.folder}")


def _restore(args: argparse.Namespace) -> None:
    with _open(args) as store:
        store.restore(store.folder / Path(args.kept).name)
        tell(f"{store.count:,} objects in {store.folder}")


def _slide(args: argparse.Namespace) -> Slide:
    return slide_of(args)


def _open(
    args: argparse.Namespace, *, read_only: bool = False, rebuild: bool = False
) -> LabelStore:
    return LabelStore.of(_slide(args), read_only=read_only, rebuild=rebuild)
