"""Polygons of other programs: checked, and mended where their outlines cross themselves."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import shapely
from pydantic import Field
from shapely.errors import ShapelyError

from histoprompt.core.errors import LabelError
from histoprompt.core.files.documents import Shape
from histoprompt.pipelines.formats.polygons import mend, parts

# Further out than any slide reaches; beyond that areas are no numbers any more.
_FAR = 2**31
Coordinate = Annotated[float, Field(ge=-_FAR, le=_FAR, allow_inf_nan=False)]
Position = Annotated[list[Coordinate], Field(min_length=2, max_length=4)]
Rings = list[list[Position]]
_RINGS: Shape[Rings] = Shape(Rings)
_MANY_RINGS: Shape[list[Rings]] = Shape(list[Rings])
# What has no area.
_LINES = frozenset({"Point", "MultiPoint", "LineString", "MultiLineString"})


@dataclass(frozen=True, eq=False)
class Area:
    """The polygons of one feature.

    Attributes
    ----------
    polygons : tuple of shapely.Polygon
        Valid ones, (x, y); empty for points, lines and features without a place.
    mended : bool
        Whether an outline crossed itself or a hole its outline.
    """

    polygons: tuple[shapely.Polygon, ...] = ()
    mended: bool = False


def area_of(feature: dict[str, Any], where: str) -> Area:
    """The polygons of a GeoJSON feature.

    An outline that crosses itself encloses what an odd number of its loops do; what lies in a hole
    is outside, also where the hole crosses its outline.

    Parameters
    ----------
    feature : dict
    where : str
        File and feature, for messages.

    Raises
    ------
    LabelError
        If it has a geometry that is none, or a coordinate that is no number on a plane.
    """
    if "geometry" not in feature:
        raise LabelError(f"{where} has no usable geometry: the key geometry is missing.")
    drawn = [_polygon(rings, where) for rings in _ring_lists(feature["geometry"], where)]
    mended = any(not polygon.is_valid for polygon in drawn)
    whole = [piece for polygon in drawn for piece in parts(mend(polygon))]
    return Area(tuple(piece for piece in whole if piece.area > 0), mended)


def _ring_lists(geometry: Any, where: str) -> Iterator[Rings]:
    """The rings of each polygon."""
    if geometry is None:  # a feature without a place, which the standard allows
        return
    kind = str(geometry.get("type")) if isinstance(geometry, dict) else ""
    told = f"{where} has no usable geometry: it"
    if kind == "GeometryCollection":
        members = geometry.get("geometries")
        for member in members if isinstance(members, list) else []:
            yield from _ring_lists(member, where)
    elif kind == "Polygon":
        yield _RINGS.of(geometry.get("coordinates"), told)
    elif kind == "MultiPolygon":
        yield from _MANY_RINGS.of(geometry.get("coordinates"), told)
    elif kind not in _LINES:
        raise LabelError(f"{told}s type is {reprlib.repr(kind)}.")


def _polygon(rings: Rings, where: str) -> shapely.Polygon:
    flat = [[position[:2] for position in ring] for ring in rings]
    if not flat:
        return shapely.Polygon()
    try:
        return shapely.Polygon(flat[0], [hole for hole in flat[1:] if hole])
    except (ValueError, ShapelyError) as error:
        raise LabelError(f"{where} has no usable geometry: {error}.") from error
