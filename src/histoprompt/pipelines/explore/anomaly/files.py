"""The files of tiles or cells that are unlike a reference: a table, outlines, maps and a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.pages import page
from histoprompt.pipelines.explore.anomaly.cell_files import (
    CELLS,
    write_cell_hits,
    write_cell_table,
)
from histoprompt.pipelines.explore.anomaly.find import Unlike
from histoprompt.pipelines.explore.anomaly.guard import ColourDifference
from histoprompt.pipelines.explore.anomaly.scores import SCORES
from histoprompt.pipelines.explore.areas import SlideAreas, write_areas, write_raster
from histoprompt.pipelines.explore.per_slide import folders_of
from histoprompt.pipelines.explore.pictures import Picture, as_address
from histoprompt.pipelines.explore.tile_table import BOX, SLIDE, TILES, write_rows

REGIONS, HEATMAP, REPORT = "regions.geojson", "heatmap.tif", "report.html"
CLASS = "unlike normal"
_TEMPLATE = Path(__file__).with_name("templates") / "report.html"
# Hits that the page shows.
SHOWN = 24


@dataclass(frozen=True, eq=False)
class ReportPictures:
    """Pictures for the page.

    Attributes
    ----------
    hits : mapping of int to Picture
        Of tiles, by row.
    reference : mapping of int to Picture
        Of reference tiles, by row of the reference.
    rebuilt : mapping of int to (Picture, Picture)
        What a masked autoencoder made of hits, and what is left.
    told : tuple of ColourDifference
        How well colour alone tells slides from the reference.
    """

    hits: Mapping[int, Picture]
    reference: Mapping[int, Picture]
    rebuilt: Mapping[int, tuple[Picture, Picture]]
    told: tuple[ColourDifference, ...] = ()


def write_unlike(folder: Path, found: Unlike, shown: ReportPictures) -> None:
    """Write ``tiles.csv``, ``regions.geojson``, ``heatmap.tif`` and ``report.html``.

    Of several slides the outlines and maps lie in a folder per slide as well. Of cells
    ``cells.csv`` and ``cells.geojson`` are written in place of the first three.

    Raises
    ------
    ExportError
        If one cannot be written; each file is whole or as it was before.
    """
    if found.tiles.of_cells:
        write_cell_table(folder / CELLS, found)
        write_cell_hits(folder, found, CLASS, _facts(found))
    else:
        _write_tiles(folder, found)
    with replacing_file(folder / REPORT) as part:
        part.write_text(page(_TEMPLATE, _page(found, shown)), encoding="utf-8", errors="replace")


def _write_tiles(folder: Path, found: Unlike) -> None:
    """Table, outlines and maps."""
    write_table(folder / TILES, found)
    parts = [_areas(found, number) for number in range(len(found.tiles.slides))]
    facts = _facts(found)
    write_areas(folder / REGIONS, parts, facts)
    for number, place in folders_of(folder, found.tiles.slides):
        if place != folder:
            write_areas(place / REGIONS, [parts[number]], facts)
        rows = found.tiles.rows_of(number)
        values = np.concatenate([found.p_of(found.params.score)[None, rows], found.scores[rows].T])
        told = {"channels": ", ".join(("p", *SCORES)), **facts}
        values = values.astype(np.float32)
        write_raster(
            place / HEATMAP, found.tiles.slides[number], found.tiles.places[rows], values, told
        )


def write_table(path: Path, found: Unlike) -> None:
    """Write ``tiles.csv``: a row per tile with its scores, p, q and whether it is a hit."""
    p, hit = found.p_of(found.params.score), found.hit.astype(int)
    names, boxes = found.tiles.names(), found.tiles.boxes.tolist()
    rows = (
        (
            names[i],
            *boxes[i],
            *(f"{v:.5g}" for v in found.scores[i]),
            f"{p[i]:.6g}",
            f"{found.q[i]:.6g}",
            hit[i],
            int(found.inside[i]),
        )
        for i in range(len(names))
    )
    write_rows(path, (SLIDE, *BOX, *SCORES, "p", "q", "hit", "reference"), rows)


def _areas(found: Unlike, number: int) -> SlideAreas:
    rows = found.tiles.rows_of(number)
    code = np.where(found.hit[rows], 0, -1)
    value = found.score(found.params.score)[rows]
    tiles = found.tiles
    return SlideAreas(tiles.slides[number], tiles.places[rows], code, (CLASS,), value)


def _facts(found: Unlike) -> dict[str, str]:
    things = "cells" if found.tiles.of_cells else "tiles"
    unit = f"of the {things}" if found.params.rate_per == "tile" else "per mm²"
    return {
        "encoder": found.tiles.encoder,
        "score": found.params.score,
        "typed rate": f"{found.params.rate:g} {unit}",
        "rate is of": f"normal {things}" if found.params.control == "alarms" else "hits",
        "reference": found.reference.many(len(found.reference)),
    }


def _page(found: Unlike, shown: ReportPictures) -> dict[str, Any]:
    hits = found.hits()
    per_slide = [
        {
            "name": slide.name,
            "tiles": len(rows := found.tiles.rows_of(n)),
            "hits": int(found.hit[rows].sum()),
            "mm2": _known(found.tiles.area_mm2[rows][found.hit[rows]].sum()),
        }
        for n, slide in enumerate(found.tiles.slides)
    ]
    return {
        "facts": _facts(found),
        "things": "cells" if found.tiles.of_cells else "tiles",
        "table": CELLS if found.tiles.of_cells else TILES,
        "share": found.share,
        "notes": (*found.notes, *(str(t) for t in shown.told if t.everywhere)),
        "told": shown.told,
        "slides": per_slide,
        "scores": [_of_score(found, name) for name in SCORES],
        "parted_by": found.parted_by,
        "parts": len(found.decides.held_out_rates(found.share)),
        "hits": [_hit(found, shown, k, row) for k, row in enumerate(hits[:SHOWN].tolist())],
        "all_hits": len(hits),
    }


def _of_score(found: Unlike, name: Any) -> dict[str, Any]:
    calibration = found.calibrations[name]
    rates = calibration.held_out_rates(found.share)
    low, high = calibration.expected(found.share)
    outside = ~found.inside
    return {
        "name": name,
        "decides": name == found.params.score,
        "threshold": calibration.threshold(found.share),
        "held_out": float(rates.mean()),
        "held_low": float(rates.min()),
        "held_high": float(rates.max()),
        "low": low,
        "high": high,
        "hits": int((found.p_of(name)[outside] <= found.share).sum()),
    }


def _hit(found: Unlike, shown: ReportPictures, k: int, row: int) -> dict[str, Any]:
    nearest = found.nearest[k].tolist()
    reference = found.reference
    rebuilt = shown.rebuilt.get(row)
    return {
        "slide": found.tiles.slides[found.tiles.slide[row]].name,
        "box": found.tiles.boxes[row].tolist(),
        "scores": {name: float(v) for name, v in zip(SCORES, found.scores[row], strict=True)},
        "p": float(found.p_of(found.params.score)[row]),
        "q": float(found.q[row]),
        "picture": _address(shown.hits.get(row)),
        "rebuilt": None if rebuilt is None else [as_address(p) for p in rebuilt],
        "nearest": [
            {
                "slide": reference.slides[reference.slide[r]].name,
                "box": reference.boxes[r].tolist(),
                "far": float(far),
                "picture": _address(shown.reference.get(r)),
            }
            for r, far in zip(nearest, found.nearest_far[k], strict=True)
        ],
    }


def _address(picture: NDArray[np.uint8] | None) -> str | None:
    return None if picture is None else as_address(picture)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
