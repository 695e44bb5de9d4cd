"""Classes of tiles from a few marked ones, on any encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import UNSURE, CellTable
from histoprompt.core.errors import LabelError, ModelError
from histoprompt.core.parameters import Parameter
from histoprompt.core.task import Task
from histoprompt.pipelines.classes.classifier_file import (
    read_told_classifier,
    write_classifier,
)
from histoprompt.pipelines.classes.classifiers import FewShotClassifier
from histoprompt.pipelines.classes.exclusion import OTHER, band
from histoprompt.pipelines.classes.ignored import without_ignored
from histoprompt.pipelines.classes.one_out import OneOut, leave_one_out
from histoprompt.pipelines.classes.train import TrainedClassifier, Trainer
from histoprompt.pipelines.classes.train_params import STRENGTH, TrainParams
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.pictures import Opener
from histoprompt.pipelines.explore.tile_classes.looks import LOOKS, Looks, looks_over
from histoprompt.pipelines.explore.tile_set import TileSet

KIND: Final = "tiles"
_PAIR = 2
# Pairs of marks that look alike that are told.
_SHOWN = 3
# With fewer marks of a class than this nobody can say how far from them a tile may be.
_ENOUGH = 10


@dataclass(frozen=True)
class TileTrainParams(TrainParams):
    """How to learn classes of tiles: as of cells, with what suits embeddings of tiles.

    Embeddings have no few features that say it all, so a regression may follow its examples more
    freely, and by itself a linear discriminant is taken, prototypes while a class has one mark.
    """

    strength: Annotated[float, STRENGTH] = 10.0
    margin: Annotated[
        float,
        Parameter(
            "Unsure within",
            "A tile is unsure if its two likeliest classes are closer than this.",
            low=0.0,
            high=0.9,
        ),
    ] = 0.0

    def chosen(self, labels: Mapping[int, str]) -> TrainParams:
        """With a method in the place of ``auto``."""
        plain = {one.name: getattr(self, one.name) for one in fields(TrainParams)}
        if self.method == "auto":
            names = list(without_ignored(labels).values())
            fewest = min((names.count(n) for n in set(names)), default=0)
            plain["method"] = "discriminant" if fewest >= _PAIR else "prototype"
        return TrainParams(**plain)


@dataclass(frozen=True, eq=False)
class TileFit:
    """What came of it.

    Attributes
    ----------
    fit : TrainedClassifier
        Its cells are the tiles: id is the row in the set and 1; `active_learning.next_cell` and
        `Review` work on it.
    one_out : OneOut or None
        What it is worth on marks left out; None if a class has a single mark.
    encoder, digest : str
    seen_at : dict of str to str
        How tiles were looked at.
    looks : Looks or None
        Stain and sharpness of the slides with marks; None if that was not looked at.
    """

    fit: TrainedClassifier
    one_out: OneOut | None
    encoder: str
    digest: str
    seen_at: dict[str, str]
    looks: Looks | None = None

    @property
    def alone(self) -> bool:
        """Whether marks are of one class, which what looks unlike it cannot test."""
        return OTHER in self.fit.classifier.classes and OTHER not in self.fit.examples

    @property
    def told(self) -> str:
        """From which marks, what it is worth on those left out, and how many tiles are unsure."""
        fit = self.fit
        examples = ", ".join(f"{n} {name}" for name, n in fit.examples.items())
        score = "too few marks to test"
        if self.alone:
            score = "marks of one class cannot be tested"
        if self.one_out is not None:
            score = (
                f"balanced accuracy {self.one_out.balanced_accuracy:.2f}, macro F1 "
                f"{self.one_out.macro_f1:.2f} on marks left out"
            )
        ignored = f"; {fit.ignored} ignored" if fit.ignored else ""
        unsure = fit.cells.counts()[UNSURE]
        return (
            f"{fit.classifier.method} from {examples}{ignored}; {score}; {unsure} of "
            f"{len(fit.cells):,} tiles unsure"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the person should know, a sentence each; tiles are told by where they lie."""
        pairs = self.fit.alike[:_SHOWN]
        told = [
            f"The tiles marked {a} at {self._place(i)} and {b} at {self._place(j)} look alike "
            f"(similarity {pair.similarity:.2f}): is one of them wrong?"
            for pair in pairs
            for (i, j), (a, b) in ((pair.ids, pair.classes),)
        ]
        of_cells = {str(pair) for pair in self.fit.alike}
        rest = [one.replace("cell", "tile") for one in self.fit.warnings if one not in of_cells]
        return (*told, *rest)

    def _place(self, number: int) -> str:
        cells = self.fit.cells
        return f"{cells.row[number - 1]:.0f},{cells.col[number - 1]:.0f}"


def table_of(tiles: TileSet) -> CellTable:
    """Tiles as a table: ids are rows from 1, features are the vectors."""
    vectors = np.asarray(tiles.vectors, np.float32)
    at = tiles.centres
    return CellTable(
        id=np.arange(1, len(tiles) + 1),
        row=at[:, 0],
        col=at[:, 1],
        area_um2=tiles.area_mm2 * 1e6,
        features=vectors,
        feature_names=tuple(f"{KIND}_{k}" for k in range(vectors.shape[1])),
    )


