"""`histoprompt export`: labels to training data."""

from __future__ import annotations

import argparse
from pathlib import Path

from histoprompt.cli.options import add_mpp, add_trust_size, region_of
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.speech import tell
from histoprompt.core.errors import RegionError
from histoprompt.core.labels.sources import ArrayLabels
from histoprompt.core.labels.tiff import TiffLabels, read_labels
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide
from histoprompt.pipelines.exchange.export import FORMATS, ExportParams, export, read_classes

# The format must be chosen; there is no default for it here.
_FILLED = ("format",)


def add(exp: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    exp.add_argument("--image", required=True, metavar="SLIDE")
    exp.add_argument("--labels", required=True, type=Path, metavar="TIFF")
    exp.add_argument("--classes", type=Path, metavar="CSV", help="columns id and class")
    exp.add_argument("--format", required=True, choices=FORMATS)
    add_parameters(exp, ExportParams, skip=_FILLED)
    exp.add_argument("--out", required=True, type=Path, metavar="DIR")
    exp.add_argument("--region", metavar="r0,c0,r1,c1", help="where the labels lie on the slide")
    add_mpp(exp)
    add_trust_size(exp)
    exp.set_defaults(run=_export)


def _export(args: argparse.Namespace) -> None:
    slide = open_slide(args.image, mpp=args.mpp, trust_size=args.trust_size)
    labels = _labels(args, slide)
    params = read_parameters(ExportParams, args, skip=_FILLED, format=args.format)
    classes = read_classes(args.classes, params.default_class) if args.classes else None
    tell(export(slide, labels, args.out, params, args.task, classes=classes))


def _labels(args: argparse.Namespace, slide: Slide) -> TiffLabels | ArrayLabels:
    """The labels to export, where `--region` says they lie or where their file says it."""
    if args.region is None:
        return read_labels(args.labels)
    region = region_of(args.region, slide)
    labels = read_labels(args.labels, (round(region.r0), round(region.c0)))
    if labels.shape != region.shape:
        raise RegionError(
            f"--region {args.region} has {region.shape[0]} rows and {region.shape[1]} columns, but "
            f"{args.labels} has {labels.shape[0]} and {labels.shape[1]}."
        )
    return labels
