"""How far a count can be trusted: a person corrects a few fields, chance says the rest.

Fields are drawn with a chance that grows with the cells found in them, because errors do; the
errors seen there are scaled up by these chances (the difference estimator of C.-E. Särndal,
B. Swensson and J. Wretman, *Model Assisted Survey Sampling*, 1992, section 6.3, with Horvitz and
Thompson's weights). Its variance is the usual one for samples of fixed size with unequal chances
(J. Hajek, Ann Math Stat 35 (1964) 1491), with the jackknife's caution, used with Student's t.
Nothing is assumed about the segmenter or the classifier: the interval holds over the draw of the
fields, however wrong the count was.

Chance puts all fields into one order, and any number of the first are a sample (sequential Poisson
sampling, E. Ohlsson, J Off Stat 14 (1998) 149), so an audit can go on with more fields. It should
until it saw `FEW_CELLS` cells of a class: one that saw hardly any cannot tell a machine that errs
never from one that errs often, and has to allow for the second. Its interval then covers more than
it says, and the note says so, and how many more fields it would take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
FEW_CELLS = 25
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
    order : (N,) intp
        All fields, in the order to look at them.
    fields : int
        How many of them are to be audited for now.
    """

    boxes: tuple[Box, ...]
    classes: tuple[str, ...]
    found: NDArray[np.int64]
    order: NDArray[np.intp]
    fields: int

    @property
    def chosen(self) -> NDArray[np.intp]:
        """The fields to audit for now, in the order to look at them."""
        return self.order[: self.fields]

    def longer(self, fields: int) -> AuditPlan:
        """With so many more fields of the same draw, as far as there are any."""
        return replace(self, fields=min(self.fields + fields, len(self.order)))


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
    more : int
        Fields to audit beside these for an interval that is not cautious, by what was counted in
        them; 0 if none are needed.
    """

    name: str
    found: int
    estimate: float
    low: float | None
    high: float | None
    fields: int
    note: str = ""
    more: int = 0

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
    order = field_order(sizes(found), np.random.default_rng(seed))
    return AuditPlan(tuple(boxes), classes, found, order, min(fields, len(boxes)))


def corrected_counts(
    plan: AuditPlan, audited: NDArray[np.integer], confidence: float = 0.95
) -> tuple[Corrected, ...]:
    """Correct each count by what was seen in the audited fields.

    Parameters
    ----------
    plan : AuditPlan
    audited : (m, c) integer
        True counts by class in the first m of ``plan.chosen``, c as in ``plan.classes``. Fewer
        fields than planned may have been done.
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
    chance = chances(sizes(plan.found), m)[plan.chosen[:m]]
    return tuple(
        _corrected(name, counted, truth, order=plan.order, chance=chance, confidence=confidence)
        for name, counted, truth in columns
    )


def _corrected(
    name: str,
    found: NDArray[np.int64],
    truth: NDArray[np.integer],
    *,
    order: NDArray[np.intp],
    chance: NDArray[np.float64],
    confidence: float,
) -> Corrected:
    m, total = len(truth), int(found.sum())
    here = found[order[:m]]
    error = (truth - here).astype(np.float64)
    seen = float(truth.sum())
    estimate = max(seen, total + float((error / chance).sum()))
    if m == len(found):
        return Corrected(name, total, estimate, estimate, estimate, m, "every field was audited")
    if m < FEWEST_FIELDS:
        note = f"{m} audited fields are too few for an interval; audit {FEWEST_FIELDS} or more"
        return Corrected(name, total, estimate, None, None, m, note, FEWEST_FIELDS - m)
    low, high = _around(estimate, _half_width(error, chance, 0.5 + confidence / 2), seen)
    met = np.maximum(truth, here)
    more = _fields_to_go(int(met.sum()), found[order[m:]] * (met.sum() / max(1, here.sum())))
    note = _caution(int(met.sum()), int(here.sum()), more, confidence)
    return Corrected(name, total, estimate, low, high, m, note, more)


def _fields_to_go(met: int, ahead: NDArray[np.float64]) -> int:
    """How many of the fields ahead show `FEW_CELLS` cells with those met; all if they do not."""
    if met >= FEW_CELLS:
        return 0
    reached = met + np.cumsum(ahead) >= FEW_CELLS
    return int(reached.argmax()) + 1 if reached.any() else len(ahead)


def _caution(met: int, found: int, more: int, confidence: float) -> str:
    """What to say of an audit that met few cells, or a count that missed most of them."""
    if more:
        return (
            f"cautious, at least {100 * confidence:.0f} %: only {met} such cells were audited; "
            f"about {more} more fields would do"
        )
    if met > 2 * found:
        return f"of {met} such cells {found} were found: the interval may be too narrow, count anew"
    return ""


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
    """An interval that is symmetric for logarithms; holds what was seen.

    Where cells cluster, most audits miss the richest spots and see too few: an interval has to
    reach further up than down, as in S. Buckland et al., *Introduction to Distance Sampling*, 2001,
    section 3.6. An estimate below half the width goes up by as much as one equal to it, so that an
    estimate of 0 has an upper end too.
    """
    if estimate <= 0:
        return seen, max(np.expm1(1.0) * half, seen)
    up = estimate * np.expm1(half / estimate) if estimate > half else np.expm1(1.0) * half
    return max(estimate * float(np.exp(-half / estimate)), seen), max(estimate + float(up), seen)


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


def sizes(found: NDArray[np.int64]) -> NDArray[np.float64]:
    """What the chances of fields with these (N, c) counts are proportional to, (N,) and above 0.

    A field where nothing was found may hold what was missed, so it counts as an average one more.
    """
    size = found.sum(axis=1).astype(np.float64)
    return np.asarray(size + max(0.5, float(size.mean())))


def field_order(size: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.intp]:
    """All fields in an order whose first m are a sample with `chances` of (N,) sizes, for any m."""
    return np.asarray(np.argsort(rng.random(len(size)) / size))
