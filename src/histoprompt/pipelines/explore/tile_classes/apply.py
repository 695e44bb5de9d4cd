"""Giving tiles of slides the classes that a classifier has learnt, and the files of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import UNSURE
from histoprompt.core.errors import LabelError
from histoprompt.core.parameters import Parameter, check, given_file
from histoprompt.core.strings.names import guarded
from histoprompt.core.task import Task
from histoprompt.pipelines.classes.classifiers import FewShotClassifier, chunks
from histoprompt.pipelines.classes.domain import Domain, domain_of
from histoprompt.pipelines.classes.prevalence import ClassCounts, class_counts
from histoprompt.pipelines.explore.areas import SlideAreas, write_areas
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.per_slide import folders_of
from histoprompt.pipelines.explore.pictures import Opener
from histoprompt.pipelines.explore.tile_classes.fit import check_encoder, table_of
from histoprompt.pipelines.explore.tile_classes.looks import Looks, looks_of
from histoprompt.pipelines.explore.tile_set import TileSet
from histoprompt.pipelines.explore.tile_table import BOX, SLIDE, TILES, write_rows

REGIONS, CLASSES = "regions.geojson", "classes.csv"


@dataclass(frozen=True)
class TilesParams:
    """By what tiles are classified.

    Attributes
    ----------
    classifier : Path or None
        A classifier of tiles that was saved.
    """

    classifier: Annotated[
        Path | None, Parameter("Classifier", "A classifier of tiles that was saved.")
    ] = None

    def __post_init__(self) -> None:
        check(self)

    def file(self) -> Path:
        """The classifier's file.

        Raises
        ------
        ParameterError
            If none is given.
        """
        return given_file(self, "classifier", "saved")


@dataclass(frozen=True, eq=False)
class ClassifiedTiles:
    """Tiles with their classes.

    Attributes
    ----------
    tiles : TileSet
    names : tuple of str
        The last is `UNSURE`.
    code : (n,) int16
    score : (n,) float32
    likeliest : (n,) intp
        The likeliest class, of unsure tiles too.
    counts : tuple of (ClassCounts or None)
        Of each slide; None where the classifier has no held-out examples.
    domains : tuple of Domain
        Of each slide.
    """

    tiles: TileSet
    names: tuple[str, ...]
    code: NDArray[np.int16]
    score: NDArray[np.float32]
    likeliest: NDArray[np.intp]
    counts: tuple[ClassCounts | None, ...]
    domains: tuple[Domain, ...]

    def mm2(self) -> NDArray[np.float64]:
        """Square millimetres (slides, classes)."""
        table = np.zeros((len(self.tiles.slides), len(self.names)))
        np.add.at(table, (self.tiles.slide, self.code), self.tiles.area_mm2)
        return table

    def notes(self) -> tuple[str, ...]:
        """What a reader should know, a sentence each."""
        return tuple(
            f"{slide.name}: {domain} Do not believe its classes before you looked at some."
            for slide, domain in zip(self.tiles.slides, self.domains, strict=True)
            if domain.outside
        )


def seen_as(about: Mapping[str, str]) -> IndexParams:
    """How tiles must be looked at for a classifier.

    Raises
    ------
    LabelError
        If its file does not say.
    """
    try:
        return IndexParams(
            encoder=about["encoder"], mpp=float(about["mpp"]), overlap=int(about["overlap"])
        )
    except (KeyError, ValueError) as error:
        raise LabelError(
            "The classifier does not say how its tiles were looked at. Learn it again."
        ) from error


def classify_tiles(
    tiles: TileSet,
    classifier: FewShotClassifier,
    about: Mapping[str, str],
    opener: Opener | None = None,
    task: Task | None = None,
) -> ClassifiedTiles:
    """Give all tiles a class.

    Parameters
    ----------
    tiles : TileSet
    classifier : FewShotClassifier
    about : mapping of str to str
        What its file says.
    opener : callable, optional
        Opens slides, to hold their stain and sharpness against those that were learnt from.
    task : Task, optional

    Raises
    ------
    ModelError
        If another encoder has seen them.
    """
    check_encoder(about, tiles)
    table = table_of(tiles)
    chosen = classifier.chosen(table.features, table.feature_names)
    parts = [classifier.judge(classifier.scaling.apply(chosen[s])) for s in chunks(len(chosen))]
    probability = np.concatenate([p for p, _ in parts])
    code, score = classifier.decide(probability, np.concatenate([d for _, d in parts]))
    counts, domains, known = [], [], Looks.read(about)
    for number in range(len(tiles.slides)):
        rows = tiles.rows_of(number)
        counts.append(
            None
            if classifier.held_out is None
            else class_counts(
                probability[rows], classifier.held_out, classifier.code, classifier.classes
            )
        )
        domain = domain_of(classifier, table.features[rows], table.feature_names)
        if known is not None and opener is not None and len(rows):
            look = known.shift(looks_of(tiles, number, opener, task or Task()))
            domain = replace(domain, look=look)
        domains.append(domain)
    names = (*classifier.classes, UNSURE)
    likeliest = probability.argmax(axis=1)
    return ClassifiedTiles(tiles, names, code, score, likeliest, tuple(counts), tuple(domains))


def write_classified(folder: Path, found: ClassifiedTiles, about: Mapping[str, str]) -> None:
    """Write ``tiles.csv``, ``regions.geojson`` and ``classes.csv``.

    Of several slides the outlines lie in a folder per slide as well.

    Raises
    ------
    ExportError
        If one cannot be written; each file is whole or as it was before.
    """
    tiles, names = found.tiles, found.tiles.names()
    boxes = tiles.boxes.tolist()
    write_rows(
        folder / TILES,
        (SLIDE, *BOX, "class", "score", "likeliest"),
        (
            (
                slide,
                *boxes[i],
                guarded(found.names[found.code[i]]),
                f"{found.score[i]:.4f}",
                guarded(found.names[found.likeliest[i]]),
            )
            for i, slide in enumerate(names)
        ),
    )
    sure = found.names[:-1]
    parts = []
    for number, slide in enumerate(tiles.slides):
        rows = tiles.rows_of(number)
        code = np.where(found.code[rows] < len(sure), found.code[rows], -1)
        parts.append(SlideAreas(slide, tiles.places[rows], code, sure, found.score[rows]))
    facts = {"encoder": str(about.get("encoder", ""))}
    write_areas(folder / REGIONS, parts, facts)
    for number, place in folders_of(folder, tiles.slides):
        if place != folder:
            write_areas(place / REGIONS, [parts[number]], facts)
    _write_counts(folder / CLASSES, found)


def _write_counts(path: Path, found: ClassifiedTiles) -> None:
    """A row per slide and class: tiles, mm² and counts that allow for mistakes."""
    mm2, rows = found.mm2(), []
    for number, slide in enumerate(found.tiles.slides):
        of = np.bincount(found.code[found.tiles.rows_of(number)], minlength=len(found.names))
        told = found.counts[number]
        by_name = {} if told is None else {row[0]: row[1:] for row in told.rows()}
        for k, name in enumerate(found.names):
            size = "" if np.isnan(mm2[number, k]) else f"{mm2[number, k]:.6g}"
            more = [f"{v:.1f}" for v in by_name.get(name, ())] or [""] * 5
            rows.append((slide.name, guarded(name), int(of[k]), size, *more))
    columns = ("tiles", "mm2", "counted", "adjusted", "adjusted_low", "adjusted_high", "expected")
    write_rows(path, (SLIDE, "class", *columns), rows)
