"""Drawn regions of a slide from QuPath's GeoJSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely

from histoprompt.core.errors import RegionError
from histoprompt.pipelines.formats.geojson import class_of, features_in, polygons_of
from histoprompt.pipelines.formats.json_files import read_json


@dataclass(frozen=True, eq=False)
class Region:
    """A part of a slide with a name.

    Attributes
    ----------
    name : str
    polygon : shapely.Geometry
        Polygon or several; (x, y) in level-0 pixels, the corner of the first pixel at (0, 0).
    """

    name: str
    polygon: shapely.Geometry


def read_regions(path: Path, size: tuple[int, int]) -> list[Region]:
    """Read the polygons of a file, such as QuPath's annotations.

    Parameters
    ----------
    path : Path
        A FeatureCollection, a list of features, or one feature. Points and lines are left out.
    size : (rows, cols)
        Of the slide.

    Returns
    -------
    list of Region
        Named as in QuPath, else by class, else ``region``; a name that comes again gets a number.

    Raises
    ------
    LabelError
        If the file is not GeoJSON.
    RegionError
        If it holds no polygon on the slide.
    """
    slide = shapely.box(0, 0, size[1], size[0])
    found: list[Region] = []
    for feature in features_in(read_json(path), path):
        shape = shapely.union_all(polygons_of(feature, path))
        if shapely.area(shapely.intersection(shape, slide)) > 0:
            found.append(Region(_free(_name(feature), {r.name for r in found}), shape))
    if not found:
        raise RegionError(
            f"{path} has no polygon on the slide, which has {size[0]} rows and {size[1]} columns. "
            "Regions are in level-0 pixels, (x, y), as QuPath exports them."
        )
    return found


def _name(feature: dict[str, Any]) -> str:
    stated = str((feature.get("properties") or {}).get("name") or "").strip()
    return stated or class_of(feature)[0] or "region"


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name if name != "all" else "all (drawn)"
    while free in taken:
        number += 1
        free = f"{name} {number}"
    return free
