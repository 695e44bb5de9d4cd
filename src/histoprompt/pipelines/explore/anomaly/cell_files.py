"""The files of cells that are unlike a reference: a row per cell, and points for QuPath."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.labels.classes import Classes
from histoprompt.pipelines.explore.anomaly.find import Unlike
from histoprompt.pipelines.explore.anomaly.scores import SCORES
from histoprompt.pipelines.explore.per_slide import folders_of
from histoprompt.pipelines.explore.tile_table import SLIDE, write_rows
from histoprompt.pipelines.formats.json_files import JsonListFile

CELLS, POINTS = "cells.csv", "cells.geojson"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "histoprompt/explore/cells")


def write_cell_table(path: Path, found: Unlike) -> None:
    """Write ``cells.csv``: a row per cell with its id in the count, its place, scores, p, q.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    cells, p = found.tiles, found.p_of(found.params.score)
    names, at, ids = cells.names(), cells.centres, _ids(found)
    rows = (
        (
            names[i],
            int(ids[i]),
            *(f"{v:.1f}" for v in at[i]),
            *(f"{v:.5g}" for v in found.scores[i]),
            f"{p[i]:.6g}",
            f"{found.q[i]:.6g}",
            int(found.hit[i]),
            int(found.inside[i]),
        )
        for i in range(len(cells))
    )
    write_rows(path, (SLIDE, "id", "row", "col", *SCORES, "p", "q", "hit", "reference"), rows)


def write_cell_hits(folder: Path, found: Unlike, name: str, facts: Mapping[str, str]) -> None:
    """Write ``cells.geojson``: a point per hit; of several slides in a folder per slide as well.

    Parameters
    ----------
    folder : Path
    found : Unlike
    name : str
        The class of the points.
    facts : mapping of str to str
        What made them, told of each.

    Raises
    ------
    ExportError
        If one cannot be written.
    """
    _write(folder / POINTS, found, found.hits(), name, facts)
    for number, place in folders_of(folder, found.tiles.slides):
        if place != folder:
            rows = found.hits()
            _write(place / POINTS, found, rows[found.tiles.slide[rows] == number], name, facts)


def _write(
    path: Path, found: Unlike, rows: NDArray[np.intp], name: str, facts: Mapping[str, str]
) -> None:
    with (
        replacing_file(path) as part,
        JsonListFile(part, {"type": "FeatureCollection"}, "features") as file,
    ):
        for feature in _features(found, rows, name, facts):
            file.add(feature)
        file.finish({})


def _features(
    found: Unlike, rows: NDArray[np.intp], name: str, facts: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    colour = list(Classes().palette([name])[name])
    p, at, ids = found.p_of(found.params.score), found.tiles.centres, _ids(found)
    for i in rows.tolist():
        slide = found.tiles.slides[found.tiles.slide[i]]
        row, col = at[i].tolist()
        scores = {score: float(v) for score, v in zip(SCORES, found.scores[i], strict=True)}
        yield {
            "type": "Feature",
            "id": str(uuid.uuid5(_NAMESPACE, f"{slide.key}/{slide.name}/{ids[i]}")),
            # QuPath counts from the corner of a pixel, tables from its centre.
            "geometry": {"type": "Point", "coordinates": [col + 0.5, row + 0.5]},
            "properties": {
                "objectType": "annotation",
                "name": f"{name} {ids[i]}",
                "classification": {"name": name, "color": colour},
                "measurements": {**scores, "p": float(p[i]), "q": float(found.q[i])},
                "metadata": {"slide": slide.name, "cell": str(ids[i]), **facts},
            },
        }


def _ids(found: Unlike) -> NDArray[np.int64]:
    return np.zeros(0, np.int64) if found.tiles.ids is None else found.tiles.ids
