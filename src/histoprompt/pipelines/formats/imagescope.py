"""ImageScope's XML: layers of regions, (x, y) in level-0 pixels; each layer is a class.

Read as Aperio ImageScope 12 writes it. A region with ``NegativeROA="1"`` is cut out of the others
of its layer. ``LineColor`` is blue, green, red from the highest byte down.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from histoprompt.core.files.documents import head_of, read_xml
from histoprompt.core.labels.classes import Colour
from histoprompt.pipelines.formats.annotation import Annotation, Reading

_ELLIPSE, _RECTANGLE, _RULER, _ARROW = "2", "1", "4", "3"
_CORNERS = 64


def matches(path: Path) -> bool:
    """Whether a file is ImageScope's."""
    return b"<Annotations" in head_of(path)


def read(reading: Reading) -> Iterator[Annotation]:
    """The regions of all layers.

    Raises
    ------
    LabelError
        If the file is not such XML.
    """
    before: set[str] = set()
    for layer in read_xml(reading.path).iter("Annotation"):
        regions = list(layer.iter("Region"))
        holes = [_shape(r) for r in regions if r.get("NegativeROA") == "1"]
        cut = shapely.union_all([shapely.make_valid(h) for h in holes if h is not None])
        about: dict[str, Any] = {
            "class_name": _name(layer),
            "colour": _colour(layer.get("LineColor")),
        }
        for region in regions:
            if region.get("NegativeROA") == "1" or region.get("Type") in (_RULER, _ARROW):
                continue
            number = region.get("Id") or region.get("DisplayId") or "?"
            where = f"layer {layer.get('Id', '?')}, region {number}"
            # each layer counts its regions anew: that is no mistake
            own = {} if number in before else {"id": reading.identity(where, region.get("Id"))}
            yield from _region(reading, where, region, cut, about | own)
        before |= {region.get("Id") or "" for region in regions}


def _region(
    reading: Reading, where: str, region: ET.Element, cut: BaseGeometry, about: dict[str, Any]
) -> Iterator[Annotation]:
    shape: BaseGeometry | None = _shape(region)
    if shape is None:
        reading.skip(where, "it has fewer than 3 points that are numbers")
        return
    about = {**about}
    about["class_name"] = (region.get("Text") or "").strip() or about["class_name"]
    if not cut.is_empty and shape.is_valid:
        shape = shape.difference(cut)
    placed = reading.moved(shape)
    yield from reading.geometry(where, [placed], **about)


def _shape(region: ET.Element) -> shapely.Polygon | None:
    try:
        corners = np.array(
            [(float(v.get("X", "")), float(v.get("Y", ""))) for v in region.iter("Vertex")]
        )
    except ValueError:
        return None
    if len(corners) and not np.isfinite(corners).all():
        return None
    if region.get("Type") in (_ELLIPSE, _RECTANGLE) and len(corners) in (2, 4):
        low, high = corners.min(0), corners.max(0)
        if region.get("Type") == _RECTANGLE:
            corners = np.array([low, (low[0], high[1]), high, (high[0], low[1])])
            return shapely.Polygon(corners)
        turn = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
        around = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        corners = (low + high) / 2 + around * (high - low) / 2
    if len(corners) < 3:
        return None
    return shapely.Polygon(corners)


def _name(layer: ET.Element) -> str:
    stated = (layer.get("Name") or "").strip()
    for attribute in layer.iter("Attribute"):
        stated = stated or (attribute.get("Name") or "").strip()
    return stated


def _colour(text: str | None) -> Colour | None:
    if not text or not text.isascii() or not text.isdigit() or int(text) >= 2**24:
        return None
    value = int(text)
    return value & 255, value >> 8 & 255, value >> 16
