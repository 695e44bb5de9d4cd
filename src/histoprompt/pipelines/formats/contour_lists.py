"""Contours as lists of pixel centres, as OpenCV draws them and HoVer-Net and CellViT keep them.

A contour that goes through the centres of the outermost pixels (whole numbers) encloses half a
pixel less than the object on each side; it is widened by that when it is read. Contours written
here run along the edges of pixels (halves), so that nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import shapely

from histoprompt.core.labels.contours import Outline
from histoprompt.pipelines.formats.annotation import Annotation, Reading

_HALF = 0.5


def read_contour(reading: Reading, where: str, contour: Any, **about: Any) -> Iterator[Annotation]:
    """The object of one contour of (x, y) pixel centres of the file."""
    try:
        points = np.asarray(contour, np.float64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError):
        reading.skip(where, "its contour is no list of points")
        return
    if not len(points) or not (np.abs(points) < 2.0**31).all():
        reading.skip(where, "its contour is no list of finite points")
        return
    if (points == np.floor(points)).all():
        yield from _widened(reading, where, points, about)
    else:
        yield from reading.outline(where, [points + _HALF], **about)


def _widened(
    reading: Reading, where: str, points: np.ndarray, about: dict[str, Any]
) -> Iterator[Annotation]:
    """The pixels whose centres a contour goes through, and those inside."""
    line = shapely.Polygon(points) if len(points) >= 3 else shapely.MultiPoint(points)
    shape = shapely.make_valid(line).buffer(_HALF, join_style="mitre", cap_style="square")
    placed = shapely.transform(
        shape, lambda xy: (xy + _HALF) * reading.scale + reading.offset[::-1]
    )
    yield from reading.geometry(where, [placed], **about)


def contour_of(outlines: Sequence[Outline]) -> list[list[float]]:
    """The outer ring of an object's largest part as a list of (x, y); holes are left out."""
    largest: list[list[float]] = max(outlines, key=_area).exterior[:, ::-1].tolist()
    return largest


def type_name(kind: Any, names: Any) -> str:
    """The name that a file gives a type, or the type's number as one; empty if there is none."""
    if kind is None:
        return ""
    named = names.get(str(kind)) if isinstance(names, dict) else None
    return str(named) if named else f"type {kind}"


def _area(outline: Outline) -> float:
    return float(shapely.Polygon(outline.exterior).area)
