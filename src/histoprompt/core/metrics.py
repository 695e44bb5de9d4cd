"""How well masks, instances and counts agree with the truth.

Empty sets: two empty masks agree fully (IoU 1); with no true and no found objects F1, PQ and AJI
are 1. F1 counts a match at IoU >= t, PQ at IoU > 0.5, as their authors do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array

Labels = NDArray[np.integer]
Float = NDArray[np.float64]


def iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks of equal shape; 1 for two empty ones."""
    union = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / union if union else 1.0


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Dice of two masks of equal shape; 1 if both are empty."""
    total = int(a.sum()) + int(b.sum())
    return float(2 * (a & b).sum() / total) if total else 1.0


@dataclass(frozen=True, eq=False)
class Overlaps:
    """How every true object overlaps every found one.

    Attributes
    ----------
    both : (n, m) float64
        Pixels in common.
    true_area, found_area : (n,), (m,) float64
        Pixels of each.
    true_ids, found_ids : (n,), (m,) int
        What each is called: objects do not stand in the order of their numbers.
    """

    both: Float
    true_area: Float
    found_area: Float
    true_ids: Labels
    found_ids: Labels

    @property
    def either(self) -> Float:
        """Pixels of each pair's union, (n, m)."""
        return np.asarray(self.true_area[:, None] + self.found_area[None] - self.both)

    @property
    def iou(self) -> Float:
        """IoU of each pair, (n, m)."""
        return np.asarray(self.both / np.maximum(self.either, 1))

    def matched(self, at_least: float = 0.0) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """One-to-one pairs of IoU >= `at_least` (> 0): as many as can be, then the best sum."""
        iou_ = self.iou
        good = (iou_ >= at_least) & (iou_ > 0)
        value = np.where(good, 1 + iou_ / (2 * max(1, min(iou_.shape))), 0.0)
        rows, cols = linear_sum_assignment(-value)
        kept = good[rows, cols]
        return rows[kept], cols[kept]


def overlaps(true: Labels, found: Labels) -> Overlaps:
    """Overlaps of two label images of equal shape; 0 is background, gaps in numbering are fine.

    Objects stand in the order of their first pixels, so that where two pairs fit equally well the
    choice between them, and with it the measure, does not depend on how objects are numbered.
    """
    true_ids, true_at, t = np.unique(true, return_index=True, return_inverse=True)
    found_ids, found_at, f = np.unique(found, return_index=True, return_inverse=True)
    ones = np.ones(t.size)
    table = coo_array(
        (ones, (t.ravel(), f.ravel())), shape=(len(true_ids), len(found_ids))
    ).toarray()
    rows, cols = _in_place(true_ids, true_at), _in_place(found_ids, found_at)
    return Overlaps(
        table[rows][:, cols],
        table.sum(1)[rows],
        table.sum(0)[cols],
        true_ids[rows],
        found_ids[cols],
    )


def _in_place(ids: Labels, first: NDArray[np.intp]) -> NDArray[np.intp]:
    """Which of sorted ids are objects, in the order of their first pixels."""
    order = np.argsort(first)
    return np.asarray(order[ids[order] > 0])


def f1(pair: Overlaps, at: float = 0.5) -> float:
    """2 TP / (2 TP + FP + FN) with matches of IoU >= `at`."""
    n, m = pair.both.shape
    return 2 * len(pair.matched(at)[0]) / (n + m) if n + m else 1.0


def panoptic_quality(pair: Overlaps) -> float:
    """Kirillov et al. 2019: sum of IoU over matches of IoU > 0.5 / (TP + FP / 2 + FN / 2)."""
    n, m = pair.both.shape
    iou_ = pair.iou
    return float(2 * iou_[iou_ > 0.5].sum() / (n + m)) if n + m else 1.0


def aji(pair: Overlaps) -> float:
    """Aggregated Jaccard index: each true object takes its best found one, used ones may repeat.

    Kumar et al., IEEE Trans Med Imaging 36, 2017. Of found ones of equal IoU the one that has more
    pixels in common is taken, then the first.
    """
    if not len(pair.true_area):
        return 0.0 if len(pair.found_area) else 1.0
    if not len(pair.found_area):
        return 0.0
    iou_ = pair.iou
    best = np.where(iou_ == iou_.max(1, keepdims=True), pair.both, -1.0).argmax(1)
    rows = np.flatnonzero(pair.both[np.arange(len(best)), best] > 0)
    return _jaccard(pair, rows, best[rows])


def aji_plus(pair: Overlaps) -> float:
    """AJI with each found object used at most once, pairs chosen for the greatest sum of IoU.

    Graham et al., Med Image Anal 58, 2019.
    """
    if not len(pair.true_area):
        return 0.0 if len(pair.found_area) else 1.0
    rows, cols = linear_sum_assignment(-pair.iou)
    hit = pair.both[rows, cols] > 0
    return _jaccard(pair, rows[hit], cols[hit])


def _jaccard(pair: Overlaps, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> float:
    missed = np.delete(pair.true_area, rows).sum() + np.delete(pair.found_area, cols).sum()
    return float(pair.both[rows, cols].sum() / (pair.either[rows, cols].sum() + missed))


@dataclass(frozen=True, slots=True)
class CountErrors:
    """Errors of counts over images.

    Attributes
    ----------
    mae : float
        Mean of absolute errors.
    mape : float
        Mean of absolute errors over the true count (at least 1).
    bias : float
        (found - true) / true over all images together, signed; 0 if nothing is true.
    """

    mae: float
    mape: float
    bias: float


def count_errors(true: Sequence[int], found: Sequence[int]) -> CountErrors:
    """Compare counts, image by image.

    Raises
    ------
    ValueError
        If the lengths differ or there are no images.
    """
    t, f = np.asarray(true, float), np.asarray(found, float)
    if t.shape != f.shape or not t.size:
        raise ValueError(f"{t.size} true and {f.size} found counts cannot be compared.")
    off = np.abs(f - t)
    bias = float((f.sum() - t.sum()) / t.sum()) if t.sum() else 0.0
    return CountErrors(float(off.mean()), float((off / np.maximum(t, 1)).mean()), bias)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Means over images; the bias over all together."""

    f1: float
    pq: float
    aji: float
    mape: float
    bias: float

    def __str__(self) -> str:
        return f"F1 {self.f1:.3f}, PQ {self.pq:.3f}, AJI {self.aji:.3f}, count {self.bias:+.1%}"


def agreement(true: Sequence[Labels], found: Sequence[Labels]) -> Agreement:
    """Compare instance labels, image by image."""
    pairs = [overlaps(t, f) for t, f in zip(true, found, strict=True)]
    counts = count_errors([len(p.true_area) for p in pairs], [len(p.found_area) for p in pairs])
    return Agreement(
        float(np.mean([f1(p) for p in pairs])),
        float(np.mean([panoptic_quality(p) for p in pairs])),
        float(np.mean([aji(p) for p in pairs])),
        counts.mape,
        counts.bias,
    )


def centre_matches(true: Float, found: Float, radius: float) -> int:
    """How many of (n, 2) true centres have their own of (m, 2) found ones within a radius."""
    if not len(true) or not len(found):
        return 0
    apart = np.linalg.norm(true[:, None] - found[None], axis=-1)
    near = apart <= radius
    rows, cols = linear_sum_assignment(np.where(near, apart - 2 * radius * len(true), 0.0))
    return int(near[rows, cols].sum())
