"""Regions: connected tiles of a score map that belong to a text, by its threshold or by marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from histoprompt.core.labels.contours import Outline, outlines, paint
from histoprompt.core.labels.sources import SparseLabels
from histoprompt.core.scores.map import ScoreMap, Threshold


@dataclass(frozen=True, eq=False)
class ScoredRegion:
    """A part of the slide that a text describes.

    Attributes
    ----------
    id : int
        From 1, unique among regions found together; the value in their raster.
    text : str
    score : float
        Mean score of its tiles.
    tiles : int
    area_um2 : float or None
        None where the slide states no pixel size.
    outline : Outline
        Level-0 pixels, inside the slide.
    """

    id: int
    text: str
    score: float
    tiles: int
    area_um2: float | None
    outline: Outline


def find_regions(
    scores: ScoreMap,
    text: str,
    threshold: Threshold | None = None,
    *,
    least_tiles: int = 1,
    first_id: int = 1,
) -> list[ScoredRegion]:
    """The regions of one text.

    Parameters
    ----------
    scores : ScoreMap
    text : str
        One of its texts.
    threshold : Threshold, optional
        The map's own for this text if not given.
    least_tiles : int
        Regions of fewer tiles are left out, unless one of these was marked yes.
    first_id : int
        Id of the first region, to number those of several texts.

    Returns
    -------
    list of ScoredRegion
        Largest first. Tiles that meet only at a corner belong to different regions, so every
        region is one polygon, perhaps with holes.

    Raises
    ------
    RegionError
        If the text has no threshold and none is given.
    """
    raster = region_raster(scores, text, threshold, least_tiles=least_tiles)
    places = np.argwhere(raster)
    values = raster[tuple(places.T)]
    order = np.argsort(values, kind="stable")
    groups = np.split(places[order], np.cumsum(np.bincount(values)[1:-1])) if len(places) else []
    heat = scores.raster(text)
    return [_region(scores, text, heat, group, first_id + i) for i, group in enumerate(groups)]


def region_raster(
    scores: ScoreMap, text: str, threshold: Threshold | None = None, *, least_tiles: int = 1
) -> NDArray[np.int32]:
    """Connected tiles that belong to a text, in a (rows, cols) raster at the map's `frame`.

    Numbered from 1 as `find_regions` numbers them, which takes much longer.
    """
    mask = np.zeros(scores.grid.shape, bool)
    mask[tuple(scores.places[scores.inside(text, threshold)].T)] = True
    found = np.asarray(ndi.label(mask)[0], np.int32)
    sizes = np.bincount(found.ravel())[1:]
    order = np.argsort(-sizes, kind="stable")
    wanted = sizes >= least_tiles
    said = found[tuple(scores.places[scores.marked_yes(text)].T)]
    wanted[said[said > 0] - 1] = True
    numbers = np.zeros(len(sizes) + 1, np.int32)
    numbers[1 + order] = np.cumsum(wanted[order]) * wanted[order]
    return np.asarray(numbers[found])


def paint_regions(regions: Sequence[ScoredRegion], shape: tuple[int, int]) -> SparseLabels:
    """Level-0 labels of regions, such as to commit them; the later one is on top.

    Parameters
    ----------
    regions : sequence of ScoredRegion
    shape : (rows, cols)
        Of the slide. Regions take 4 bytes a pixel: paint those of a window, not of a whole slide.
    """
    labels = SparseLabels(shape)
    for region in regions:
        paint(labels, [region.outline], region.id)
    return labels


def _region(
    scores: ScoreMap, text: str, heat: NDArray[Any], places: NDArray[np.intp], number: int
) -> ScoredRegion:
    """The region of connected (k, 2) grid places; `heat` is the raster of the text."""
    corner = places.min(axis=0)
    mask = np.zeros(places.max(axis=0) - corner + 1, bool)
    mask[tuple((places - corner).T)] = True
    (part,) = outlines(mask, (int(corner[0]), int(corner[1])))
    return ScoredRegion(
        id=number,
        text=text,
        score=float(heat[tuple(places.T)].mean()),
        tiles=len(places),
        area_um2=_area(scores, places),
        outline=_on_slide(scores, part),
    )


def _on_slide(scores: ScoreMap, part: Outline) -> Outline:
    """An outline of the raster in level-0 pixels, cut where cells reach over the slide's edge."""
    frame, region = scores.frame, scores.grid.region
    low = np.array([region.r0, region.c0]) - 0.5
    high = np.array([region.r1, region.c1]) - 0.5

    def place(ring: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(frame.to_slide(ring), low, high)

    return Outline(place(part.exterior), tuple(place(h) for h in part.holes))


def _area(scores: ScoreMap, places: NDArray[np.intp]) -> float | None:
    if scores.mpp is None:
        return None
    return float(scores.grid.areas[tuple(places.T)].sum()) * scores.mpp**2
