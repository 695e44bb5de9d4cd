"""`histoprompt count`: all nuclei of slides, as labels and a table."""

from __future__ import annotations

import argparse
from pathlib import Path

from histoprompt.cli.options import Commands, add_device, add_mpp, region_of
from histoprompt.core.errors import ModelError
from histoprompt.core.label_io import write_labels
from histoprompt.core.slide_io import open_slide
from histoprompt.models import registry
from histoprompt.models.manager import ModelManager
from histoprompt.pipelines.count import find_cells, label_cells, write_cells


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    count = commands.add_parser("count", help="all nuclei of slides, as labels and a table")
    count.add_argument("slides", nargs="+", metavar="SLIDE")
    count.add_argument("--out", required=True, type=Path, metavar="DIR", help="a folder a slide")
    count.add_argument("--segmenter", default=registry.DEFAULT_CELLS, metavar="ID")
    count.add_argument("--weights", type=Path, metavar="FILE", help="a weights file of your own")
    count.add_argument("--region", metavar="r0,c0,r1,c1", help="only this part of each slide")
    add_device(count)
    add_mpp(count)
    count.set_defaults(run=_count)


def _count(args: argparse.Namespace) -> None:
    manager, card = ModelManager(device=args.device), registry.card(args.segmenter)
    if card.role != "cells":
        raise ModelError(
            f"{card.id} does not find cells by itself; `histoprompt models list` "
            "shows which models have the role cells."
        )
    for path in args.slides:
        slide = open_slide(path, mpp=args.mpp)
        region = region_of(args.region, slide)
        cells = find_cells(slide, region, card, manager, args.task, weights=args.weights)
        labels, rows = label_cells(cells, region, slide.mpp or 1.0)
        folder = Path(args.out) / Path(path).name.split(".")[0]
        folder.mkdir(parents=True, exist_ok=True)
        write_labels(folder / "labels.tif", labels, mpp=slide.mpp)
        write_cells(folder / "cells.csv", rows)
        print(f"{len(rows)} cells -> {folder}")
