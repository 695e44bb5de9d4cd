"""`histoprompt segment`: prompts to a label image."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from histoprompt.cli.options import (
    add_device,
    keep_inputs,
    region_numbers,
    region_of,
)
from histoprompt.cli.slides import add_slide, slide_of
from histoprompt.cli.speech import say, tell, tell_notes
from histoprompt.core.strings.wording import many
from histoprompt.models import registry

if TYPE_CHECKING:
    from histoprompt.core.slides.slide import Slide
    from histoprompt.pipelines.prompts.step import SegmentParams


def add(seg: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_slide(seg)
    seg.add_argument("--prompts", required=True, metavar="JSON", help="clicks, boxes, scribbles")
    seg.add_argument("--model", default=registry.DEFAULT, metavar="ID", help="default: %(default)s")
    seg.add_argument("--weights", type=Path, metavar="FILE", help="a weights file of your own")
    seg.add_argument("--out", required=True, type=Path, metavar="TIFF", help="labels, uint32")
    seg.add_argument("--region", metavar="r0,c0,r1,c1", help="write only this part of the slide")
    add_device(seg)
    seg.set_defaults(run=_segment)


def segment_params(args: argparse.Namespace, region: tuple[int, ...] = ()) -> SegmentParams:
    """What the arguments say; `region` are the numbers of ``--region``, which a slide checks.

    Raises
    ------
    HistopromptError
        If a value cannot be.
    """
    from histoprompt.cli.parameters import read_parameters
    from histoprompt.pipelines.prompts.step import SegmentParams

    return read_parameters(SegmentParams, args, ("region", "prompts"), region=region,
                           prompts=Path(args.prompts))  # fmt: skip


def _segment(args: argparse.Namespace) -> None:
    from histoprompt.core.labels.tiff import write_labels
    from histoprompt.core.prompts.file import read_prompts
    from histoprompt.models.memory.embeddings import EmbeddingCache
    from histoprompt.models.memory.manager import ModelManager
    from histoprompt.pipelines.prompts.compose import ComposedLabels
    from histoprompt.pipelines.prompts.segment import SegmentJob, segment

    keep_inputs(args.out, Path(args.slide), Path(args.prompts))
    slide = slide_of(args)
    region = region_of(args.region, slide)
    objects = read_prompts(args.prompts)
    card = registry.card(args.model)
    manager = ModelManager(device=args.device)
    job = SegmentJob(manager, EmbeddingCache(), card, args.weights)
    found = segment(slide, objects, job, args.task)
    labels = ComposedLabels(region, [(item.id, item.masks[0]) for item in found])
    write_labels(args.out, labels, mpp=slide.mpp, task=args.task)
    _keep_recipe(args, slide)
    tell_notes(sorted({item.note for item in found if item.note}))
    missing = sorted({item.id for item in found} - set(labels.ids))
    if missing:
        say(f"note: no pixels were found for object {', '.join(map(str, missing))}.")
    tell(f"{many(len(labels.ids), 'object')} -> {args.out}")


def _keep_recipe(args: argparse.Namespace, slide: Slide) -> None:
    """What was done, beside its results, so that it can be done again."""
    from histoprompt.pipelines.recipes.beside import keep_recipe, placed
    from histoprompt.pipelines.recipes.recipe import RecipeStep

    params = segment_params(args, region_numbers(args.region, slide))
    step = RecipeStep("segment", placed(params))
    keep_recipe(args.out, (step,), {"slide": slide.key})
