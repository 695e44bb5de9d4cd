"""`histoprompt export`: labels to training data."""

from __future__ import annotations

import argparse
from pathlib import Path

from histoprompt.annotations.place import store_folder
from histoprompt.annotations.store import LabelStore
from histoprompt.cli.options import add_mpp, add_trust_size, region_of
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.speech import tell
from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import LabelError, RegionError
from histoprompt.core.labels.classes import Classes
from histoprompt.core.labels.sources import ArrayLabels
from histoprompt.core.labels.tiff import TiffLabels, read_labels
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide
from histoprompt.pipelines.classes.cell_files import read_cells
from histoprompt.pipelines.count.files import CELLS_CSV, LABELS_TIF
from histoprompt.pipelines.count.out_folders import MADE, slide_in
from histoprompt.pipelines.exchange.export import (
    FORMATS,
    ExportParams,
    ExportReport,
    export,
    read_classes,
)
from histoprompt.pipelines.exchange.from_store import export_store

STORE = "store"
# The format must be chosen; there is no default for it here.
_FILLED = ("format",)


def add(exp: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    exp.add_argument("--image", required=True, metavar="SLIDE")
    exp.add_argument(
        "--labels",
        required=True,
        type=Path,
        metavar="TIFF|DIR|store",
        help="a label image, what `count` wrote for the slide, or store: the committed objects",
    )
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
    params = read_parameters(ExportParams, args, skip=_FILLED, format=args.format)
    classes = read_classes(args.classes, params.default_class) if args.classes else None
    if str(args.labels) == STORE and not args.labels.exists():
        tell(_export_store(args, slide, params))
        return
    cells = None
    if (args.labels / MADE).is_file():
        cells = _cells(args.labels, slide)
        named = zip(cells.id.tolist(), cells.class_names, strict=True)
        classes = classes or Classes({i: name for i, name in named if name})
        args.labels /= LABELS_TIF
    labels = _labels(args, slide)
    tell(export(slide, labels, args.out, params, args.task, classes=classes, cells=cells))


def _export_store(args: argparse.Namespace, slide: Slide, params: ExportParams) -> ExportReport:
    folder = store_folder(slide.key)
    with LabelStore.open(folder, slide.shape, slide.key, read_only=True) as store:
        return export_store(slide, store, args.out, params, args.task)


def _cells(folder: Path, slide: Slide) -> CellTable:
    """The cells of a count, which must be of the slide."""
    if slide_in(folder) != slide.key:
        raise LabelError(f"{folder} holds the count of another slide than {slide.name}.")
    return read_cells(folder / CELLS_CSV)


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
