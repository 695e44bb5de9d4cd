"""How cells lie to each other on a slide and in each of its regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import shapely
from numpy.typing import NDArray

from histoprompt.core.cell_table import CellTable
from histoprompt.core.parameters import Parameter, check
from histoprompt.core.task import Task
from histoprompt.pipelines.count.spatial.numbers import (
    FEWEST,
    PairNumbers,
    named_classes,
    pair_numbers,
    places,
)
from histoprompt.pipelines.count.spatial.statistics import Window, density_map, window_of
from histoprompt.pipelines.formats.regions import Region

ALL = "all"


@dataclass(frozen=True)
class SpatialParams:
    """What is measured of how cells lie.

    Attributes
    ----------
    radius : float
        Of neighbours, µm.
    reach : float
        Of K, µm.
    labellings : int
        Of the envelope.
    bandwidth : float
        Of density maps, µm.
    labelling_seed : int
    """

    radius: Annotated[
        float,
        Parameter(
            "Neighbours within", "Of a cell, for spatial numbers.", low=1, high=500, unit="µm"
        ),
    ] = 30.0
    reach: Annotated[
        float,
        Parameter("Cross-K up to", "The largest of ten radii.", low=5, high=2000, unit="µm",
                  advanced=True),
    ] = 100.0  # fmt: skip
    labellings: Annotated[
        int,
        Parameter("Labellings", "Classes dealt out anew, for the envelope of chance.", low=19,
                  high=9999, advanced=True),
    ] = 199  # fmt: skip
    bandwidth: Annotated[
        float,
        Parameter("Bandwidth", "Of density maps.", low=20, high=2000, unit="µm", advanced=True),
    ] = 100.0
    labelling_seed: Annotated[
        int, Parameter("Seed", "Of labellings.", low=0, high=99_999, advanced=True)
    ] = 1

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class SpatialPlace:
    """A slide's cells, or those of a region.

    Attributes
    ----------
    name : str
        Of the region; "all" for the slide.
    cells : int
    mm2 : float
        Of the window in which cells lie.
    pairs : tuple of PairNumbers
    """

    name: str
    cells: int
    mm2: float
    pairs: tuple[PairNumbers, ...]


@dataclass(frozen=True, eq=False)
class Spatial:
    """How the cells of a count lie.

    Attributes
    ----------
    places : tuple of SpatialPlace
        The slide first, then each region.
    window : Window
        Of the slide's cells, µm.
    densities : mapping of str to (h, w) float32
        Cells per mm² by class, on the squares of the window; nan outside of it.
    notes : tuple of str
    """

    places: tuple[SpatialPlace, ...]
    window: Window
    densities: Mapping[str, NDArray[np.float32]]
    notes: tuple[str, ...] = ()


def spatial_of(
    cells: CellTable, mpp: float, regions: Sequence[Region], params: SpatialParams, task: Task
) -> Spatial | None:
    """Measure the cells of a slide, and those of each region by themselves.

    Parameters
    ----------
    cells : CellTable
    mpp : float
    regions : sequence of Region
        Those that were counted, level-0 pixels.
    params : SpatialParams
    task : Task

    Returns
    -------
    Spatial or None
        None where there is no cell.
    """
    if not len(cells):
        return None
    found, notes = [], []
    for done, region in enumerate((None, *regions)):
        task.step(done, len(regions) + 1, "Measuring how cells lie", "place")
        name = ALL if region is None else region.name
        inside = cells if region is None else within(cells, region)
        window = window_in(inside, mpp, region)
        if window is None:
            notes.append(f"{name} holds {len(inside):,} cells: too few to lie in any way.")
            continue
        pairs = pair_numbers(
            inside, mpp, params.radius, reach=params.reach, window=window,
            labellings=params.labellings, seed=params.labelling_seed,
        )  # fmt: skip
        if not pairs:
            notes.append(f"{name} has no class of {FEWEST} cells or more.")
        elif len(np.unique(inside.code)) < 2:
            notes.append(f"{name} has one class: there is nothing to deal out anew, so its K has "
                         "no envelope and no p.")  # fmt: skip
        found.append(SpatialPlace(name, len(inside), window.area / 1e6, pairs))
    task.step(len(regions) + 1, len(regions) + 1, "Measuring how cells lie", "place")
    window = window_of(places(cells, mpp))
    return Spatial(
        tuple(found), window, _densities(cells, mpp, window, params.bandwidth), tuple(notes)
    )


def window_in(cells: CellTable, mpp: float, region: Region | None) -> Window | None:
    """Where cells of a region can lie: what is near one, inside of the region."""
    if len(cells) < FEWEST:
        return None
    found = window_of(places(cells, mpp))
    if region is None:
        return found
    rows, cols = (np.arange(n) + 0.5 for n in found.mask.shape)
    x, y = np.meshgrid(found.origin[1] + cols * found.pixel, found.origin[0] + rows * found.pixel)
    inside = shapely.contains_xy(region.polygon, x / mpp + 0.5, y / mpp + 0.5)
    mask = found.mask & inside
    return Window(mask, found.origin, found.pixel) if mask.any() else found


def within(cells: CellTable, region: Region) -> CellTable:
    """The cells whose centre lies in a region."""
    return cells[np.asarray(shapely.contains_xy(region.polygon, cells.col + 0.5, cells.row + 0.5))]


def _densities(
    cells: CellTable, mpp: float, window: Window, bandwidth: float
) -> dict[str, NDArray[np.float32]]:
    points, (names, codes) = places(cells, mpp), named_classes(cells)
    found = {ALL: density_map(points, window, bandwidth)}
    if len(names) > 1:
        for code, name in enumerate(names):
            found[name] = density_map(points[codes == code], window, bandwidth)
    return found


def region_features(
    cells: CellTable, mpp: float, region: Region | None, radius: float
) -> dict[str, float]:
    """The numbers of cells of a slide or a region by their names, to be related."""
    window = window_in(cells, mpp, region)
    found: dict[str, float] = {}
    for pair in pair_numbers(cells, mpp, radius, window=window) if window else ():
        between = f"{pair.first} to {pair.second}"
        found[f"{between}: within {radius:g} um"] = pair.neighbours
        found[f"{between}: nearest um"] = pair.nearest_um
        if pair.k is not None and pair.first <= pair.second:  # K is the same both ways
            found[f"{between}: L - r at {radius:g} um"] = float(pair.k.excess[-1])
    return found
