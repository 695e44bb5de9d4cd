"""How far a count can be trusted: a person corrects a few fields, chance says the rest.

Fields are drawn with a chance that grows with the cells found in them, because errors do; the
errors seen there are scaled up by these chances (the difference estimator of C.-E. Särndal,
B. Swensson and J. Wretman, *Model Assisted Survey Sampling*, 1992, section 6.3, with Horvitz and
Thompson's weights). Its variance is the usual one for samples of fixed size with unequal chances
(J. Hajek, Ann Math Stat 35 (1964) 1491), with the jackknife's caution, used with Student's t.
Nothing is assumed about the segmenter or the classifier: the interval holds over the draw of the
fields, however wrong the count was. An audit that saw hardly any cells cannot tell a machine that
errs never from one that errs often, so its interval allows for the second: it then covers more
than it says, and the note says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from histoprompt.core.cell_table import UNSURE, CellTable
from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.tiling import TileGrid

# With fewer audited fields than this an interval would be a guess.
FEWEST_FIELDS = 5
# With fewer cells in the audited fields an interval is mostly floor (see `_half_width`).
FEW_CELLS = 20
TOTAL = "all cells"


@dataclass(frozen=True, eq=False)
class AuditPlan:
    """Which fields a person is to look at.

    Attributes
    ----------
    boxes : tuple of Box
        All N fields, level-0 pixels.
    classes : tuple of str
        Without `UNSURE`.
    found : (N, c + 1) int64
        Cells counted in each field, by class; the last column holds those that are unsure.
    chosen : (n,) intp
        The fields to audit, in the order to look at them.
    chance : (n,) float64
        With which each of them was to be chosen.
    """

    boxes: tuple[Box, ...]
    classes: tuple[str, ...]
    found: NDArray[np.int64]
    chosen: NDArray[np.intp]
    chance: NDArray[np.float64]


@dataclass(frozen=True)
class Corrected:
    """A count after an audit.

    Attributes
    ----------
    name : str
        Class, or `TOTAL`.
    found : int
        What was counted by machine, unsure cells left out.
    estimate : float
        What there is, by the audit; at least what was seen.
    low, high : float or None
        Ends of the interval; None where too few fields were audited.
    fields : int
        How many were audited.
    note : str
        What the reader should know; empty if nothing.
    """

    name: str
    found: int
    estimate: float
    low: float | None
    high: float | None
    fields: int
    note: str = ""

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.name}: {self.estimate:.0f} ({self.note})"
        return f"{self.name}: {self.estimate:.0f} ({self.low:.0f} to {self.high:.0f})"


def field_boxes(region: Box, side: int) -> tuple[Box, ...]:
    """Square fields that cover a region, row by row; smaller at its far edges.

    Parameters
    ----------
    region : Box
        Integer level-0 box.
    side : int
        Level-0 pixels; 100 um is a field that a person counts in a minute.
    """
    return tuple(tile.inner for tile in TileGrid(region, side, 0, region))


def plan_audit(cells: CellTable, boxes: Sequence[Box], fields: int, seed: int = 0) -> AuditPlan:
    """Draw the fields to audit.

    Parameters
    ----------
    cells : CellTable
        The count. Cells outside all fields are not part of what is corrected.
    boxes : sequence of Box
        Fields that do not overlap, such as those of `field_boxes` that hold tissue.
    fields : int
        How many to audit; 5 at least for an interval, 10 to 20 are usual.
    seed : int
        Of the draw. Do not draw again until the result pleases: then the interval is void.

    Raises
    ------
    RegionError
        If there are no fields, or not a positive number of them is asked for.
    """
    if not boxes or fields < 1:
        raise RegionError(
            f"{fields} of {len(boxes)} fields cannot be audited. Choose a region that holds "
            "tissue, and at least one field."
        )
    classes = tuple(name for name in cells.classes if name != UNSURE)
    found = _counts(cells, boxes, classes)
    size = found.sum(axis=1).astype(np.float64)
    # A field where nothing was found may hold what was missed, so it counts as an average one more.
    chance = chances(size + max(0.5, float(size.mean())), fields)
    chosen = draw(chance, np.random.default_rng(seed))
    return AuditPlan(tuple(boxes), classes, found, chosen, chance[chosen])


def corrected_counts(
    plan: AuditPlan, audited: NDArray[np.integer], confidence: float = 0.95
) -> tuple[Corrected, ...]:
    """Correct each count by what was seen in the audited fields.

    Parameters
    ----------
    plan : AuditPlan
    audited : (m, c) integer
        True counts by class in the first m of ``plan.chosen``, c as in ``plan.classes``. Fewer
        fields than planned may have been done: they are in random order.
    confidence : float
        Of the intervals.

    Returns
    -------
    tuple of Corrected
        One a class, then `TOTAL` over classes if there are several.

    Raises
    ------
    ValueError
        If the audited counts do not fit the plan or one is negative.
    """
    m = len(audited)
    if audited.shape != (m, len(plan.classes)) or not 0 < m <= len(plan.chosen):
        raise ValueError(f"{audited.shape} audited counts do not fit {len(plan.chosen)} fields.")
    if (audited < 0).any():
        raise ValueError("A field cannot hold fewer than 0 cells.")
    found = plan.found[:, :-1]
    columns = [(name, found[:, i], audited[:, i]) for i, name in enumerate(plan.classes)]
    if len(plan.classes) > 1:
        columns.append((TOTAL, found.sum(axis=1), audited.sum(axis=1)))
    # The first m of n fields in random order were chosen with m / n of their chances.
    chance = plan.chance * (m / len(plan.chosen)) if m < len(plan.chosen) else plan.chance
    return tuple(
        _corrected(
            name, counted, truth, chosen=plan.chosen[:m], chance=chance[:m], confidence=confidence
        )
        for name, counted, truth in columns
    )


def _corrected(
    name: str,
    found: NDArray[np.int64],
    truth: NDArray[np.integer],
    *,
    chosen: NDArray[np.intp],
    chance: NDArray[np.float64],
    confidence: float,
) -> Corrected:
    m, total = len(chosen), int(found.sum())
    error = (truth - found[chosen]).astype(np.float64)
    seen = float(truth.sum())
    estimate = max(seen, total + float((error / chance).sum()))
    if m == len(found):
        return Corrected(name, total, estimate, estimate, estimate, m, "every field was audited")
    if m < FEWEST_FIELDS:
        note = f"{m} audited fields are too few for an interval; audit {FEWEST_FIELDS} or more"
        return Corrected(name, total, estimate, None, None, m, note)
    low, high = _around(estimate, _half_width(error, chance, 0.5 + confidence / 2), seen)
    return Corrected(name, total, estimate, low, high, m, _caution(truth, found[chosen]))


def _caution(truth: NDArray[np.integer], found: NDArray[np.int64]) -> str:
    """What to say of an audit that saw few cells."""
    seen = int(np.maximum(truth, found).sum())
    if seen >= FEW_CELLS:
        return ""
    return f"cautious: only {seen} such cells were audited; audit more fields for a closer interval"


def _half_width(error: NDArray[np.float64], chance: NDArray[np.float64], quantile: float) -> float:
    """Half the interval of the sum of errors over chances.

    Each deviation is taken from the middle of the others, as the jackknife does. Never less than
    if every error had come by itself, and half a one more than were seen: fields without any error
    do not prove that there is none elsewhere. A lower floor would fit a good machine better, but
    cover a bad one (60 % of very rare cells missed) in 80 of 100 audits only. Student's quantile
    belongs to the spread that was estimated; the floor has none to estimate.
    """
    scaled, left = error / chance, 1 - chance
    share = left / max(float(left.sum()), 1e-12)
    middle = float((share * scaled).sum())
    spread = float((left * ((scaled - middle) / np.maximum(1 - share, 0.2)) ** 2).sum())
    single = left / chance**2
    least = float((single * np.abs(error)).sum() + single.mean() / 2)
    student = float(stats.t.ppf(quantile, len(error) - 1))
    return max(student * float(np.sqrt(spread)), float(stats.norm.ppf(quantile) * np.sqrt(least)))


def _around(estimate: float, half: float, seen: float) -> tuple[float, float]:
    """An interval that is symmetric for square roots, as suits counts; holds what was seen."""
    root = np.sqrt(max(estimate, half / 2))
    step = half / (2 * root)
    low = float((root - step) ** 2) if estimate > half / 2 else 0.0
    return max(low, seen), max(float((root + step) ** 2), seen)


def _counts(cells: CellTable, boxes: Sequence[Box], classes: tuple[str, ...]) -> NDArray[np.int64]:
    """(N, c + 1) cells of each field and class, unsure ones last."""
    place = {name: i for i, name in enumerate(classes)}
    column = np.array([place.get(name, len(classes)) for name in cells.classes])[cells.code]
    order = np.argsort(cells.row, kind="stable")
    rows, cols, column = cells.row[order], cells.col[order], column[order]
    out = np.zeros((len(boxes), len(classes) + 1), np.int64)
    for i, box in enumerate(boxes):
        # Pixel centres are whole numbers, so a box reaches half a pixel before its first one.
        first, last = np.searchsorted(rows, [box.r0 - 0.5, box.r1 - 0.5])
        inside = (cols[first:last] >= box.c0 - 0.5) & (cols[first:last] < box.c1 - 0.5)
        out[i] = np.bincount(column[first:last][inside], minlength=len(classes) + 1)
    return out


def chances(size: NDArray[np.float64], fields: int) -> NDArray[np.float64]:
    """Chances proportional to size, at most 1, with a sum of `fields`.

    Parameters
    ----------
    size : (N,) float64
        Above 0.
    fields : int
    """
    if fields >= len(size):
        return np.ones(len(size))
    sure = np.zeros(len(size), bool)
    while True:
        chance = np.where(sure, 1.0, (fields - sure.sum()) * size / size[~sure].sum())
        over = (chance > 1) & ~sure
        if not over.any():
            return chance
        sure |= over


def draw(chance: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.intp]:
    """A sample of fixed size with these (N,) chances, in random order.

    Systematic, of the fields in random order: H. Hartley and J. Rao, Ann Math Stat 33 (1962) 350.
    """
    order = rng.permutation(len(chance))
    reached = np.concatenate([[0.0], np.cumsum(chance[order])])
    steps = np.diff(np.floor(np.round(reached - rng.random(), 9)))
    return rng.permutation(order[steps > 0])
