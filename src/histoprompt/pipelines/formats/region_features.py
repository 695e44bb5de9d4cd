"""Scored regions as annotations of GeoJSON that QuPath opens."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from shapely.geometry import mapping

from histoprompt.core.cell_schema import AREA
from histoprompt.core.labels.classes import Colour
from histoprompt.core.scores.regions import ScoredRegion
from histoprompt.pipelines.formats.geojson import plain_coordinates
from histoprompt.pipelines.formats.polygons import to_polygons


def name_of(region: ScoredRegion) -> str:
    """What a region is called: its text and its number."""
    return f"{region.text} {region.id}"


def region_feature(
    region: ScoredRegion,
    key: uuid.UUID,
    colour: Colour,
    measured: Mapping[str, float],
    metadata: Mapping[str, str],
) -> dict[str, Any]:
    """A region as a feature, its class the text.

    Parameters
    ----------
    region : ScoredRegion
    key : UUID
        The feature's id.
    colour : (red, green, blue)
        Of its class.
    measured : mapping of str to float
        Measurements that come first; tiles and area follow.
    metadata : mapping of str to str
    """
    geometry = mapping(to_polygons([region.outline])[0])
    measurements: dict[str, float] = {**measured, "Tiles": region.tiles}
    if region.area_um2 is not None:
        measurements[AREA.measurement] = region.area_um2
    return {
        "type": "Feature",
        "id": str(key),
        "geometry": {
            "type": geometry["type"],
            "coordinates": plain_coordinates(geometry["coordinates"]),
        },
        "properties": {
            "objectType": "annotation",
            "name": name_of(region),
            "classification": {"name": region.text, "color": list(colour)},
            "isLocked": False,
            "measurements": measurements,
            "metadata": dict(metadata),
        },
    }
