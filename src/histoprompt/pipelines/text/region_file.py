"""Scored regions as GeoJSON that QuPath opens and `read_regions` takes for a count."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.labels.classes import Classes, Colour
from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.scores.regions import ScoredRegion
from histoprompt.pipelines.formats.json_files import JsonListFile
from histoprompt.pipelines.formats.polygons import to_polygons
from histoprompt.pipelines.formats.region_features import name_of, region_feature
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


def _feature(region: ScoredRegion, scores: ScoreMap, colour: Colour) -> dict[str, Any]:
    cut = scores.thresholds[region.text]
    key = f"{scores.slide_key}/{region.text}/{region.id}"
    metadata = {
        "histoprompt_id": str(region.id),
        "threshold": f"{cut.value:.4f}",
        "threshold from": cut.origin,
        **scores.facts,
    }
    measured = {"Score": region.score}
    return region_feature(region, uuid.uuid5(_NAMESPACE, key), colour, measured, metadata)
