"""Telling tiles by concepts: the class of each, and which concept decided."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.strings.names import guarded
from histoprompt.pipelines.explore.areas import SlideAreas, write_areas
from histoprompt.pipelines.explore.concepts.fit import ConceptModel
from histoprompt.pipelines.explore.concepts.values import Float
from histoprompt.pipelines.explore.per_slide import folders_of
from histoprompt.pipelines.explore.tile_classes.apply import REGIONS
from histoprompt.pipelines.explore.tile_set import TileSet
from histoprompt.pipelines.explore.tile_table import BOX, SLIDE, TILES, write_rows

CONCEPTS = "concepts.csv"


@dataclass(frozen=True, eq=False)
class ToldTiles:
    """Tiles with their classes and what decided.

    Attributes
    ----------
    tiles : TileSet
    model : ConceptModel
    code : (n,) intp
        The likeliest class.
    probability : (n,) float32
        Of it.
    decided : (n,) intp
        The concept that put it furthest ahead of the next likeliest class; -1 where none spoke for
        it, and only how often classes are chosen without concepts did.
    value : (n,) float32
        Of that concept, in standard deviations from the mean of the marked tiles; 0 for none.
    lead : (n,) float32
        How far it put the class ahead, as a logit; 0 for none.
    """

    tiles: TileSet
    model: ConceptModel
    code: NDArray[np.intp]
    probability: Float
    decided: NDArray[np.intp]
    value: Float
    lead: Float

    def mm2(self) -> NDArray[np.float64]:
        """Square millimetres of each class over all slides; NaN without a pixel size."""
        table = np.zeros(len(self.model.classes))
        np.add.at(table, self.code, self.tiles.area_mm2)
        return table

    def often(self) -> list[tuple[str, int]]:
        """The concepts that decided, with how many tiles, the most first."""
        count = np.bincount(self.decided[self.decided >= 0], minlength=len(self.model.concepts))
        order = np.argsort(-count, kind="stable")
        return [(self.model.concepts[k].name, int(count[k])) for k in order if count[k]]


def tell_tiles(tiles: TileSet, values: Float, model: ConceptModel) -> ToldTiles:
    """Give all tiles a class, and say by which concept.

    Parameters
    ----------
    tiles : TileSet
    values : (n, k) float32
        Of the model's concepts.
    model : ConceptModel
    """
    scaled = model.scaled(values)
    logits = model.linear.logits(scaled)
    rows = np.arange(len(tiles))
    order = np.argsort(-logits, axis=1, kind="stable")
    first, second = order[:, 0], order[:, 1]
    ahead = scaled * (model.linear.weights[first] - model.linear.weights[second])
    best = np.asarray(ahead.argmax(axis=1), np.intp)
    lead = ahead[rows, best]
    some = lead > 0
    return ToldTiles(
        tiles=tiles,
        model=model,
        code=np.asarray(first, np.intp),
        probability=model.linear.probabilities(scaled)[rows, first],
        decided=np.where(some, best, -1),
        value=np.where(some, scaled[rows, best], 0).astype(np.float32),
        lead=np.where(some, lead, 0).astype(np.float32),
    )


def write_told(folder: Path, found: ToldTiles) -> None:
    """Write ``tiles.csv``, ``regions.geojson`` and ``concepts.csv``.

    Of several slides the outlines lie in a folder per slide as well.

    Raises
    ------
    ExportError
        If one cannot be written; each file is whole or as it was before.
    """
    tiles, model = found.tiles, found.model
    names = [*(one.name for one in model.concepts), ""]
    boxes = tiles.boxes.tolist()
    write_rows(
        folder / TILES,
        (SLIDE, *BOX, "class", "probability", "decided_by", "value", "lead"),
        (
            (
                slide,
                *boxes[i],
                guarded(model.classes[found.code[i]]),
                f"{found.probability[i]:.4f}",
                guarded(names[found.decided[i]]),
                f"{found.value[i]:.3f}" if found.decided[i] >= 0 else "",
                f"{found.lead[i]:.3f}" if found.decided[i] >= 0 else "",
            )
            for i, slide in enumerate(tiles.names())
        ),
    )
    _write_regions(folder, found)
    _write_concepts(folder / CONCEPTS, found)


def _write_regions(folder: Path, found: ToldTiles) -> None:
    tiles, classes = found.tiles, found.model.classes
    parts = []
    for number, slide in enumerate(tiles.slides):
        rows = tiles.rows_of(number)
        parts.append(
            SlideAreas(slide, tiles.places[rows], found.code[rows], classes,
                       found.probability[rows])
        )  # fmt: skip
    facts = {"encoder": tiles.encoder}
    write_areas(folder / REGIONS, parts, facts)
    for number, place in folders_of(folder, tiles.slides):
        if place != folder:
            write_areas(place / REGIONS, [parts[number]], facts)


def _write_concepts(path: Path, found: ToldTiles) -> None:
    """A row per concept and class: its weight, and the tiles of the class that it decided."""
    model = found.model
    rows = [
        (
            one.name,
            "phrase" if one.phrase else "measured",
            guarded(name),
            f"{model.linear.weights[c, k]:.4f}",
            int(((found.code == c) & (found.decided == k)).sum()),
        )
        for k, one in enumerate(model.concepts)
        for c, name in enumerate(model.classes)
    ]
    write_rows(path, ("name", "kind", "class", "coefficient", "tiles_decided"), rows)
