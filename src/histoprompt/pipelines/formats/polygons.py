"""Outlines as polygons of the outside world: (x, y), the corner of the first pixel at (0, 0)."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from histoprompt.core.labels.contours import Outline


def to_polygons(outlines: list[Outline], simplify: float = 0.0) -> list[shapely.Polygon]:
    """Outlines as shapely polygons.

    Parameters
    ----------
    outlines : list of Outline
        (row, col), pixel centres on integers.
    simplify : float
        Pixels a line may stray; 0 keeps every corner.

    Returns
    -------
    list of shapely.Polygon
        (x, y), pixel corners on integers; valid, and none of them empty.
    """
    polygons = [from_outline(o) for o in outlines]
    if not simplify:
        return polygons
    return [piece for polygon in polygons for piece in parts(polygon.simplify(simplify))]


def from_outline(outline: Outline) -> shapely.Polygon:
    """An outline as a polygon that keeps every corner."""
    return shapely.Polygon(_xy(outline.exterior), [_xy(h) for h in outline.holes])


def from_polygon(polygon: shapely.Polygon) -> Outline:
    """A polygon as an outline."""
    return Outline(_rc(polygon.exterior), tuple(_rc(ring) for ring in polygon.interiors))


def without_holes(polygon: shapely.Polygon) -> list[shapely.Polygon]:
    """Pieces without holes that make up a polygon, cut along whole pixels.

    For formats that know no holes: every program draws the pieces right, whatever its fill rule.
    """
    if not polygon.interiors:
        return [polygon]
    x0, _, x1, _ = polygon.interiors[0].bounds
    at = float(np.floor((x0 + x1) / 2))
    at = at if x0 <= at <= x1 else (x0 + x1) / 2
    left, bottom, right, top = polygon.bounds
    halves = (shapely.box(left, bottom, at, top), shapely.box(at, bottom, right, top))
    return [
        piece for half in halves for part in parts(polygon & half) for piece in without_holes(part)
    ]


def parts(geometry: shapely.Geometry) -> list[shapely.Polygon]:
    """The polygons of a geometry; lines and points are left out."""
    found = shapely.get_parts(geometry).tolist()
    nested = [p for g in found for p in (parts(g) if hasattr(g, "geoms") else [g])]
    return [p for p in nested if isinstance(p, shapely.Polygon) and not p.is_empty]


def mend(polygon: shapely.Geometry) -> shapely.Geometry:
    """A geometry that is valid, from one whose outlines may cross themselves.

    It encloses what an odd number of its loops do; what lies in a hole is outside, also where the
    hole crosses its outline.
    """
    if not isinstance(polygon, shapely.Polygon):
        return shapely.make_valid(polygon)
    if polygon.is_valid:
        return polygon
    inside = shapely.make_valid(shapely.Polygon(polygon.exterior))
    holes = [shapely.make_valid(shapely.Polygon(ring)) for ring in polygon.interiors]
    return shapely.difference(inside, shapely.union_all(holes))


def _xy(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    return ring[:, ::-1] + 0.5


def _rc(ring: shapely.LinearRing) -> NDArray[np.float64]:
    return shapely.get_coordinates(ring)[:-1, ::-1] - 0.5
