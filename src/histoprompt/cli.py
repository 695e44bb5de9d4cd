"""The command line: everything the docks do, on a machine without a screen.

Exit status: 0 for success, 1 for a mistake of the user's (one line says which), 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from histoprompt import __version__
from histoprompt.core.errors import (
    ExportError,
    HistopromptError,
    ModelError,
    RegionError,
    WeightsError,
)
from histoprompt.core.geometry import Box
from histoprompt.core.label_io import TiffLabels, read_labels, write_labels
from histoprompt.core.labels import ArrayLabels
from histoprompt.core.prompt_file import read_prompts
from histoprompt.core.slide import Slide
from histoprompt.core.slide_info import describe
from histoprompt.core.slide_io import open_slide
from histoprompt.core.task import Progress, Task
from histoprompt.models import registry, weights
from histoprompt.models.card import ModelCard
from histoprompt.models.doctor import examine
from histoprompt.models.embeddings import EmbeddingCache
from histoprompt.models.manager import ModelManager
from histoprompt.pipelines.compose import ComposedLabels
from histoprompt.pipelines.count import find_cells, label_cells, write_cells
from histoprompt.pipelines.export import FORMATS, ExportParams, export, read_classes
from histoprompt.pipelines.segment import SegmentJob, segment

EMBEDDING_BYTES = 1 << 30


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process if not given.

    Returns
    -------
    int
        The exit status.
    """
    args = _parser().parse_args(argv)
    # Libraries log what they stumble over; what matters of it is said here in one line.
    logging.basicConfig(handlers=[logging.NullHandler()])
    try:
        status = int(args.run(args) or 0)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads the output has seen enough, as `head` does; nothing more may be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except HistopromptError as error:
        _say(f"histoprompt: {' '.join(str(error).split())}")
        return 1
    except KeyboardInterrupt:
        _say("histoprompt: interrupted; nothing half-written was left.")
        return 130
    return status


# -- commands --------------------------------------------------------------------------------


def _info(args: argparse.Namespace) -> None:
    rows = describe(open_slide(args.slide, mpp=args.mpp))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")


def _segment(args: argparse.Namespace) -> None:
    _keep_inputs(args.out, Path(args.slide), Path(args.prompts))
    slide = open_slide(args.slide, mpp=args.mpp)
    region = _region(args.region, slide)
    objects = read_prompts(args.prompts)
    card = registry.card(args.model)
    manager = ModelManager(device=args.device)
    job = SegmentJob(manager, EmbeddingCache(EMBEDDING_BYTES), card, args.weights)
    found = segment(slide, objects, job, _task())
    labels = ComposedLabels(region, [(item.id, item.masks[0]) for item in found])
    write_labels(args.out, labels, mpp=slide.mpp, task=Task())
    for note in sorted({item.note for item in found if item.note}):
        _say(f"note: {note}")
    missing = sorted({item.id for item in found} - set(labels.ids))
    if missing:
        _say(f"note: no pixels were found for object {', '.join(map(str, missing))}.")
    print(f"{len(labels.ids)} objects -> {args.out}")


def _export(args: argparse.Namespace) -> None:
    slide = open_slide(args.image, mpp=args.mpp)
    labels = _labels(args, slide)
    params = ExportParams(format=args.format)
    classes = read_classes(args.classes, params.default_class) if args.classes else None
    print(export(slide, labels, args.out, params, _task(), classes=classes))


def _count(args: argparse.Namespace) -> None:
    manager, card = ModelManager(device=args.device), registry.card(args.segmenter)
    if card.role != "cells":
        raise ModelError(
            f"{card.id} does not find cells by itself; `histoprompt models list` "
            "shows which models have the role cells."
        )
    for path in args.slides:
        slide = open_slide(path, mpp=args.mpp)
        region = _region(args.region, slide)
        cells = find_cells(slide, region, card, manager, _task(), weights=args.weights)
        labels, rows = label_cells(cells, region, slide.mpp or 1.0)
        folder = Path(args.out) / Path(path).name.split(".")[0]
        folder.mkdir(parents=True, exist_ok=True)
        write_labels(folder / "labels.tif", labels, mpp=slide.mpp)
        write_cells(folder / "cells.csv", rows)
        print(f"{len(rows)} cells -> {folder}")


