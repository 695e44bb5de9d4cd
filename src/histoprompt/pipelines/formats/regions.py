"""Drawn regions of a slide from QuPath's GeoJSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import shapely.geometry
from numpy.typing import NDArray

from histoprompt.annotations.class_list import is_ignored
from histoprompt.core.errors import RegionError
from histoprompt.core.files.documents import read_json
from histoprompt.core.geometry import Box
from histoprompt.core.strings.names import tidy
from histoprompt.core.strings.wording import many
from histoprompt.pipelines.formats.geojson import class_of, features_in, properties_of
from histoprompt.pipelines.formats.outside_polygons import area_of


@dataclass(frozen=True, eq=False)
class Region:
    """A part of a slide with a name.

    Attributes
    ----------
    name : str
    polygon : shapely.Geometry
        Polygon or several; (x, y) in level-0 pixels, the corner of the first pixel at (0, 0).
    notes : tuple of str
        What was mended or left out when it was read.
    class_name : str
        Its class in the file; empty if it has none.
    """

    name: str
    polygon: shapely.Geometry
    notes: tuple[str, ...] = ()
    class_name: str = ""


def inside_any(regions: Sequence[Region], at: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of (n, 2) level-0 (row, col) positions lie in any of some regions."""
    whole = shapely.union_all([region.polygon for region in regions])
    places = at.reshape(-1, 2) + 0.5
    return np.asarray(shapely.contains_xy(whole, places[:, 1], places[:, 0]))


def box_around(regions: Sequence[Region]) -> Box:
    """The level-0 pixels that hold all of at least one region."""
    c0, r0, c1, r1 = shapely.total_bounds([region.polygon for region in regions]).tolist()
    return Box(r0, c0, r1, c1).to_pixels()


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
        What is of an ignored class (``Ignore*``) is no region, and is cut out of the others.

    Raises
    ------
    LabelError
        If the file is not GeoJSON.
    RegionError
        If it holds no polygon on the slide.
    """
    return regions_in(read_json(path), size, path)


def read_areas(path: Path, size: tuple[int, int]) -> list[Region]:
    """As `read_regions`, of whatever class: what is to be left out is often of ignored ones."""
    return regions_in(read_json(path), size, path, ignoring=False)


def regions_document(regions: Sequence[Region]) -> dict[str, Any]:
    """Regions as GeoJSON that `regions_in` reads: QuPath annotations with their names."""
    features = [
        {
            "type": "Feature",
            "geometry": json.loads(shapely.to_geojson(region.polygon)),
            "properties": {"objectType": "annotation", "name": region.name},
        }
        for region in regions
    ]
    # through JSON and back: tuples of corners are lists there
    found: dict[str, Any] = json.loads(
        json.dumps({"type": "FeatureCollection", "features": features})
    )
    return found


def regions_in(
    document: Any, size: tuple[int, int], path: Path, *, ignoring: bool = True
) -> list[Region]:
    """The regions of a GeoJSON document; `path` names it in errors. As `read_regions`.

    With `ignoring` off ignored classes are as all others.
    """
    slide = shapely.box(0, 0, size[1], size[0])
    found: list[Region] = []
    left: list[int] = []
    ignored: list[shapely.Geometry] = []
    for number, feature in enumerate(features_in(document, path), start=1):
        area = area_of(feature, f"{path}: feature {number}")
        if not area.polygons and feature["geometry"] is None:
            left.append(number)
        shape = shapely.union_all(area.polygons)
        if ignoring and is_ignored(class_of(feature, "")[0]):
            ignored.append(shape)
        elif shapely.area(shapely.intersection(shape, slide)) > 0:
            name = free_name(_name(feature), {r.name for r in found})
            notes = _mended(name, shape) if area.mended else ()
            found.append(Region(name, shape, notes, class_of(feature, "")[0]))
    if ignored:
        found = _without(found, ignored)
    if found and left:
        found[0] = replace(found[0], notes=(*found[0].notes, _left_out(left)))
    if not found:
        raise RegionError(
            f"{path} has no polygon on the slide, which has {size[0]} rows and {size[1]} columns. "
            "Regions are in level-0 pixels, (x, y), as QuPath exports them."
        )
    return found


def _without(regions: list[Region], ignored: list[shapely.Geometry]) -> list[Region]:
    """Regions less what is of an ignored class; those of which nothing is left are left out."""
    cut, told = shapely.union_all(ignored), f"{many(len(ignored), 'area')} of ignored classes"
    kept = []
    for region in regions:
        if shapely.area(shapely.intersection(region.polygon, cut)) > 0:
            rest = shapely.difference(region.polygon, cut)
            note = f"{told} cut out of the region {region.name}, with their cells."
            region = replace(region, polygon=rest, notes=(*region.notes, note))  # noqa: PLW2901
        if not shapely.is_empty(region.polygon):
            kept.append(region)
    return kept


def _name(feature: dict[str, Any]) -> str:
    stated = properties_of(feature).get("name")
    return tidy(str(stated or "")) or class_of(feature, "region")[0]


def _mended(name: str, shape: shapely.Geometry) -> tuple[str, ...]:
    return (
        f"The outline of the region {name} crosses itself; it was mended to "
        f"{shapely.area(shape):,.0f} square pixels. Look whether that is what was meant.",
    )


def _left_out(numbers: list[int]) -> str:
    which = ", ".join(map(str, numbers[:5])) + (" ..." if len(numbers) > 5 else "")
    return f"Features without a place were left out of the regions: number {which} of the file."


def free_name(name: str, taken: set[str]) -> str:
    """A name for a region that no other has, and that does not stand for all of them."""
    number, free = 1, name if name != "all" else "all (drawn)"
    while free in taken:
        number += 1
        free = f"{name} {number}"
    return free
