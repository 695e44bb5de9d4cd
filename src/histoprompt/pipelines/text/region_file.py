"""Scored regions as GeoJSON that QuPath opens and `read_regions` takes for a count."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shapely.geometry import mapping

from histoprompt.core.cell_schema import AREA
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.labels.classes import Classes, Colour
from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.scores.regions import ScoredRegion
from histoprompt.pipelines.formats.geojson import plain_coordinates
from histoprompt.pipelines.formats.json_files import JsonListFile
from histoprompt.pipelines.formats.polygons import to_polygons
from histoprompt.pipelines.formats.regions import Region

REGIONS_FILE = "regions.geojson"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "histoprompt/regions")


def write_regions(path: Path, regions: Sequence[ScoredRegion], scores: ScoreMap) -> None:
    """Write one annotation a region, its class the text; score, area and threshold with it.

    Parameters
    ----------
    path : Path
    regions : sequence of ScoredRegion
    scores : ScoreMap
        Where they come from: its thresholds and facts go into each region's metadata.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    colours = Classes().palette(dict.fromkeys(scores.texts))
    head = {"type": "FeatureCollection"}
    with replacing_file(path) as part, JsonListFile(part, head, "features") as file:
        for region in regions:
            file.add(_feature(region, scores, colours[region.text]))
        file.finish({})


def named(regions: Sequence[ScoredRegion]) -> list[Region]:
    """The regions as a count takes them, named as in the file."""
    return [Region(name_of(r), to_polygons([r.outline])[0]) for r in regions]


def name_of(region: ScoredRegion) -> str:
    """What a region is called: its text and its number."""
    return f"{region.text} {region.id}"


def _feature(region: ScoredRegion, scores: ScoreMap, colour: Colour) -> dict[str, Any]:
    geometry = mapping(to_polygons([region.outline])[0])
    cut = scores.thresholds[region.text]
    measured: dict[str, float] = {"Score": region.score, "Tiles": region.tiles}
    if region.area_um2 is not None:
        measured[AREA.measurement] = region.area_um2
    key = f"{scores.slide_key}/{region.text}/{region.id}"
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_NAMESPACE, key)),
        "geometry": {
            "type": geometry["type"],
            "coordinates": plain_coordinates(geometry["coordinates"]),
        },
        "properties": {
            "objectType": "annotation",
            "name": name_of(region),
            "classification": {"name": region.text, "color": list(colour)},
            "isLocked": False,
            "measurements": measured,
            "metadata": {
                "histoprompt_id": str(region.id),
                "threshold": f"{cut.value:.4f}",
                "threshold from": cut.origin,
                **scores.facts,
            },
        },
    }
