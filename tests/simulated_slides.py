"""Slides with clustered cells, a machine that misses some and makes some up, and their audit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from histoprompt.pipelines.audit.estimate import Corrected, corrected_counts
from histoprompt.pipelines.audit.plan import AuditPlan, field_order, sizes


@dataclass(frozen=True)
class Tissue:
    """What a slide and its count are like.

    Attributes
    ----------
    mean : float
        Cells of a field.
    clustering : float
        Standard deviation of the logarithm of their density between regions.
    missed, made_up : float
        Typical share of cells that are missed, and of false ones; both vary between regions.
    """

    mean: float
    clustering: float
    missed: float
    made_up: float


def simulate(tissue: Tissue, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """True and found cells of each field, two (N,) arrays; N varies between 100 and 400."""
    side = int(rng.integers(10, 21))
    density = np.exp(tissue.clustering * _regions(side, rng) - tissue.clustering**2 / 2)
    true = rng.poisson(tissue.mean * density * rng.gamma(4, 1 / 4, (side, side)))
    quality = np.exp(0.6 * _regions(side, rng))
    found = rng.binomial(true, 1 - np.clip(tissue.missed * quality, 0, 0.9))
    false = tissue.made_up * tissue.mean * 0.7 / quality * rng.gamma(1, 1, (side, side))
    return true.ravel(), (found + rng.poisson(false)).ravel()


def _regions(side: int, rng: np.random.Generator) -> NDArray:
    """A smooth field of mean about 0 and deviation 1."""
    field = ndi.gaussian_filter(rng.normal(size=(side, side)), 2, mode="wrap")
    return field / field.std()


def planned(found: NDArray, fields: int, rng: np.random.Generator) -> AuditPlan:
    """A plan for fields with these (N,) counts of one class, as `plan_audit` makes it."""
    counts = np.stack([found, np.zeros_like(found)], axis=1)
    return AuditPlan((), ("a",), counts, field_order(sizes(counts), rng), fields)


def audited(plan: AuditPlan, true: NDArray) -> Corrected:
    """The count of one class after all fields of its plan were audited; `true` is (N,)."""
    (count,) = corrected_counts(plan, true[plan.chosen][:, None])
    return count


def gone_on(plan: AuditPlan, true: NDArray) -> Corrected:
    """As `audited`, with more fields, at most twice as many at a time, while it is cautious."""
    count = audited(plan, true)
    while count.more:
        plan = plan.longer(min(count.more, plan.fields))
        count = audited(plan, true)
    return count
