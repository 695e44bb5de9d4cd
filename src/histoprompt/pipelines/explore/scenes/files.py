"""The files of scenes: tables, outlines, maps and a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.pages import page
from histoprompt.core.labels.classes import Classes
from histoprompt.pipelines.explore.areas import SlideAreas, write_areas, write_raster
from histoprompt.pipelines.explore.per_slide import folders_of
from histoprompt.pipelines.explore.pictures import Picture, as_address
from histoprompt.pipelines.explore.scenes.clusters import NONE
from histoprompt.pipelines.explore.scenes.find import Scenes, areas
from histoprompt.pipelines.explore.scenes.space import picture_of_space
from histoprompt.pipelines.explore.tile_table import BOX, SLIDE, TILES, write_rows

SCENES, OUTLINES, MAP, REPORT = "scenes.csv", "scenes.geojson", "scenes.tif", "report.html"
_TEMPLATE = Path(__file__).with_name("templates") / "report.html"
# Typical tiles of each scene that the page shows, and points of its map.
SHOWN = 8
_POINTS = 3000


def write_scenes(
    folder: Path, found: Scenes, pictures: Mapping[int, Picture], facts: Mapping[str, str]
) -> None:
    """Write ``scenes.csv``, ``tiles.csv``, ``scenes.geojson``, ``scenes.tif``, ``report.html``.

    Of several slides the outlines and maps lie in a folder per slide as well.

    Parameters
    ----------
    folder : Path
    found : Scenes
    pictures : mapping of int to Picture
        Of typical tiles, by row.
    facts : mapping of str to str
        What they were made with.

    Raises
    ------
    ExportError
        If one cannot be written; each file is whole or as it was before.
    """
    at, how = picture_of_space(found.space)
    write_tables(folder, found, at)
    tiles, names = found.tiles, tuple(n.name for n in found.names)
    parts = []
    for number, slide in enumerate(tiles.slides):
        rows = tiles.rows_of(number)
        value = np.ones(len(rows), np.float32)
        parts.append(SlideAreas(slide, tiles.places[rows], found.code[rows], names, value))
    write_areas(folder / OUTLINES, parts, facts)
    told = {**facts, "values": "; ".join(f"{k + 1}: {name}" for k, name in enumerate(names))}
    for number, place in folders_of(folder, tiles.slides):
        if place != folder:
            write_areas(place / OUTLINES, [parts[number]], facts)
        rows = tiles.rows_of(number)
        values = (found.code[rows] + 1).astype(np.uint16)
        write_raster(place / MAP, tiles.slides[number], tiles.places[rows], values, told)
    with replacing_file(folder / REPORT) as part:
        text = page(_TEMPLATE, _page(found, pictures, facts, at, how))
        part.write_text(text, encoding="utf-8", errors="replace")


def write_tables(folder: Path, found: Scenes, at: Any) -> None:
    """Write ``scenes.csv``, a row per slide and scene, and ``tiles.csv``, a row per tile."""
    mm2, rows = areas(found), []
    for s, slide in enumerate(found.tiles.slides):
        of = found.code[found.tiles.rows_of(s)]
        for k, name in enumerate(found.names):
            margin = "" if np.isnan(name.margin) else f"{name.margin:.4f}"
            size = "" if np.isnan(mm2[s, k]) else f"{mm2[s, k]:.6g}"
            rows.append((slide.name, k + 1, name.name, margin, int((of == k).sum()), size))
    write_rows(folder / SCENES, (SLIDE, "scene", "name", "margin", "tiles", "mm2"), rows)
    names, boxes = found.tiles.names(), found.tiles.boxes.tolist()
    called = [*(n.name for n in found.names), ""]  # code -1 is the last
    write_rows(
        folder / TILES,
        (SLIDE, *BOX, "scene", "name", "x", "y"),
        (
            (names[i], *boxes[i], int(c) + 1, called[int(c)], f"{x:.5g}", f"{y:.5g}")
            for i, (c, (x, y)) in enumerate(zip(found.code, at, strict=True))
        ),
    )


def _page(
    found: Scenes, pictures: Mapping[int, Picture], facts: Mapping[str, str], at: Any, how: str
) -> dict[str, Any]:
    mm2 = areas(found)
    colours = Classes().palette(dict.fromkeys(n.name for n in found.names))
    typical = found.typical(SHOWN)
    scenes = [
        {
            "number": k + 1,
            "name": name.name,
            "word": name.word,
            "margin": None if np.isnan(name.margin) else name.margin,
            "tiles": int((found.code == k).sum()),
            "mm2": [None if np.isnan(v) else float(v) for v in mm2[:, k]],
            "colour": colours[name.name],
            "pictures": [as_address(pictures[r]) for r in typical[k].tolist() if r in pictures],
        }
        for k, name in enumerate(found.names)
    ]
    return {
        "facts": facts,
        "slides": [slide.name for slide in found.tiles.slides],
        "scenes": scenes,
        "tiles": len(found.code),
        "notes": found.notes,
        "stability": found.stability,
        "agreement": found.slide_agreement,
        "robustness": None if np.isnan(found.robustness) else found.robustness,
        "points": _points(found, at, [s["colour"] for s in scenes]),
        "how": how,
    }


def _points(found: Scenes, at: Any, colours: list[Any]) -> list[dict[str, Any]]:
    low, high = at.min(axis=0), at.max(axis=0)
    place = (at - low) / np.maximum(high - low, 1e-9) * (600, 380) + 10
    rows = np.arange(0, len(at), max(1, len(at) // _POINTS))
    grey = (190, 190, 190)
    return [
        {
            "x": round(float(place[i, 0]), 1),
            "y": round(float(place[i, 1]), 1),
            "colour": grey if found.code[i] == NONE else colours[found.code[i]],
        }
        for i in rows.tolist()
    ]
