"""Spatial numbers of counted cells: of each cell, and of each pair of classes of a slide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import CellTable
from histoprompt.pipelines.count.spatial.statistics import (
    CrossK,
    Window,
    cross_ks,
    nearest,
    neighbours,
    pairs_within,
    window_of,
)

# Cells that both classes of a pair must have.
FEWEST = 10
# Classes beyond the most frequent are left out of pairs.
_MOST_CLASSES = 6
# Of K.
_RADII = 10


@dataclass(frozen=True)
class PairNumbers:
    """How cells of one class lie to those of another.

    Attributes
    ----------
    first, second : str
        Classes; "cells" where there are none.
    cells, others : int
        Cells of each.
    neighbours : float
        Cells of the second within the radius of one of the first, mean.
    nearest_um : float
        To the nearest of the second, median.
    k : CrossK or None
    """

    first: str
    second: str
    cells: int
    others: int
    neighbours: float
    nearest_um: float
    k: CrossK | None


def places(cells: CellTable, mpp: float) -> NDArray[np.float64]:
    """Centres in µm, (n, 2)."""
    return np.stack([cells.row, cells.col], axis=1).astype(np.float64) * mpp


def named_classes(cells: CellTable) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """The classes that cells have, and the number of each cell's."""
    used = np.unique(cells.code)
    names = tuple(cells.classes[c] or "cells" for c in used)
    return names, np.searchsorted(used, cells.code)


def with_spatial(cells: CellTable, mpp: float, radius: float) -> CellTable:
    """Cells with further features: neighbours of each class within a radius, and the nearest.

    Parameters
    ----------
    cells : CellTable
    mpp : float
    radius : float
        µm.
    """
    if not len(cells):
        return cells
    names, codes = named_classes(cells)
    points = places(cells, mpp)
    near = neighbours(points, codes, len(names), radius)
    far = nearest(points, codes, len(names))
    own = tuple(f"{n} within {radius:g} um" for n in names) + tuple(
        f"nearest {n} um" for n in names
    )
    kept = [i for i, n in enumerate(cells.feature_names) if n not in own]
    features = np.concatenate([cells.features[:, kept], near, far], axis=1).astype(np.float32)
    held = tuple(cells.feature_names[i] for i in kept)
    return replace(cells, features=features, feature_names=(*held, *own))


def pair_numbers(
    cells: CellTable, mpp: float, radius: float, *, reach: float = 0.0,
    window: Window | None = None, labellings: int = 0, seed: int = 0,
) -> tuple[PairNumbers, ...]:  # fmt: skip
    """Each pair of classes with enough cells.

    Parameters
    ----------
    cells : CellTable
    mpp : float
    radius : float
        Of neighbours, µm.
    reach : float
        The largest of K, µm; that of neighbours if 0.
    window : Window, optional
        Where cells can lie; what is near a cell if not given.
    labellings : int
        Of the envelope; 0 for K without.
    seed : int
    """
    names, codes = named_classes(cells)
    counts = np.bincount(codes, minlength=len(names))
    frequent = np.argsort(-counts, kind="stable")[:_MOST_CLASSES]
    chosen = sorted(int(c) for c in frequent if counts[c] >= FEWEST)
    if not chosen:
        return ()
    points = places(cells, mpp)
    near, far = neighbours(points, codes, len(names), radius), nearest(points, codes, len(names))
    window = window or window_of(points)
    reach = reach or radius
    radii = np.linspace(reach / _RADII, reach, _RADII)
    asked = list(_pairs_of(chosen))
    pairs = pairs_within(points, radii, window, seed)
    ks = cross_ks(codes, asked, pairs, labellings, seed)
    found = []
    for a, b in asked:
        here = codes == a
        found.append(PairNumbers(
            names[a], names[b], int(counts[a]), int(counts[b]), float(near[here, b].mean()),
            float(np.nanmedian(far[here, b])), ks.get((a, b)),
        ))  # fmt: skip
    return tuple(found)


def _pairs_of(classes: list[int]) -> Iterable[tuple[int, int]]:
    return ((a, b) for a in classes for b in classes)
