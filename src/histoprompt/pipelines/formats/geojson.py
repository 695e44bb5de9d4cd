"""GeoJSON as QuPath reads and writes it: one feature an object, (x, y) in level-0 pixels.

The corner of the first pixel, not its centre, is (0, 0).
QuPath keeps unknown entries of ``metadata`` (text to text), so an object's id goes there and comes
back after editing.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import mapping

from histoprompt.core.cell_schema import AREA
from histoprompt.core.errors import LabelError
from histoprompt.core.files.documents import head_of, read_json
from histoprompt.core.labels.classes import DEFAULT_CLASS, Classes, Colour
from histoprompt.core.labels.contours import Outline, paint
from histoprompt.core.labels.sources import SparseLabels
from histoprompt.core.strings.names import tidy
from histoprompt.pipelines.formats.job import ExportJob, Imported, Regions, Written
from histoprompt.pipelines.formats.json_files import JsonListFile
from histoprompt.pipelines.formats.outside_polygons import area_of
from histoprompt.pipelines.formats.polygons import from_polygon, to_polygons

GEOJSON_FILE = "objects.geojson"
ID_KEY = "histoprompt_id"
# Of a region, and of an object the number of the region it lies in.
PLANE_KEY, _PARENT = "histoprompt_plane", "histoprompt_region"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "histoprompt/objects")


def write(job: ExportJob) -> Written:
    """Write ``objects.geojson``."""
    head, parents = (
        {"type": "FeatureCollection"},
        {} if job.regions is None else job.regions.parents,
    )
    with JsonListFile(job.folder / GEOJSON_FILE, head, "features") as file:
        for feature in () if job.regions is None else _features(_as_job(job, job.regions)):
            feature["properties"]["metadata"][PLANE_KEY] = "regions"
            file.add({**feature, "id": _region_uuid(job, feature)})
        for feature in _features(job):
            told = feature["properties"]["metadata"]
            if int(told[ID_KEY]) in parents:
                told[_PARENT] = str(parents[int(told[ID_KEY])])
            file.add(feature)
        file.finish({})
    return Written((GEOJSON_FILE,))


def _features(job: ExportJob) -> Iterator[dict[str, Any]]:
    colours = job.classes.palette(job.class_names)
    for label, box, area in job.objects("Writing outlines"):
        geometry = geometry_of(job.outlines(label, box), job.params.simplify)
        name = job.classes.of(label)
        yield _feature(job, label, geometry, (name, colours.get(name)), area)


def _as_job(job: ExportJob, regions: Regions) -> ExportJob:
    """The export of regions, which QuPath takes for annotations whatever the objects become."""
    params = replace(job.params, object_type="annotation")
    return replace(
        job, labels=regions.labels, classes=regions.classes, table=regions.table, params=params
    )


def _region_uuid(job: ExportJob, feature: dict[str, Any]) -> str:
    label = feature["properties"]["metadata"][ID_KEY]
    return str(uuid.uuid5(_NAMESPACE, f"{job.slide.key}/regions/{label}"))


def read_geojson(path: Path, size: tuple[int, int]) -> Imported:
    """Read polygons, such as QuPath's, into labels.

    Parameters
    ----------
    path : Path
        A FeatureCollection, a list of features, or one feature.
    size : (rows, cols)
        Of the slide, which the file does not state.

    Returns
    -------
    Imported
        A pixel is inside if its centre is. Of overlapping objects the later one is on top. Objects
        keep the ids this project gave them; others are numbered after those. What has no area is
        skipped and counted.

    Raises
    ------
    LabelError
        If the file is not GeoJSON.
    """
    features = features_in(read_json(Path(path)), Path(path))
    labels = SparseLabels(size)
    names: dict[int, str] = {}
    colours: dict[str, Colour] = {}
    ids = _ids(features)
    skipped = 0
    for number, (label, feature) in enumerate(zip(ids, features, strict=True), start=1):
        area = area_of(feature, f"{path}: feature {number}")
        outline = [from_polygon(polygon) for polygon in area.polygons]
        if not outline:
            skipped += 1
            continue
        paint(labels, outline, label)
        names[label], colour = class_of(feature)
        if colour:
            colours[names[label]] = colour
    return Imported(labels, Classes(names, colours), skipped)


def geometry_of(found: list[Outline], simplify: float = 0.0) -> dict[str, Any]:
    """Outlines of one object as the geometry of a feature."""
    if not simplify:
        polygons = [[_closed(ring) for ring in (o.exterior, *o.holes)] for o in found]
        one = len(polygons) == 1
        return {
            "type": "Polygon" if one else "MultiPolygon",
            "coordinates": polygons[0] if one else polygons,
        }
    pieces = to_polygons(found, simplify)
    plain = mapping(pieces[0] if len(pieces) == 1 else shapely.MultiPolygon(pieces))
    return {"type": plain["type"], "coordinates": plain_coordinates(plain["coordinates"])}


def _closed(ring: NDArray[np.float64]) -> list[list[int]]:
    """A ring along the edges of pixels as closed (x, y) coordinates."""
    xy: list[list[int]] = (ring[:, ::-1] + 0.5).astype(np.int64).tolist()
    return [*xy, xy[0]]


def _feature(
    job: ExportJob, label: int, geometry: dict[str, Any], group: tuple[str, Colour | None],
    area: int,
) -> dict[str, Any]:  # fmt: skip
    name, colour = group
    # QuPath takes an object without the key for unclassified
    told = {"classification": {"name": name, "color": list(colour)}} if colour else {}
    mpp = job.slide.mpp
    measured = {"Area px^2": area} if mpp is None else {AREA.measurement: area * mpp * mpp}
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_NAMESPACE, f"{job.slide.key}/{label}")),
        "geometry": geometry,
        "properties": {
            "objectType": job.params.object_type,
            **told,
            "isLocked": False,
            "measurements": measured,
            "metadata": {ID_KEY: str(label)},
        },
    }


def plain_coordinates(coordinates: Any) -> Any:
    """Nested coordinates as lists; whole numbers without a point."""
    if isinstance(coordinates, tuple | list):
        return [plain_coordinates(item) for item in coordinates]
    return int(coordinates) if coordinates == math.floor(coordinates) else coordinates


def features_in(data: Any, path: Path) -> list[dict[str, Any]]:
    """The features of a FeatureCollection, a list of features, or one feature.

    Raises
    ------
    LabelError
        If the data is none of these.
    """
    if isinstance(data, dict):
        data = data.get("features", [data] if data.get("type") == "Feature" else None)
    if not isinstance(data, list) or not all(isinstance(f, dict) for f in data):
        raise LabelError(f"{path} is not a GeoJSON collection of features.")
    return data


def properties_of(feature: dict[str, Any]) -> dict[str, Any]:
    """What a feature says of itself; nothing if that is no table."""
    return table_of(feature.get("properties"))


def table_of(value: Any) -> dict[str, Any]:
    """A value if it is a table; else an empty one."""
    return value if isinstance(value, dict) else {}


def _ids(features: list[dict[str, Any]]) -> list[int]:
    """The id in each feature's metadata, or the next free one; no two are equal."""
    stated = [_stated_id(feature) for feature in features]
    taken: set[int] = set()
    free = max(stated, default=0) + 1
    ids = []
    for label in stated:
        if not label or label in taken:
            label, free = free, free + 1  # noqa: PLW2901
        taken.add(label)
        ids.append(label)
    return ids