def _train(args: argparse.Namespace) -> None:
    # Training is the only command that needs torch for itself.
    from histoprompt.training.run import TrainConfig, read_config, train

    if args.config:
        config = read_config(args.config)
    elif args.data and args.out:
        work = args.out.with_name(args.out.stem + "-work")
        config = TrainConfig(tuple(args.data), args.out, work)
    else:
        raise ExportError("Give --data DIR and --out FILE, or a file with --config.")
    print(f"{train(config, _task())} -> {config.out}")


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


def _doctor(args: argparse.Namespace) -> int:
    findings = examine(ModelManager(device=args.device), measure=not args.quick)
    for item in findings:
        print(f"[{item.state:>4}] {item.name}: {item.value}")
        if item.advice:
            print(f"       {item.advice}")
    return int(any(item.state == "fail" for item in findings))


def _demo(args: argparse.Namespace) -> int:
    # A process of its own: Qt ends the whole process when there is no display.
    command = [sys.executable, "-m", "histoprompt._qt.demo", "--out", str(args.out)]
    return subprocess.call(command + (["--headless"] if args.headless else []))


# -- helpers ---------------------------------------------------------------------------------


def _region(text: str | None, slide: Slide) -> Box:
    """The region asked for, or the whole slide."""
    if text is None:
        return slide.box
    try:
        numbers = [int(v) for v in text.split(",")]
        box = Box(*numbers)
    except (ValueError, TypeError) as error:
        raise RegionError(
            f"--region must be r0,c0,r1,c1 in level-0 pixels, not {text!r}."
        ) from error
    if not slide.box.covers(box):
        raise RegionError(
            f"--region {text} reaches outside the slide, which has {slide.shape[0]} rows and "
            f"{slide.shape[1]} columns."
        )
    return box


def _labels(args: argparse.Namespace, slide: Slide) -> TiffLabels | ArrayLabels:
    """The labels to export, where `--region` says they lie or where their file says it."""
    if args.region is None:
        return read_labels(args.labels)
    region = _region(args.region, slide)
    labels = read_labels(args.labels, (round(region.r0), round(region.c0)))
    if labels.shape != region.shape:
        raise RegionError(
            f"--region {args.region} has {region.shape[0]} rows and {region.shape[1]} columns, but "
            f"{args.labels} has {labels.shape[0]} and {labels.shape[1]}."
        )
    return labels


def _keep_inputs(out: Path, *inputs: Path) -> None:
    """Refuse to write over what is read."""
    for path in inputs:
        if out.resolve() == path.resolve():
            raise ExportError(f"--out {out} is what is to be read. Choose another name.")


def _state(card: ModelCard) -> str:
    if card.weights is None:
        return "none needed"
    return "present" if weights.locate(card).present else "missing"


def _size(card: ModelCard) -> str:
    n_bytes = card.weights.n_bytes if card.weights else None
    return "-" if n_bytes is None else f"{n_bytes / 1e6:.0f} MB"


def _task() -> Task:
    """Progress on one line of a terminal; silence elsewhere."""

    def report(progress: Progress) -> None:
        end = "\n" if progress.done >= progress.total else ""
        line = f"{progress.text} {progress.done}/{progress.total}"
        sys.stderr.write(f"\r{line[:78]:<78}{end}")
        sys.stderr.flush()

    return Task(report) if sys.stderr.isatty() else Task()


def _say(text: str) -> None:
    print(text, file=sys.stderr)


