"""`histoprompt classify`: learn classes of cells from a few examples, and use what was learnt."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path

from histoprompt.cli.options import add_device, add_mpp, add_trust_size, keep_inputs
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.slides import NamedSlide
from histoprompt.cli.speech import say, tell
from histoprompt.core.cell_table import UNSURE, CellTable
from histoprompt.core.errors import ParameterError
from histoprompt.core.stain.ihc import DAB_MEAN, DabClassifier, DabThresholds, ihc_score
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.classes.classifier_file import read_classifier, write_classifier
from histoprompt.pipelines.classes.classifiers import FewShotClassifier
from histoprompt.pipelines.classes.domain import domain_of
from histoprompt.pipelines.classes.encoded import encoders_of, with_encoders, without_encoders
from histoprompt.pipelines.classes.feature_sets import MIX, feature_sets, kind_of
from histoprompt.pipelines.classes.prevalence import counts_of
from histoprompt.pipelines.classes.step import ClassifyParams, dab_params
from histoprompt.pipelines.classes.train import TrainedClassifier, Trainer
from histoprompt.pipelines.classes.train_params import TrainParams
from histoprompt.pipelines.count.files import CELLS_CSV
from histoprompt.pipelines.formats.cell_files import read_cell_labels, read_cells, write_cells
from histoprompt.pipelines.recipes.beside import keep_recipe, recipe_beside
from histoprompt.pipelines.recipes.recipe import RecipeStep


def add(classify: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = classify.add_subparsers(metavar="ACTION", required=True)
    fit = actions.add_parser("fit", help="train a classifier on labelled cells")
    fit.add_argument("--cells", required=True, type=Path, metavar="CSV", help="of `count`")
    fit.add_argument("--labels", required=True, type=Path, metavar="CSV", help="id and class")
    fit.add_argument("--out", required=True, type=Path, metavar="FILE")
    add_parameters(fit, TrainParams)
    _add_slide(fit)
    fit.add_argument(
        "--encoder",
        action="append",
        default=[],
        metavar="ID",
        help="also learn from what this encoder sees around each cell; needs --slide",
    )
    fit.add_argument(
        "--features",
        metavar="SET",
        default=MIX,
        help=f"learn from this set alone: measured, net, an encoder; default: {MIX}",
    )
    fit.add_argument("--classes", metavar="A,B", help="classes that must have an example")
    fit.set_defaults(run=_fit)
    apply = actions.add_parser("apply", help="give cells their classes")
    apply.add_argument("--cells", required=True, type=Path, metavar="CSV", help="of `count`")
    apply.add_argument("--classifier", required=True, type=Path, metavar="FILE")
    apply.add_argument("--out", required=True, type=Path, metavar="CSV")
    _add_slide(apply)
    apply.set_defaults(run=_apply)
    dab = actions.add_parser("dab", help="classes by how much DAB cells hold")
    dab.add_argument("--cells", required=True, type=Path, metavar="CSV", help="of `count`")
    dab.add_argument("--out", required=True, type=Path, metavar="CSV")
    add_parameters(dab, DabThresholds)
    dab.set_defaults(run=_dab)


def _add_slide(action: argparse.ArgumentParser) -> None:
    """What is needed where an encoder looks at the cells."""
    action.add_argument("--slide", metavar="SLIDE", help="that the cells were counted on")
    add_device(action)
    add_mpp(action)
    add_trust_size(action)


def _seen(args: argparse.Namespace, cells: CellTable, encoders: Sequence[str]) -> CellTable:
    """Cells with what encoders see of them on their slide."""
    if not encoders:
        return cells
    if not args.slide:
        raise ParameterError(
            f"{', '.join(encoders)} looks at the cells on their slide: name it with --slide."
        )
    with NamedSlide(args.slide, args.slide).open(args) as slide:
        manager = ModelManager(device=args.device)
        return with_encoders(cells, slide, encoders, manager, args.task)


def _only(cells: CellTable, wanted: str) -> CellTable:
    """Cells with one set of features, or all."""
    if wanted == MIX:
        return cells
    kept = [k for k, name in enumerate(cells.feature_names) if kind_of(name) == wanted]
    if not kept:
        kinds = sorted({kind_of(name) for name in cells.feature_names})
        raise ParameterError(f"There are no features {wanted!r}; there are {', '.join(kinds)}.")
    names = tuple(cells.feature_names[k] for k in kept)
    return replace(cells, features=cells.features[:, kept], feature_names=names)


def _fit(args: argparse.Namespace) -> None:
    keep_inputs(args.out, args.cells, args.labels)
    cells = _seen(args, read_cells(args.cells), args.encoder)
    labels = read_cell_labels(args.labels, cells)
    wanted = [name.strip() for name in (args.classes or "").split(",") if name.strip()]
    params = read_parameters(TrainParams, args)
    for one in feature_sets(cells, labels, params):
        tell(str(one))
    fit = Trainer(_only(cells, args.features), params).fit(labels, wanted)
    write_classifier(args.out, fit.classifier)
    for warning in fit.warnings:
        say(f"Note: {warning}")
    tell(f"{_report(fit)} -> {args.out}")


def _report(fit: TrainedClassifier) -> str:
    examples = ", ".join(f"{n} {name}" for name, n in fit.examples.items())
    held_out = (
        f"{fit.accuracy:.0%} right on held-out examples"
        if isfinite(fit.accuracy)
        else "too few to test"
    )
    return (
        f"{fit.classifier.method} from {examples}; {held_out}; "
        f"{fit.cells.counts()[UNSURE]} of {len(fit.cells):,} cells unsure"
    )


def _apply(args: argparse.Namespace) -> None:
    keep_inputs(args.out, args.cells, args.classifier)
    classifier = read_classifier(args.classifier)
    cells = _seen(args, read_cells(args.cells), encoders_of(classifier.feature_names))
    _classify(cells, classifier, args.out)
    _keep_recipe(args, ClassifyParams(classifier=args.classifier.absolute()))


def _dab(args: argparse.Namespace) -> None:
    keep_inputs(args.out, args.cells)
    cells, thresholds = read_cells(args.cells), read_parameters(DabThresholds, args)
    _classify(cells, DabClassifier(thresholds), args.out)
    _keep_recipe(args, dab_params(thresholds, None))
    score = ihc_score(cells.features[:, cells.feature_names.index(DAB_MEAN)], thresholds)
    tell(f"{score.positive_fraction:.1%} positive, H-score {score.h_score:.0f}")


def _classify(cells: CellTable, classifier: FewShotClassifier | DabClassifier, out: Path) -> None:
    classified = cells.classified(*classifier.classify(cells.features, cells.feature_names))
    write_cells(out, without_encoders(classified))
    counts = ", ".join(f"{n} {name}" for name, n in classified.counts().items())
    tell(f"{counts} -> {out}")
    if isinstance(classifier, FewShotClassifier) and len(cells):
        _say_how_far(classifier, cells)


def _say_how_far(classifier: FewShotClassifier, cells: CellTable) -> None:
    """Counts that allow for mistakes, and whether the cells are of another kind."""
    domain = domain_of(classifier, cells.features, cells.feature_names)
    if domain.outside:
        say(f"note: {domain} Do not believe its classes before you looked at some.")
    counts = counts_of(classifier, cells.features, cells.feature_names)
    if counts is None:
        return
    for name, counted, adjusted, low, high, expected in counts.rows():
        tell(
            f"{name}: {counted:.0f} counted; {adjusted:.0f} ({low:.0f} to {high:.0f}) with "
            f"mistakes on held-out examples taken back; {expected:.0f} by expectation"
        )


def _keep_recipe(args: argparse.Namespace, params: ClassifyParams) -> None:
    """What was done, beside its results: with the count before it, where its recipe is there."""
    before = recipe_beside(args.cells.parent) if args.cells.name == CELLS_CSV else None
    cells = None if before else args.cells.absolute()
    keep_recipe(args.out, (RecipeStep("classify", replace(params, cells=cells)),), before=before)
