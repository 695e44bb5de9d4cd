"""Which part of a slide goes with a number of its cells, by the cells in it."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import CellTable
from histoprompt.core.geometry import Box
from histoprompt.pipelines.count.counted_folder import CountedFolder
from histoprompt.pipelines.count.spatial.numbers import named_classes, places
from histoprompt.pipelines.count.spatial.places import within
from histoprompt.pipelines.count.spatial.statistics import nearest, neighbours
from histoprompt.pipelines.relate.of_counts import OF_REGION

Floats = NDArray[np.float64]
# Cells that the mean of a part must be of.
_FEWEST = 5
_PAIR = re.compile(r"(.+) to (.+): (within|nearest|L - r)(?: at)?(?: (\S+))? um")
_PLAIN = re.compile(r"(.+) (per mm2|share|mean area um2|sd of area um2)")


def part_of(counted: CountedFolder, feature: str, side: float, *, highest: bool) -> Box | None:
    """The part of a slide where a feature of `count_features` is highest, or lowest.

    Parameters
    ----------
    counted : CountedFolder
    feature : str
    side : float
        Of the part, level-0 pixels.
    highest : bool
        Lowest is among parts that hold cells.

    Returns
    -------
    Box or None
        None where the feature is none of cells, or the slide has no such cells.
    """
    region, _, name = feature.rpartition(OF_REGION)
    cells = counted.cells
    for one in (r for r in counted.regions if r.name == region):
        cells = within(cells, one)
    told = _per_cell(cells, name, counted.mpp or 1.0) if len(cells) else None
    if told is None:
        return None
    value, of = told
    step = side / 2
    at = (np.stack([cells.row, cells.col], axis=1) // step).astype(np.int64)
    low = at.min(axis=0)
    at -= low
    shape = tuple((at.max(axis=0) + 1).tolist())
    sums, counts, there = (_windows(at, w, shape) for w in (value, of, np.ones(len(cells))))
    ratio = not name.endswith("per mm2")
    enough = counts >= min(_FEWEST, counts.max()) if ratio else there >= np.median(there[there > 0])
    if not enough.any():
        return None
    score = sums / np.maximum(counts, 1e-9) if ratio else sums
    score = np.where(enough, score if highest else -score, -np.inf)
    row, col = np.unravel_index(int(score.argmax()), shape)
    r0, c0 = (row + low[0]) * step, (col + low[1]) * step
    return Box(r0, c0, r0 + side, c0 + side).to_pixels()


def _windows(at: NDArray[np.int64], weights: Floats, shape: tuple[int, ...]) -> Floats:
    """Sums over windows of two by two squares that begin at each square."""
    table = np.zeros((shape[0] + 1, shape[1] + 1))
    np.add.at(table, tuple(at.T), weights)
    return np.asarray(table[:-1, :-1] + table[1:, :-1] + table[:-1, 1:] + table[1:, 1:])


def _per_cell(cells: CellTable, name: str, mpp: float) -> tuple[Floats, Floats] | None:
    """What each cell adds to a number, and to what it is divided by."""
    names, codes = named_classes(cells)
    pair, plain = _PAIR.fullmatch(name), _PLAIN.fullmatch(name)
    if pair and {pair[1], pair[2]} <= set(names):
        of = (codes == names.index(pair[1])).astype(float)
        other, points = names.index(pair[2]), places(cells, mpp)
        if pair[3] == "nearest":
            value = np.nan_to_num(nearest(points, codes, len(names))[:, other])
        else:
            radius = float(pair[4])
            value = neighbours(points, codes, len(names), radius)[:, other].astype(float)
        return value * of, of
    if plain is None or plain[1] not in ("all", *names):
        return None
    of = np.ones(len(cells)) if plain[1] == "all" else (codes == names.index(plain[1])) * 1.0
    if plain[2] == "per mm2":
        return of, of
    if plain[2] == "share":
        return of, np.ones(len(cells))
    area = np.nan_to_num(cells.area_um2)
    if plain[2] == "sd of area um2":
        area = (area - (area * of).sum() / max(of.sum(), 1.0)) ** 2
    return area * of, of
