"""`histoprompt classify`: learn classes of cells from a few examples, and use what was learnt."""

from __future__ import annotations

import argparse
from math import isfinite
from pathlib import Path

from histoprompt.cli.options import keep_inputs
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.speech import say, tell
from histoprompt.core.cell_table import UNSURE, CellTable
from histoprompt.core.stain.ihc import DAB_MEAN, DabClassifier, DabThresholds, ihc_score
from histoprompt.pipelines.classes.cell_files import read_cell_labels, read_cells, write_cells
from histoprompt.pipelines.classes.classifier_file import read_classifier, write_classifier
from histoprompt.pipelines.classes.classifiers import FewShotClassifier
from histoprompt.pipelines.classes.domain import domain_of
from histoprompt.pipelines.classes.feature_sets import feature_sets
from histoprompt.pipelines.classes.prevalence import counts_of
from histoprompt.pipelines.classes.step import ClassifyParams
from histoprompt.pipelines.classes.train import Fit, Trainer
from histoprompt.pipelines.classes.train_params import TrainParams
from histoprompt.pipelines.count.files import CELLS_CSV
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
    fit.add_argument("--classes", metavar="A,B", help="classes that must have an example")
    fit.set_defaults(run=_fit)
    apply = actions.add_parser("apply", help="give cells their classes")
    apply.add_argument("--cells", required=True, type=Path, metavar="CSV", help="of `count`")
    apply.add_argument("--classifier", required=True, type=Path, metavar="FILE")
    apply.add_argument("--out", required=True, type=Path, metavar="CSV")
    apply.set_defaults(run=_apply)
    dab = actions.add_parser("dab", help="classes by how much DAB cells hold")
    dab.add_argument("--cells", required=True, type=Path, metavar="CSV", help="of `count`")
    dab.add_argument("--out", required=True, type=Path, metavar="CSV")
    add_parameters(dab, DabThresholds)
    dab.set_defaults(run=_dab)


def _fit(args: argparse.Namespace) -> None:
    keep_inputs(args.out, args.cells, args.labels)
    cells = read_cells(args.cells)
    labels = read_cell_labels(args.labels, cells)
    wanted = [name.strip() for name in (args.classes or "").split(",") if name.strip()]
    params = read_parameters(TrainParams, args)
    for one in feature_sets(cells, labels, params):
        tell(str(one))
    fit = Trainer(cells, params).fit(labels, wanted)
    write_classifier(args.out, fit.classifier)
    for warning in fit.warnings:
        say(f"Note: {warning}")
    tell(f"{_report(fit)} -> {args.out}")


def _report(fit: Fit) -> str:
    examples = ", ".join(f"{n} {name}" for name, n in fit.examples.items())
    held_out = (
        f"{fit.accuracy:.0%} right on held-out examples"
        if isfinite(fit.accuracy)
        else "too few to test"
    )
    return (
        f"{fit.classifier.method} from {examples}; {held_out}; "
        f"{fit.cells.counts()[UNSURE]} of {len(fit.cells)} cells unsure"
    )


def _apply(args: argparse.Namespace) -> None:
    keep_inputs(args.out, args.cells, args.classifier)
    _classify(read_cells(args.cells), read_classifier(args.classifier), args.out)
    _keep_recipe(args)


def _dab(args: argparse.Namespace) -> None:
    keep_inputs(args.out, args.cells)
    cells, thresholds = read_cells(args.cells), read_parameters(DabThresholds, args)
    _classify(cells, DabClassifier(thresholds), args.out)
    score = ihc_score(cells.features[:, cells.feature_names.index(DAB_MEAN)], thresholds)
    tell(f"{score.positive_fraction:.1%} positive, H-score {score.h_score:.0f}")


def _classify(cells: CellTable, classifier: FewShotClassifier | DabClassifier, out: Path) -> None:
    classified = cells.classified(*classifier.classify(cells.features, cells.feature_names))
    write_cells(out, classified)
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


def _keep_recipe(args: argparse.Namespace) -> None:
    """What was done, beside its results: with the count before it, where its recipe is there."""
    before = recipe_beside(args.cells.parent) if args.cells.name == CELLS_CSV else None
    cells = None if before else args.cells.absolute()
    params = ClassifyParams(classifier=args.classifier.absolute(), cells=cells)
    keep_recipe(args.out, (RecipeStep("classify", params),), before=before)
