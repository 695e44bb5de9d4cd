"""ImageScope's XML: layers of regions, (x, y) in level-0 pixels; each layer is a class.

Read as Aperio ImageScope 12 writes it. A region with ``NegativeROA="1"`` is cut out of the others
of its layer. ``LineColor`` is blue, green, red from the highest byte down.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from histoprompt.core.files.documents import head_of
from histoprompt.core.files.xml_stream import xml_elements
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
    layers = _layers(reading.path)
    before, here, last = set[str](), set[str](), 0
    for number, layer, region in _parts(reading.path):
        if number != last:
            before, here, last = before | here, set(), number
        if region.tag != "Region":
            continue
        here.add(region.get("Id") or "")
        if region.get("NegativeROA") == "1" or region.get("Type") in (_RULER, _ARROW):
            continue
        known = layers[number - 1]
        about: dict[str, Any] = {"class_name": known.name}
        about["colour"] = _colour(layer.get("LineColor"))
        named = region.get("Id") or region.get("DisplayId") or "?"
        where = f"layer {layer.get('Id', '?')}, region {named}"
        # each layer counts its regions anew: that is no mistake
        own = {} if named in before else {"id": reading.identity(where, region.get("Id"))}
        yield from _region(reading, where, region, known.cut, about | own)


@dataclass
class _Layer:
    """What must be known of a layer before its regions: its name, and what is cut out of them."""

    name: str
    holes: list[BaseGeometry] = field(default_factory=list)

    @cached_property
    def cut(self) -> BaseGeometry:
        return shapely.union_all(self.holes)


def _layers(path: Path) -> list[_Layer]:
    found: list[_Layer] = []
    for number, layer, part in _parts(path):
        if number > len(found):
            found.append(_Layer((layer.get("Name") or "").strip()))
        if part.tag == "Attribute":
            found[-1].name = found[-1].name or (part.get("Name") or "").strip()
        elif part.get("NegativeROA") == "1":
            hole = _shape(part)
            found[-1].holes += [] if hole is None else [shapely.make_valid(hole)]
    return found


def _parts(path: Path) -> Iterator[tuple[int, ET.Element, ET.Element]]:
    """Regions and attributes of all layers: the layer's number from 1, the layer, the part."""
    number, last = 0, None
    for part, around in xml_elements(path, ("Region", "Attribute")):
        layer = next((e for e in around if e.tag == "Annotation"), None)
        if layer is None:
            continue
        if layer is not last:
            number, last = number + 1, layer
        yield number, layer, part


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


def _colour(text: str | None) -> Colour | None:
    if not text or not text.isascii() or not text.isdigit() or int(text) >= 2**24:
        return None
    value = int(text)
    return value & 255, value >> 8 & 255, value >> 16
