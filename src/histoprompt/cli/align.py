"""`histoprompt align`: a vocabulary of one's own from sentences about places on slides."""

from __future__ import annotations

import argparse
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from histoprompt.cli.options import add_device, add_mpp, add_trust_size, keep_inputs
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.speech import tell
from histoprompt.core.files.atomic import replacing_file
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.zoo.aligned import place_of
from histoprompt.pipelines.align.pairs import Pair, project_slides, read_pairs
from histoprompt.pipelines.align.params import AlignParams
from histoprompt.pipelines.align.run import align
from histoprompt.pipelines.recipes.beside import keep_recipe, placed
from histoprompt.pipelines.recipes.recipe import RecipeStep

if TYPE_CHECKING:
    from histoprompt.core.slides.slide import Slide


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_parameters(parser, AlignParams)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help=".safetensors")
    parser.add_argument("--project", type=Path, metavar="DIR", help="whose ids the table names")
    parser.add_argument(
        "--name", metavar="NAME", help="of the model in the docks; default: that of the file"
    )
    parser.add_argument(
        "--no-keep", action="store_true", help="do not offer it as a model in the docks"
    )
    add_device(parser)
    add_mpp(parser)
    add_trust_size(parser)
    parser.set_defaults(run=_align)


def _align(args: argparse.Namespace) -> None:
    params = read_parameters(AlignParams, args)
    keep_inputs(args.out, params.file())
    pairs = read_pairs(params.file(), project_slides(args.project))
    network = None
    if params.method_for(len(pairs)) == "adapter":
        from histoprompt.training.contrastive import contrastive

        network = contrastive(args.task)

    def opened(pair: Pair) -> AbstractContextManager[Slide]:
        from histoprompt.core.readers.open import open_slide

        typed = pair.mpp if args.mpp is None else args.mpp
        return open_slide(pair.slide, typed, trust_size=args.trust_size)

    manager = ModelManager(device=args.device)
    done = align(
        pairs, params, args.out, opened=opened, manager=manager, task=args.task, network=network
    )
    keep_recipe(args.out, (RecipeStep("align", placed(params)),))
    for line in done.told:
        tell(line)
    if not args.no_keep:
        kept = place_of(args.name or args.out.stem)
        with replacing_file(kept) as part:
            shutil.copyfile(args.out, part)
        tell(f"offered by the docks and by --model as aligned-{kept.stem}")
    tell(f"-> {args.out}")
