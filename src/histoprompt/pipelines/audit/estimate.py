"""How far a count can be trusted: a person corrects a few fields, chance says the rest.

Fields are drawn with unequal chances (see `audit_plan`); the errors seen there are scaled up by
these (the difference estimator of C.-E. Särndal, B. Swensson and J. Wretman, *Model Assisted
Survey Sampling*, 1992, section 6.3, with Horvitz and Thompson's weights). Its variance is the usual
one for samples of fixed size with unequal chances (J. Hajek, Ann Math Stat 35 (1964) 1491), with
the jackknife's caution, used with Student's t. Nothing is assumed about segmenter or classifier:
the interval holds over the draw of the fields, however wrong the count was.

An audit should go on until it saw `FEW_CELLS` cells of a class: one that saw hardly any cannot tell
a machine that errs never from one that errs often, and has to allow for the second. Its interval
then covers more than it says, and the note says so, and how many more fields it would take.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from histoprompt.pipelines.audit.plan import AuditPlan, chances, sizes

# With fewer audited fields than this an interval would be a guess.
FEWEST_FIELDS = 5
# With fewer cells in the audited fields an interval is mostly floor (see `_half_width`).
FEW_CELLS = 25
TOTAL = "all cells"


@dataclass(frozen=True)
class Corrected:
    """A count after an audit.

    Attributes
    ----------
    name : str
        Class, or `TOTAL`.
    found : int
        What was counted by machine: of a class the cells said to be of it, of all cells every one,
        also those whose class is unsure.
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


def corrected_counts(
    plan: AuditPlan, audited: NDArray[np.integer], confidence: float = 0.95
) -> tuple[Corrected, ...]:
    """Correct each count by what was seen in the audited fields.

    Parameters
    ----------
    plan : AuditPlan
    audited : (m, c) or (m, c + 1) integer
        True counts in the first m of ``plan.chosen``: of each of the c ``plan.classes``, then of
        cells whose class stays unsure, those found if they are not given. Fewer fields than planned
        may have been done.
    confidence : float
        Of the intervals.

    Returns
    -------
    tuple of Corrected
        One per class, then `TOTAL` if there are several classes or unsure cells. Unsure cells are
        cells of the total and of no class.

    Raises
    ------
    ValueError
        If the audited counts do not fit the plan or one is negative.
    """
    m, c = len(audited), len(plan.classes)
    if audited.shape == (m, c) and m <= len(plan.chosen):
        audited = np.column_stack([audited, plan.found[plan.chosen[:m], -1]])
    if audited.shape != (m, c + 1) or not 0 < m <= len(plan.chosen):
        raise ValueError(f"{audited.shape} audited counts do not fit {len(plan.chosen):,} fields.")
    if (audited < 0).any():
        raise ValueError("A field cannot hold fewer than 0 cells.")
    found, unsure = plan.found, int(audited[:, -1].sum())
    columns = [(name, found[:, i], audited[:, i]) for i, name in enumerate(plan.classes)]
    if len(plan.columns) > 1 or unsure:
        columns.append((TOTAL, found.sum(axis=1), audited.sum(axis=1)))
    chance = chances(sizes(found), m)[plan.chosen[:m]]
    counts = (
        _corrected(name, counted, truth, order=plan.order, chance=chance, confidence=confidence)
        for name, counted, truth in columns
    )
    return tuple(c if c.name == TOTAL else _without(unsure, c) for c in counts)


def _without(unsure: int, count: Corrected) -> Corrected:
    """A count of a class, with a word on the audited cells whose class nobody knows."""
    if not unsure:
        return count
    cells = f"{unsure:,} audited cells stay" if unsure != 1 else "1 audited cell stays"
    note = f"{cells} unsure and {'are' if unsure != 1 else 'is'} in no class"
    return replace(count, note=f"{count.note}; {note}" if count.note else note)


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
        note = f"{m:,} audited fields are too few for an interval; audit {FEWEST_FIELDS} or more"
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
            f"about {more:,} more fields would do"
        )
    if met > 2 * found:
        return f"of {met} such cells {found} were found: the interval may be too narrow, count anew"
    return ""


def _half_width(error: NDArray[np.float64], chance: NDArray[np.float64], quantile: float) -> float:
    """Half the interval of the sum of errors over chances.

    Each deviation is taken from the middle of the others, as the jackknife does. Never less than
    if every error had come by itself, and half a one more than were seen: fields without any error
    do not prove that there is none elsewhere. Without that half one, audits of very rare cells
    cover 55 to 70 % when they stop at 5 or 8 fields, and 90 % when they go on (simulated slides of
    `benchmarks/bench_interval.py`). Student's quantile belongs to the spread that was estimated;
    the floor has none to estimate.
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
