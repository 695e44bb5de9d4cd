"""How many cells of which class: in all, and in each drawn region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.class_list import is_ignored
from histoprompt.core.cell_table import UNCLASSIFIED
from histoprompt.core.labels.classes import Colour
from histoprompt.core.stain.ihc import DAB_MEAN, DabThresholds, IhcScore
from histoprompt.pipelines.count.region import ALL, CountRegion
from histoprompt.pipelines.count.store import CountStore
from histoprompt.pipelines.count.store_files import Records

# Histogram of areas: square microns a bin, and bins (larger cells fall into the last).
AREA_BIN, AREA_BINS = 5.0, 60
QUPATH = DabThresholds()


@dataclass(frozen=True)
class TallyRow:
    """The cells of one class in one place.

    Attributes
    ----------
    region : str
        ``"all"`` or the name of a drawn region.
    name : str
        The class; ``"all"`` for all of them.
    count : int
    share : float
        Of all cells of the place, those whose class is unsure too; NaN without any.
    analysed_mm2, region_mm2 : float
        What `per_mm2` is divided by, and the place with its glass.
    """

    region: str
    name: str
    count: int
    share: float
    analysed_mm2: float
    region_mm2: float

    @property
    def per_mm2(self) -> float:
        """Cells a square millimetre analysed; NaN without any area."""
        return self.count / self.analysed_mm2 if self.analysed_mm2 > 0 else float("nan")


@dataclass(frozen=True, eq=False)
class Tally:
    """What a count comes to.

    Attributes
    ----------
    classes : tuple of str
        Their names; the empty name is that of cells nobody has classified.
    counts : (places, classes) int64
        The first place is all, then the drawn regions; a cell in two regions counts in both.
    areas : (classes, bins) int64
        Histogram of areas, `AREA_BIN` square microns a bin.
    grades : (4,) int64
        Cells by mean density of DAB: negative, 1+, 2+, 3+.
    lines : tuple of TallyRow
        All cells and each class, for each place.
    palette : tuple of str
        That of `CellTable`.
    colours : mapping of str to (r, g, b)
        Of classes that came with one.
    """

    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    areas: NDArray[np.int64]
    grades: NDArray[np.int64]
    lines: tuple[TallyRow, ...]
    palette: tuple[str, ...] = ()
    colours: Mapping[str, Colour] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Cells in all."""
        return int(self.counts[0].sum())

    @property
    def ihc(self) -> IhcScore:
        """The score of an immunostain."""
        negative, weak, moderate, strong = self.grades.tolist()
        return IhcScore(sum(self.grades.tolist()), (negative, weak, moderate, strong))


def tally(store: CountStore, ground: CountRegion, thresholds: DabThresholds = QUPATH) -> Tally:
    """Add up the cells of a store, some at a time."""
    head, places = store.head, len(ground.names)
    counts = np.zeros((places, len(head.classes)), np.int64)
    areas = np.zeros((len(head.classes), AREA_BINS), np.int64)
    grades = np.zeros(4, np.int64)
    for records in store.batches():
        counts += _counts(records, ground, counts.shape)
        bins = np.minimum(records["area_um2"] // AREA_BIN, AREA_BINS - 1).astype(np.int64)
        np.add.at(areas, (records["code"], bins), 1)
        if DAB_MEAN in head.names:
            found = records["features"][:, head.names.index(DAB_MEAN)]
            known = found[~np.isnan(found)]  # as in `ihc_score`: not measured is not negative
            grades += np.bincount(thresholds.grade(known), minlength=4)
    lines: list[TallyRow] = []
    for i, place in enumerate(ground.names):
        mm2 = ground.analysed_mm2(place), ground.region_mm2(place)
        lines += class_lines(place, head.classes, counts[i], mm2)
    return Tally(head.classes, counts, areas, grades, tuple(lines), head.palette, store.colours)


def _counts(records: Records, ground: CountRegion, shape: tuple[int, ...]) -> NDArray[np.int64]:
    out = np.zeros(shape, np.int64)
    out[0] = np.bincount(records["code"], minlength=shape[1])
    if ground.regions:
        inside = ground.membership(np.stack([records["row"], records["col"]], axis=1))
        for i, here in enumerate(inside.T, start=1):
            out[i] = np.bincount(records["code"][here], minlength=shape[1])
    return out


def class_lines(
    place: str, classes: tuple[str, ...], counts: NDArray[np.int64], mm2: tuple[float, float]
) -> list[TallyRow]:
    """All cells of a place, then those of each class, from their (c,) counts and its areas.

    Cells of classes that are ignored do not count.
    """
    total = sum(int(n) for c, n in zip(classes, counts, strict=True) if not is_ignored(c))
    found = [(ALL, total)]
    if classes != (UNCLASSIFIED,):
        found += [
            (c or "unclassified", int(n))
            for c, n in zip(classes, counts, strict=True)
            if not is_ignored(c)
        ]
    return [TallyRow(place, c, n, n / total if total else float("nan"), *mm2) for c, n in found]