# -- arguments -------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="histoprompt",
        description="Prompt, correct, count and export in histology slides.",
    )
    parser.add_argument("--version", action="version", version=f"histoprompt {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_info(commands)
    _add_segment(commands)
    _add_export(commands)
    _add_count(commands)
    _add_train(commands)
    _add_models(commands)
    _add_doctor_and_demo(commands)
    return parser


Commands = argparse._SubParsersAction  # the type has no public name


def _add_info(commands: Commands) -> None:  # type: ignore[type-arg]
    info = commands.add_parser("info", help="what a slide file holds and lacks")
    info.add_argument("slide", help="a slide file or folder")
    _add_mpp(info)
    info.set_defaults(run=_info)


def _add_segment(commands: Commands) -> None:  # type: ignore[type-arg]
    seg = commands.add_parser("segment", help="prompts to a label image")
    seg.add_argument("slide", help="a slide file or folder")
    seg.add_argument("--prompts", required=True, metavar="JSON", help="clicks, boxes, scribbles")
    seg.add_argument("--model", default="litemedsam", metavar="ID", help="default: %(default)s")
    seg.add_argument("--weights", type=Path, metavar="FILE", help="a weights file of your own")
    seg.add_argument("--out", required=True, type=Path, metavar="TIFF", help="labels, uint32")
    seg.add_argument("--region", metavar="r0,c0,r1,c1", help="write only this part of the slide")
    _add_device(seg)
    _add_mpp(seg)
    seg.set_defaults(run=_segment)


def _add_export(commands: Commands) -> None:  # type: ignore[type-arg]
    exp = commands.add_parser("export", help="labels to training data")
    exp.add_argument("--image", required=True, metavar="SLIDE")
    exp.add_argument("--labels", required=True, type=Path, metavar="TIFF")
    exp.add_argument("--classes", type=Path, metavar="CSV", help="columns id and class")
    exp.add_argument("--format", required=True, choices=FORMATS)
    exp.add_argument("--out", required=True, type=Path, metavar="DIR")
    exp.add_argument("--region", metavar="r0,c0,r1,c1", help="where the labels lie on the slide")
    _add_mpp(exp)
    exp.set_defaults(run=_export)


def _add_count(commands: Commands) -> None:  # type: ignore[type-arg]
    count = commands.add_parser("count", help="all nuclei of slides, as labels and a table")
    count.add_argument("slides", nargs="+", metavar="SLIDE")
    count.add_argument("--out", required=True, type=Path, metavar="DIR", help="a folder a slide")
    count.add_argument("--segmenter", default="histoprompt-cells", metavar="ID")
    count.add_argument("--weights", type=Path, metavar="FILE", help="a weights file of your own")
    count.add_argument("--region", metavar="r0,c0,r1,c1", help="only this part of each slide")
    _add_device(count)
    _add_mpp(count)
    count.set_defaults(run=_count)


def _add_train(commands: Commands) -> None:  # type: ignore[type-arg]
    train = commands.add_parser("train", help="train the project's own heads on your exports")
    train.add_argument("--data", nargs="+", type=Path, metavar="DIR", help="exported tiles")
    train.add_argument("--out", type=Path, metavar="FILE", help="weights to write (.safetensors)")
    train.add_argument("--config", type=Path, metavar="TOML", help="every setting in a file")
    train.set_defaults(run=_train)


def _add_models(commands: Commands) -> None:  # type: ignore[type-arg]
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


def _add_doctor_and_demo(commands: Commands) -> None:  # type: ignore[type-arg]
    doctor = commands.add_parser("doctor", help="check this machine")
    doctor.add_argument("--quick", action="store_true", help="do not time a model")
    _add_device(doctor)
    doctor.set_defaults(run=_doctor)
    demo = commands.add_parser("demo", help="the sample slide in napari")
    demo.add_argument("--headless", action="store_true", help="walk the path without a user")
    demo.add_argument("--out", type=Path, default=Path("demo_output"), metavar="DIR")
    demo.set_defaults(run=_demo)


def _add_device(parser: argparse.ArgumentParser) -> None:
    choices = ("auto", "cpu", "cuda", "mps")
    parser.add_argument("--device", default="auto", choices=choices, help="default: %(default)s")


def _add_mpp(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mpp", type=_positive, metavar="X", help="microns a pixel, if not stated")


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be a number above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
