"""Annotations of the Digital Slide Archive and HistomicsUI: (x, y) in level-0 pixels.

Its elements: ``polyline`` (closed ones are areas, with ``holes``), ``rectangle``, ``ellipse``,
``circle`` and ``point``, as the schema of large_image_annotation describes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from histoprompt.core.errors import LabelError
from histoprompt.core.files.documents import head_of
from histoprompt.core.files.json_stream import json_head, json_parts
from histoprompt.pipelines.formats.annotation import Annotation, Reading, colour_of

_CORNERS = 64
_ELEMENTS = ("annotation/elements", "elements")


def matches(path: Path) -> bool:
    """Whether a file is of this kind."""
    return b'"elements"' in head_of(path, 65536, (".json", ".anot"))


def read(reading: Reading) -> Iterator[Annotation]:
    """The elements of all annotations of a file.

    Raises
    ------
    LabelError
        If the file holds no elements.
    """
    head = json_head(reading.path, (*_ELEMENTS, ""))
    name = str(head.get("annotation/name") or head.get("name") or "")
    some = False
    for key, at, value in json_parts(reading.path, _ELEMENTS):
        if key in _ELEMENTS and (isinstance(at, int) or value == []):
            some = True
            if at is not None:
                yield from _listed(reading, f"document 1, element {int(at) + 1}", value, name)
        elif key == "" and isinstance(at, int):  # a list of documents
            some = True
            yield from _document(reading, at + 1, value)
    if not some:
        raise _no_elements(reading, 1)


def _document(reading: Reading, index: int, document: Any) -> Iterator[Annotation]:
    inner = document.get("annotation", document) if isinstance(document, dict) else None
    elements = inner.get("elements") if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or not isinstance(elements, list):
        raise _no_elements(reading, index)
    for number, element in enumerate(elements, start=1):
        where = f"document {index}, element {number}"
        yield from _listed(reading, where, element, str(inner.get("name") or ""))


def _no_elements(reading: Reading, index: int) -> LabelError:
    return LabelError(f"{reading.path.name}: document {index} holds no list of elements.")


def _listed(reading: Reading, where: str, element: Any, name: str) -> Iterator[Annotation]:
    if isinstance(element, dict):
        yield from _element(reading, where, element, name)
    else:
        reading.skip(where, "it is no element")


def _element(
    reading: Reading, where: str, element: dict[str, Any], name: str
) -> Iterator[Annotation]:
    label = element.get("label")
    stated = element.get("group") or (label.get("value") if isinstance(label, dict) else "")
    about: dict[str, Any] = {
        "class_name": str(stated or name).strip(),
        "colour": colour_of(element.get("lineColor")),
    }
    kind = element.get("type")
    if kind == "point":
        centre = element.get("center")
        x, y = centre[:2] if isinstance(centre, list) and len(centre) > 1 else (None, None)
        yield from reading.at(where, x, y, **about)
    elif kind == "polyline" and element.get("closed", True):
        holes = element.get("holes") or []
        rings = [element.get("points"), *(holes if isinstance(holes, list) else [])]
        yield from reading.outline(where, rings, **about)
    elif kind in ("rectangle", "ellipse", "circle"):
        ring = _around(element)
        if ring is None:
            reading.skip(where, f"the {kind} has no centre and size")
        else:
            yield from reading.outline(where, [ring], **about)
    else:
        reading.skip(where, f"a {kind} is no area")


def _around(element: dict[str, Any]) -> list[tuple[float, float]] | None:
    """The corners of a rectangle, or of a polygon like an ellipse, turned about its centre."""
    try:
        x, y = (float(v) for v in element["center"][:2])
        radius = element.get("radius")
        width = 2 * float(radius) if radius is not None else float(element["width"])
        height = 2 * float(radius) if radius is not None else float(element["height"])
        turn = float(element.get("rotation") or 0)
    except (KeyError, TypeError, ValueError):
        return None
    if element["type"] == "rectangle":
        unit = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]
    else:
        angles = (2 * math.pi * i / _CORNERS for i in range(_CORNERS))
        unit = [(0.5 * math.cos(a), 0.5 * math.sin(a)) for a in angles]
    cos, sin = math.cos(turn), math.sin(turn)
    return [
        (x + u * width * cos - v * height * sin, y + u * width * sin + v * height * cos)
        for u, v in unit
    ]
