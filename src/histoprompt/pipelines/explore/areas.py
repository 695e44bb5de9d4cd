"""Tiles that belong to classes as areas of a slide: outlines for QuPath, rasters for pictures."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.ome_uuid import UNKNOWN, settle_uuid
from histoprompt.core.labels.classes import Classes, Colour
from histoprompt.core.scores.map import ScoreMap, Threshold
from histoprompt.core.scores.regions import ScoredRegion, find_regions
from histoprompt.pipelines.explore.tile_set import TiledSlide
from histoprompt.pipelines.formats.json_files import JsonListFile
from histoprompt.pipelines.formats.region_features import region_feature

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "histoprompt/explore")
_IN = Threshold(0.5, "its tiles")


@dataclass(frozen=True, eq=False)
class SlideAreas:
    """The tiles of one slide, each with its class or none.

    Attributes
    ----------
    slide : TiledSlide
    places : (n, 2) int32
        In the slide's grid.
    code : (n,) int
        Index into `names`; below 0 for none.
    names : tuple of str
    value : (n,) float32
        Told of each area as the mean over its tiles.
    """

    slide: TiledSlide
    places: NDArray[np.int32]
    code: NDArray[np.integer]
    names: tuple[str, ...]
    value: NDArray[np.float32]

    def regions(self) -> list[ScoredRegion]:
        """Connected tiles of one class, class by class, the largest first."""
        found: list[ScoredRegion] = []
        for number, name in enumerate(self.names):
            inside = (self.code == number).astype(np.float32)[:, None]
            if inside.any():
                one = ScoreMap(
                    (name,), inside, self.places, self.slide.grid, self.slide.mpp, self.slide.key
                )
                found += find_regions(one, name, _IN, first_id=len(found) + 1)
        return found


def write_areas(path: Path, parts: Iterable[SlideAreas], facts: Mapping[str, str]) -> int:
    """Write areas as GeoJSON annotations, each with the name of its slide; returns how many.

    Parameters
    ----------
    path : Path
    parts : iterable of SlideAreas
    facts : mapping of str to str
        What made them, told of each.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    count = 0
    with (
        replacing_file(path) as part,
        JsonListFile(part, {"type": "FeatureCollection"}, "features") as file,
    ):
        for areas in parts:
            colours = Classes().palette(dict.fromkeys(areas.names))
            for region in areas.regions():
                file.add(_feature(region, areas, colours[region.text], facts))
                count += 1
        file.finish({})
    return count


def _feature(
    region: ScoredRegion, areas: SlideAreas, colour: Colour, facts: Mapping[str, str]
) -> dict[str, Any]:
    key = f"{areas.slide.key}/{areas.slide.name}/{region.text}/{region.id}"
    metadata = {"slide": areas.slide.name, **facts}
    return region_feature(region, uuid.uuid5(_NAMESPACE, key), colour, {}, metadata)


def write_raster(
    path: Path,
    slide: TiledSlide,
    places: NDArray[np.int32],
    values: NDArray[Any],
    facts: Mapping[str, Any],
) -> None:
    """Write a value per tile as an OME-TIFF of one pixel per tile.

    Parameters
    ----------
    path : Path
    slide : TiledSlide
    places : (n, 2) int32
    values : (n,) or (k, n) float32 or uint16
        Float pictures hold NaN between tiles, others 0; k values make k channels.
    facts : mapping
        Told in the file's metadata.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    grid, channels = slide.grid, values.reshape(-1, len(places))
    empty = np.nan if np.issubdtype(values.dtype, np.floating) else 0
    raster = np.full((len(channels), *grid.shape), empty, values.dtype)
    raster[(slice(None), *places.T)] = channels
    place = {"Namespace": "histoprompt/explore", "level0_pixels": grid.size, **facts}
    told: dict[str, Any] = {"axes": "CYX", "MapAnnotation": place}
    if values.ndim == 1:
        raster, told["axes"] = raster[0], "YX"
    if slide.mpp is not None:
        size = slide.mpp * grid.size
        told |= {"PhysicalSizeX": size, "PhysicalSizeXUnit": "µm"}
        told |= {"PhysicalSizeY": size, "PhysicalSizeYUnit": "µm"}
    with replacing_file(path) as part:
        tifffile.imwrite(
            part,
            raster,
            ome=True,
            metadata={**told, "UUID": UNKNOWN},
            compression="adobe_deflate",
        )
        settle_uuid(part)