def _stated_id(feature: dict[str, Any]) -> int:
    text = str(table_of(properties_of(feature).get("metadata")).get(ID_KEY, ""))
    known = text.isascii() and text.isdigit() and len(text) <= 10
    return int(text) if known and int(text) < 2**31 else 0


def class_of(feature: dict[str, Any], default: str = DEFAULT_CLASS) -> tuple[str, Colour | None]:
    """Name and colour; QuPath also writes a plain text, or the names of a derived class."""
    found = properties_of(feature).get("classification")
    if isinstance(found, str):
        return tidy(found) or default, None
    found = table_of(found)
    names = found.get("names")
    derived = ": ".join(map(str, names)) if isinstance(names, list) else ""
    name = tidy(str(found.get("name") or derived)) or default
    return name, _colour(found.get("color"))


def _colour(value: Any) -> Colour | None:
    """A colour of three numbers 0 ... 255 (a fourth may follow); None if it is no such thing."""
    if not isinstance(value, list) or len(value) < 3:
        return None
    if not all(type(v) is int and 0 <= v <= 255 for v in value[:3]):
        return None
    red, green, blue = value[:3]
    return red, green, blue


def matches(path: Path) -> bool:
    """Whether a file is GeoJSON, by its first bytes."""
    return b'"Feature' in head_of(path, suffixes=(".json", ".geojson"))
