"""`histoprompt detect`: a detector learnt from reviewed tags, compared, and used."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from histoprompt.cli.ending import each
from histoprompt.cli.options import add_device, add_mpp, add_trust_size
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.slides import NamedSlide, add_slides, named_slides
from histoprompt.cli.speech import tell
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.count.result_folders import free_folder
from histoprompt.pipelines.recipes.beside import keep_recipe, placed
from histoprompt.pipelines.recipes.recipe import RecipeStep
from histoprompt.pipelines.tags.detect import DetectApplyParams, apply_head, fit, write_detections
from histoprompt.pipelines.tags.detector import DetectParams

if TYPE_CHECKING:
    from histoprompt.training.box_detector import BoxDetector

_NETWORK = "fasterrcnn"


def add(detect: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = detect.add_subparsers(metavar="ACTION", required=True)
    one = actions.add_parser("fit", help="learn a detector from tags")
    one.add_argument("--tags", required=True, type=Path, metavar="DIR", help="of `tag`")
    one.add_argument("--out", required=True, type=Path, metavar="FILE")
    one.add_argument(
        "--compare", action="store_true", help="raw, filtered, reviewed tags and the detector"
    )
    one.add_argument(
        "--truth", type=Path, metavar="CSV", help="marked by hand: slide, row, col, tag"
    )
    add_parameters(one, DetectParams)
    add_device(one)
    one.set_defaults(run=_fit)
    two = actions.add_parser("apply", help="find what a detector learnt, in slides")
    add_slides(two)
    add_parameters(two, DetectApplyParams)
    add_device(two)
    add_mpp(two)
    add_trust_size(two)
    two.set_defaults(run=_apply)


def _fit(args: argparse.Namespace) -> None:
    params = read_parameters(DetectParams, args)
    elsewhere = None
    if params.detector == _NETWORK:
        from histoprompt.training.box_detector import fitting

        elsewhere = fitting(args.tags, args.out, params.epochs, args.device, args.task)
    compare = args.compare or args.truth is not None
    done = fit(args.tags, args.out, params, compare=compare, truth=args.truth, elsewhere=elsewhere)
    for line in done.told:
        tell(line)


def _apply(args: argparse.Namespace) -> int:
    params = read_parameters(DetectApplyParams, args)
    path, manager = params.detector(), ModelManager(device=args.device)
    network = _network(path, args.device)
    slides = named_slides(args.slides, args.out)
    taken: list[Path] = []

    def apply(named: NamedSlide) -> int:
        with named.open(args) as slide:
            folder = args.out
            if folder is None or len(slides) > 1:
                folder = free_folder(*named.place(args.out, "detect"), slide.key, taken)
            taken.append(folder)
            if network is None:
                counts = apply_head(
                    slide, named.name, path, folder=folder, manager=manager, task=args.task
                )
                keep_recipe(folder, (RecipeStep("detect", placed(params)),), {"slide": slide.key})
            else:
                found = network.find(slide, args.task)
                counts = write_detections(folder, named.name, found, network.classes)
            told = ", ".join(f"{n} {tag}" for tag, n in counts.items())
            tell(f"{named}: {told} -> {folder}")
        return 0

    return each(slides, apply, args.task, ("slide", "slides"))


def _network(path: Path, device: str) -> BoxDetector | None:
    """The network in a file; None if it holds a class head."""
    from histoprompt.pipelines.tags.network_file import is_network

    if not is_network(path):
        return None
    from histoprompt.training.box_detector import BoxDetector

    return BoxDetector.load(path, device)