def fit_tiles(
    tiles: TileSet,
    labels: Mapping[int, str],
    params: TileTrainParams,
    seen: IndexParams,
    groups: NDArray[np.integer] | None = None,
) -> TileFit:
    """Learn classes from marked tiles and classify all.

    Parameters
    ----------
    tiles : TileSet
    labels : mapping of int to str
        Class by row; those of `Ignore*` teach nothing.
    params : TileTrainParams
    seen : IndexParams
        How tiles were looked at; kept in the file.
    groups : (n,) int, optional
        Tiles of one group are left out together, such as those of one slide or case.

    Raises
    ------
    LabelError
        If no class is marked, or only one that all tiles look like.
    """
    names = sorted(set(without_ignored(labels).values()))
    if not names:
        raise LabelError(
            "The marks are of no class that counts. Mark tiles of at least two classes, such as "
            "the tissue that is meant and the rest."
        )
    chosen, trainer = params.chosen(labels), Trainer(table_of(tiles))
    trainer.params = chosen
    fit = _fitted(trainer, {row + 1: name for row, name in labels.items()})
    classifier, rows = fit.classifier, np.array([r for r in labels if labels[r] in names], np.intp)
    one_out, alone = None, len(names) < _PAIR
    if not alone:  # what stands for all else was chosen to be unlike: it tests nothing
        one_out = leave_one_out(
            classifier.examples, classifier.code, classifier.classes, classifier.method,
            strength=chosen.strength, groups=None if groups is None else np.asarray(groups)[rows],
        )  # fmt: skip
    if np.bincount(classifier.code).min() < _ENOUGH:
        classifier = replace(classifier, reach=float("inf"), usual_far=float("nan"))
    if one_out is not None or alone:
        classifier = replace(classifier, held_out=one_out.probability if one_out else None)
    found, score = classifier.decide(fit.probability, fit.distance)
    if alone:
        other = found == classifier.classes.index(OTHER)
        found[band(trainer.scaled, rows) & other] = len(classifier.classes)
    given = {row + 1 for row in labels}
    said = np.isin(fit.cells.id, np.array(sorted(given), np.int64))
    found[said], score[said] = fit.cells.code[said], fit.cells.score[said]
    cells = fit.cells.classified(fit.cells.classes, found, score)
    fit = replace(fit, classifier=classifier, cells=cells)
    fit = replace(fit, accuracy=float("nan")) if alone else fit
    about = {"mpp": f"{seen.mpp:g}", "overlap": str(seen.overlap)}
    return TileFit(fit, one_out, tiles.encoder, tiles.digest, about)


def _fitted(trainer: Trainer, labels: Mapping[int, str]) -> TrainedClassifier:
    try:
        return trainer.fit(labels)
    except LabelError as error:
        raise LabelError(str(error).replace("cell", "tile")) from error


def fit_marked(
    tiles: TileSet, labels: Mapping[int, str], params: TileTrainParams, seen: IndexParams
) -> TileFit:
    """As `fit_tiles`; marks of more than two slides are left out slide by slide where it can be."""
    several = len(set(without_ignored(labels).values())) > 1
    if several and len({int(tiles.slide[row]) for row in labels}) > _PAIR:
        found = fit_tiles(tiles, labels, params, seen, tiles.slide)
        if found.one_out is not None:
            return found
    return fit_tiles(tiles, labels, params, seen)


def with_looks(
    found: TileFit, tiles: TileSet, labels: Mapping[int, str], opener: Opener, task: Task
) -> TileFit:
    """With stain and sharpness of the slides with marks, so that others can be held against them.

    Raises
    ------
    SlideError
        If one cannot be read.
    """
    slides = sorted({int(tiles.slide[row]) for row in labels})
    return replace(found, looks=looks_over(tiles, slides, opener, task))


def save_tiles(path: Path, found: TileFit) -> None:
    """Keep a classifier with the encoder it belongs to; no code is in the file.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    about = {"of": KIND, "encoder": found.encoder, "digest": found.digest, **found.seen_at}
    about |= {} if found.looks is None else {LOOKS: found.looks.told()}
    write_classifier(path, found.fit.classifier, about)


def load_tiles(path: Path) -> tuple[FewShotClassifier, dict[str, str]]:
    """A classifier of tiles, and how its tiles were looked at.

    Raises
    ------
    LabelError
        If it cannot be read, or is one of cells.
    """
    classifier, about = read_told_classifier(path)
    if about.get("of") != KIND:
        raise LabelError(
            f"{path} is a classifier of cells, not of tiles. Choose a file that `tiles fit` wrote."
        )
    return classifier, about


def check_encoder(about: Mapping[str, str], tiles: TileSet) -> None:
    """Refuse tiles that another encoder has seen.

    Raises
    ------
    ModelError
    """
    if (tiles.encoder, tiles.digest) != (about.get("encoder"), about.get("digest")):
        raise ModelError(
            f"The classifier was learnt on {about.get('encoder')} "
            f"({about.get('digest', '')[:19]}); the tiles were seen by {tiles.encoder} "
            f"({tiles.digest[:19]}). Index with the weights of the classifier, or learn it again."
        )
