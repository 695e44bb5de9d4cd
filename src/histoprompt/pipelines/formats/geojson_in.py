"""GeoJSON coming in, feature by feature: what QuPath and others say of each."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from histoprompt.core.errors import LabelError
from histoprompt.core.files.json_stream import json_parts
from histoprompt.core.labels.classes import Colour
from histoprompt.core.strings.names import tidy
from histoprompt.pipelines.formats.annotation import Annotation, Kind, Reading, numbers_of
from histoprompt.pipelines.formats.geojson import (
    ID_KEY,
    PLANE_KEY,
    class_of,
    properties_of,
    table_of,
)

_OBJECT_TYPE = rb'"object_?[tT]ype"\s*:\s*"'
_HELD, _HOLDING = (
    re.compile(_OBJECT_TYPE + rb'(detection|cell)"'),
    re.compile(_OBJECT_TYPE + rb'annotation"'),
)
# Bytes that are searched at once, and more than what is searched for may have.
_PIECE, _LONGEST = 1 << 20, 1 << 9
_MARKED = re.compile(rb'"' + PLANE_KEY.encode() + rb'"\s*:\s*"regions"')


def read(reading: Reading) -> Iterator[Annotation]:
    """The features of a file with what QuPath says of them.

    Of a cell with a nucleus the outline that the reading asks for is given.

    Raises
    ------
    LabelError
        If the file is no collection of features.
    """
    known: dict[str, tuple[str, Colour | None]] = {}
    is_region = _sorting(reading.path)
    reading.sorts = is_region is not None
    for number, feature in enumerate(_stream(reading.path), start=1):
        where = f"feature {number}"
        geometry, nucleus = feature.get("geometry"), _nucleus_of(feature)
        if reading.nuclei and nucleus is not None:
            geometry = nucleus
        if not isinstance(geometry, dict):
            reading.skip(where, "it has no usable geometry")
            continue
        about = _about(reading, where, feature, known)
        about["has_nucleus"] = nucleus is not None
        about["region"] = is_region is not None and is_region(properties_of(feature))
        yield from _of_geometry(reading, where, geometry, about)


def _sorting(path: Path) -> Callable[[dict[str, Any]], bool] | None:
    """What tells a region from an object by its properties; None if the file has but one kind.

    This project's own files say of each region that it is one. In other files, annotations are
    regions if there are detections or cells too.
    """
    held = holding = False
    for text in _overlapping(path):
        if _MARKED.search(text):
            return lambda told: table_of(told.get("metadata")).get(PLANE_KEY) == "regions"
        held, holding = held or bool(_HELD.search(text)), holding or bool(_HOLDING.search(text))
    return (lambda told: _kind_of(told) == "annotation") if held and holding else None


def _overlapping(path: Path) -> Iterator[bytes]:
    """The bytes of a file in pieces, each with the end of the one before."""
    with path.open("rb") as file:
        before = b""
        while piece := file.read(_PIECE):
            yield before + piece
            before = piece[-_LONGEST:]


def _kind_of(properties: dict[str, Any]) -> object:
    return properties.get("objectType", properties.get("object_type"))


def _nucleus_of(feature: dict[str, Any]) -> dict[str, Any] | None:
    """The outline of the nucleus of a cell, where QuPath found both; None if it has none."""
    for place in (feature, properties_of(feature)):
        found = table_of(place.get("nucleusGeometry"))
        if found.get("type") in ("Polygon", "MultiPolygon", "GeometryCollection"):
            return found
    return None


def _stream(path: Path) -> Iterator[dict[str, Any]]:
    """The features one by one; see `features_in`."""
    alone: dict[str, Any] = {}
    for key, number, value in json_parts(path, ("features",)):
        if isinstance(number, int) and isinstance(value, dict):
            yield value
        elif key in ("", "features") and (number is not None or value != []):
            raise LabelError(f"{path} is not a GeoJSON collection of features.")
        else:
            alone[key] = value
    if alone.get("type") == "Feature":
        yield alone
    elif alone and alone.get("type") != "FeatureCollection":
        raise LabelError(f"{path} is not a GeoJSON collection of features.")


def _of_geometry(
    reading: Reading, where: str, geometry: dict[str, Any], about: dict[str, Any]
) -> Iterator[Annotation]:
    kind, places = geometry.get("type"), geometry.get("coordinates")
    if kind == "Polygon":
        yield from reading.outline(where, places if isinstance(places, list) else [], **about)
    elif kind == "MultiPolygon":
        yield from reading.outlines(where, places if isinstance(places, list) else [], **about)
    elif kind == "Point" and isinstance(places, list) and len(places) > 1:
        yield from reading.at(where, places[0], places[1], **about)
    elif kind == "MultiPoint" and isinstance(places, list):
        for place in places:
            x, y = place[:2] if isinstance(place, list) and len(place) > 1 else (None, None)
            yield from reading.at(where, x, y, **(about | {"id": 0}))
    elif kind == "GeometryCollection":
        yield from _collection(reading, where, geometry, about)
    else:
        reading.skip(where, f"a {reprlib.repr(kind)} is no area")


def _collection(
    reading: Reading, where: str, geometry: dict[str, Any], about: dict[str, Any]
) -> Iterator[Annotation]:
    """The polygons among the members are one object."""
    members = geometry.get("geometries")
    areas: list[Any] = []
    for member in members if isinstance(members, list) else []:
        inner = member if isinstance(member, dict) else {}
        places = inner.get("coordinates")
        if inner.get("type") == "Polygon":
            areas.append(places)
        elif inner.get("type") == "MultiPolygon" and isinstance(places, list):
            areas.extend(places)
    yield from reading.outlines(where, areas, **about)


_KINDS: dict[object, Kind] = {"detection": "detection", "cell": "cell"}


def _about(
    reading: Reading,
    where: str,
    feature: dict[str, Any],
    known: dict[str, tuple[str, Colour | None]],
) -> dict[str, Any]:
    properties = properties_of(feature)
    stated = properties.get("classification")
    spelt = repr(stated)  # the same few classes come again and again
    if spelt not in known:
        known[spelt] = class_of(feature, "")
    name, colour = known[spelt]
    kind = _kind_of(properties)
    found: dict[str, Any] = {
        "id": reading.identity(where, table_of(properties.get("metadata")).get(ID_KEY)),
        "class_name": name,
        "colour": colour,
        "kind": _KINDS.get(kind, "annotation") if isinstance(kind, str) else "annotation",
        "measurements": numbers_of(properties.get("measurements")),
    }
    if isinstance(properties.get("name"), str):
        found["name"] = tidy(properties["name"])
    return found
