"""The files of a score map: a zarr group that can be read back, heat maps, a table of tiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr

from histoprompt.core.errors import LabelError
from histoprompt.core.files.atomic import replacing_file, replacing_folder
from histoprompt.core.files.ome_uuid import UNKNOWN, settle_uuid
from histoprompt.core.files.tables import table_writer
from histoprompt.core.geometry import Box
from histoprompt.core.scores.map import ScoreMap, Threshold
from histoprompt.core.tiling import TileGrid

SCORES, TILES = "scores.zarr", "tiles.csv"
_FORMAT = 1


def heatmap_name(number: int) -> str:
    """The file of the heat map of a text, numbered from 1 in the order of the texts."""
    return f"heatmap_{number}.tif"


def write_scores(path: Path, scores: ScoreMap) -> None:
    """Write a map as a zarr group with ``scores`` (n, m) float32 and ``places`` (n, 2) int32.

    Raises
    ------
    ExportError
        If it cannot be written; what was there before stays.
    """
    with replacing_folder(path) as part:
        group = zarr.open_group(part, mode="w", zarr_format=3)
        group.create_array("scores", data=scores.scores)
        group.create_array("places", data=scores.places)
        group.attrs.update(
            {
                "format": _FORMAT,
                "texts": list(scores.texts),
                "thresholds": {name: asdict(cut) for name, cut in scores.thresholds.items()},
                "grid": _grid_facts(scores.grid),
                "mpp": scores.mpp,
                "slide_key": scores.slide_key,
                "facts": dict(scores.facts),
                "marks": {
                    text: {str(tile): yes for tile, yes in marks.items()}
                    for text, marks in scores.marks.items()
                },
            }
        )


def read_scores(path: Path) -> ScoreMap:
    """Read a map that `write_scores` wrote.

    Raises
    ------
    LabelError
        If there is none, it is damaged, or it is of a later version.
    """
    try:
        group = zarr.open_group(path, mode="r")
        facts: Mapping[str, Any] = dict(group.attrs)
        if facts["format"] != _FORMAT:
            raise LabelError(f"{path} has format {facts['format']}; this version reads {_FORMAT}.")
        return ScoreMap(
            texts=tuple(facts["texts"]),
            scores=_array(group, "scores", np.float32),
            places=_array(group, "places", np.int32),
            grid=_grid(facts["grid"]),
            mpp=facts["mpp"],
            slide_key=facts["slide_key"],
            thresholds={name: Threshold(**cut) for name, cut in facts["thresholds"].items()},
            facts=facts["facts"],
            marks={
                text: {int(tile): bool(yes) for tile, yes in marks.items()}
                for text, marks in facts.get("marks", {}).items()
            },
        )
    except (
        OSError,
        LookupError,
        TypeError,
        ValueError,
        ArithmeticError,
        AttributeError,
        RuntimeError,
    ) as error:
        raise LabelError(f"{path} is not a score map that can be read: {error!r}.") from error


def write_heatmap(path: Path, scores: ScoreMap, text: str) -> None:
    """Write the scores of a text as a float32 OME-TIFF, one pixel a cell, NaN between the tiles.

    The pixel size and the level-0 position of its corner stand in the OME metadata.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    place: dict[str, Any] = {"Namespace": "histoprompt/scores", "text": text}
    place |= {"origin_row": int(scores.frame.box.r0), "origin_col": int(scores.frame.box.c0)}
    place |= {"level0_pixels": scores.grid.size}
    facts: dict[str, Any] = {"axes": "YX", "MapAnnotation": place}
    if scores.mpp is not None:
        size = scores.mpp * scores.grid.size
        facts |= {"PhysicalSizeX": size, "PhysicalSizeXUnit": "µm"}
        facts |= {"PhysicalSizeY": size, "PhysicalSizeYUnit": "µm"}
    with replacing_file(path) as part:
        tifffile.imwrite(
            part,
            scores.raster(text),
            ome=True,
            metadata={**facts, "UUID": UNKNOWN},
            compression="adobe_deflate",
        )
        settle_uuid(part)


def write_tiles(path: Path, scores: ScoreMap) -> None:
    """Write one line a tile: grid place, level-0 box, a column of scores a text, and what is in.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    cut = [text for text in scores.texts if text in scores.thresholds]
    inside = {text: scores.inside(text) for text in cut}
    with replacing_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        columns = [*scores.texts, *(f"in {text}" for text in cut)]
        write = table_writer(file, ["grid_row", "grid_col", "r0", "c0", "r1", "c1", *columns])
        for i, (row, col) in enumerate(scores.places.tolist()):
            box = [int(v) for v in scores.box(i)]
            values = [f"{v:.4f}" for v in scores.scores[i]]
            write([row, col, *box, *values, *(int(inside[text][i]) for text in cut)])


def _grid_facts(grid: TileGrid) -> dict[str, Any]:
    boxes = {"region": grid.region, "bounds": grid.bounds}
    return {"size": grid.size, "halo": grid.halo, **{k: list(b) for k, b in boxes.items()}}


def _grid(facts: Mapping[str, Any]) -> TileGrid:
    return TileGrid(Box(*facts["region"]), facts["size"], facts["halo"], Box(*facts["bounds"]))


def _array(group: zarr.Group, name: str, dtype: Any) -> Any:
    found: Any = group[name]
    return np.asarray(found[:], dtype)
