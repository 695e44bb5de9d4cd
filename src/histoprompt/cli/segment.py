"""`histoprompt segment`: prompts to a label image."""

from __future__ import annotations

import argparse
from pathlib import Path

from histoprompt.cli.options import (
    add_device,
    add_mpp,
    add_trust_size,
    keep_inputs,
    region_of,
)
from histoprompt.cli.speech import say, tell
from histoprompt.models import registry


def add(seg: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    seg.add_argument("slide", help="a slide file or folder")
    seg.add_argument("--prompts", required=True, metavar="JSON", help="clicks, boxes, scribbles")
    seg.add_argument("--model", default=registry.DEFAULT, metavar="ID", help="default: %(default)s")
    seg.add_argument("--weights", type=Path, metavar="FILE", help="a weights file of your own")
    seg.add_argument("--out", required=True, type=Path, metavar="TIFF", help="labels, uint32")
    seg.add_argument("--region", metavar="r0,c0,r1,c1", help="write only this part of the slide")
    add_device(seg)
    add_mpp(seg)
    add_trust_size(seg)
    seg.set_defaults(run=_segment)


def _segment(args: argparse.Namespace) -> None:
    from histoprompt.core.labels.tiff import write_labels
    from histoprompt.core.prompts.file import read_prompts
    from histoprompt.core.readers.open import open_slide
    from histoprompt.models.memory.embeddings import EmbeddingCache
    from histoprompt.models.memory.manager import ModelManager
    from histoprompt.pipelines.prompts.compose import ComposedLabels
    from histoprompt.pipelines.prompts.segment import SegmentJob, segment

    keep_inputs(args.out, Path(args.slide), Path(args.prompts))
    slide = open_slide(args.slide, mpp=args.mpp, trust_size=args.trust_size)
    region = region_of(args.region, slide)
    objects = read_prompts(args.prompts)
    card = registry.card(args.model)
    manager = ModelManager(device=args.device)
    job = SegmentJob(manager, EmbeddingCache(), card, args.weights)
    found = segment(slide, objects, job, args.task)
    labels = ComposedLabels(region, [(item.id, item.masks[0]) for item in found])
    write_labels(args.out, labels, mpp=slide.mpp, task=args.task)
    for note in sorted({item.note for item in found if item.note}):
        say(f"note: {note}")
    missing = sorted({item.id for item in found} - set(labels.ids))
    if missing:
        say(f"note: no pixels were found for object {', '.join(map(str, missing))}.")
    tell(f"{len(labels.ids)} objects -> {args.out}")
