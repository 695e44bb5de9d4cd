"""Multiple polygons as Grand Challenge writes them, and ASAP's XML; (x, y) in level-0 pixels.

Grand Challenge: ``{"type": "Multiple polygons", "polygons": [{"name", "path_points"}]}`` with the
class as name and points of (x, y, z). ASAP (Litjens, computationalpathologygroup/ASAP):
``ASAP_Annotations`` with ``Annotation PartOfGroup`` and ``Coordinate Order X Y``; the group is the
class.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from histoprompt.core.errors import LabelError
from histoprompt.core.files.documents import head_of
from histoprompt.core.files.json_stream import json_parts
from histoprompt.core.files.xml_stream import xml_elements
from histoprompt.pipelines.formats.annotation import Annotation, Reading, colour_of

_LISTS = ("polygons", "points")


def matches(path: Path) -> bool:
    """Whether a file is of one of the two."""
    start = head_of(path)
    return b"<ASAP_Annotations" in start or (
        b'"Multiple p' in start and path.suffix.lower() == ".json"
    )


def read(reading: Reading) -> Iterator[Annotation]:
    """The polygons or points of a file.

    Raises
    ------
    LabelError
        If the file is of another kind.
    """
    if reading.path.suffix.lower() == ".xml":
        yield from _asap(reading)
        return
    some = False
    for key, at, item in json_parts(reading.path, _LISTS):
        if key not in _LISTS or not (isinstance(at, int) or item == []):
            continue
        some = True
        if at is None:
            continue
        where = f"object {int(at) + 1}"
        if not isinstance(item, dict):
            reading.skip(where, "it is no object with path_points")
            continue
        about: dict[str, Any] = {"class_name": str(item.get("name") or "").strip()}
        point = item.get("point")
        if isinstance(point, list) and len(point) >= 2:
            # its points count from the middle of the first pixel, outlines here from its corner
            yield from reading.at(where, point[0], point[1], **about)
        else:
            yield from reading.outline(where, [item.get("path_points")], **about)
    if not some:
        raise LabelError(f"{reading.path.name} has no list of polygons or points.")


def _asap(reading: Reading) -> Iterator[Annotation]:
    groups = (g for g, _ in xml_elements(reading.path, ("Group",)))
    colours = {g.get("Name"): colour_of(g.get("Color")) for g in groups}
    annotations = (a for a, _ in xml_elements(reading.path, ("Annotation",)))
    for number, item in enumerate(annotations, start=1):
        where = f"annotation {number}"
        group = item.get("PartOfGroup") or ""
        about: dict[str, Any] = {"class_name": "" if group == "None" else group}
        about["colour"] = colours.get(group)
        try:
            points = [
                (int(c.get("Order", "0")), float(c.get("X", "")), float(c.get("Y", "")))
                for c in item.iter("Coordinate")
            ]
        except ValueError:
            reading.skip(where, "a coordinate is no number")
            continue
        xy = [p[1:] for p in sorted(points, key=lambda p: p[0])]
        if item.get("Type") == "Dot" and xy:
            yield from reading.at(where, *xy[0], **about)
        elif item.get("Type") == "Rectangle" and len(xy) == 2:
            (x0, y0), (x1, y1) = xy
            yield from reading.outline(where, [[(x0, y0), (x1, y0), (x1, y1), (x0, y1)]], **about)
        else:
            yield from reading.outline(where, [xy], **about)
