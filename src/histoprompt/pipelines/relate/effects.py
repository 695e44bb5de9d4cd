"""Sizes of effects with 95 % intervals, within sites, for many features at once.

Each compares patients of one site with each other only and puts the sites together, so that what
sites do to features is no effect. With one site they are the usual ones: Spearman's correlation,
Cliff's delta (twice the area under the ROC curve less 1), Cramer's V, the odds ratio.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from histoprompt.pipelines.relate.cox import hazards
from histoprompt.pipelines.relate.permute import centred

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
_Z = 1.959963984540054
# Sums of squares below this are of values that are the same.
_NONE = 1e-12
# In a group of fewer patients the error of an area is at least that of the model of it.
_FEW = 6


@dataclass(frozen=True)
class Effect:
    """Per feature.

    Attributes
    ----------
    size, low, high : (features,) float64
        The effect and its 95 % interval; nan where there is none to estimate.
    """

    size: Floats
    low: Floats
    high: Floats


def site_ranks(values: Floats, sites: Ints) -> Floats:
    """Ranks within each site, less their mean, over the number of its patients plus 1.

    Parameters
    ----------
    values : (n, ...) float64
    sites : (n,) int

    Returns
    -------
    (n, ...) float64
        Between -0.5 and 0.5: a site with few patients and one with many have the same span.
    """
    out = np.empty(values.shape)
    for site in np.unique(sites):
        rows = sites == site
        n = int(rows.sum())
        out[rows] = stats.rankdata(values[rows], axis=0) / (n + 1) - 0.5
    return out


def telling(values: Floats, column: Floats, sites: Ints) -> Floats:
    """How many patients less one there are in the sites in which both differ, per feature.

    A site in which either is the same in all patients says nothing of how they go together.

    Parameters
    ----------
    values : (n, features) float64
    column : (n,) float64
    sites : (n,) int

    Returns
    -------
    (features,) float64
    """
    free = np.zeros(values.shape[1])
    for site in np.unique(sites):
        rows = sites == site
        if np.ptp(column[rows]) > 0:
            free += np.where(np.ptp(values[rows], axis=0) > 0, rows.sum() - 1, 0)
    return free


def cliff(values: Floats, group: Floats, sites: Ints) -> Effect:
    """How much more often a patient of group 1 has more than one of group 0, -1 to 1.

    Sites are weighted as van Elteren's test weights them, ``n1 n0 / (n + 1)``; the error is that of
    DeLong, no smaller than that of the nearest area that is not quite perfect.

    Parameters
    ----------
    values : (n, features) float64
    group : (n,) float64
        0 or 1.
    sites : (n,) int
    """
    total = np.zeros(values.shape[1])
    variance, weight = np.zeros_like(total), 0.0
    pairs = [(values[(sites == s) & (group > 0)], values[(sites == s) & (group <= 0)])
             for s in np.unique(sites)]  # fmt: skip
    pairs = [(one, none) for one, none in pairs if len(one) and len(none)]
    like = sum(_like(len(one), len(none)) for one, none in pairs)
    for one, none in pairs:
        w = len(one) * len(none) / (len(one) + len(none) + 1)
        delta, spread = _delong(one, none, like)
        total += w * delta
        variance += w**2 * spread
        weight += w
    if weight == 0:
        nothing = np.full(values.shape[1], np.nan)
        return Effect(nothing, nothing, nothing)
    delta, error = total / weight, np.sqrt(variance) / weight
    # where all say the same, half a patient is taken to say the other
    most = like / (like + 1)
    low, high = (_cliff_end(delta, error, side, most) for side in (-1, 1))
    return Effect(delta, np.minimum(low, delta), np.maximum(high, delta))


def _cliff_end(delta: Floats, error: Floats, side: int, most: float) -> Floats:
    """An end of the interval: `most` is held to towards 0 only, where it makes it wider."""
    held = np.clip(delta, -most, 1 - 1e-9) if side > 0 else np.clip(delta, 1e-9 - 1, most)
    return np.asarray(np.tanh(np.arctanh(held) + side * _Z * error / (1 - held**2)))


def _like(n1: int, n0: int) -> float:
    """The size of two groups of one size that tell as much as these."""
    return 2 * n1 * n0 / (n1 + n0)


def _delong(one: Floats, none: Floats, like: float) -> tuple[Floats, Floats]:
    n1, n0 = len(one), len(none)
    ranks = stats.rankdata(np.concatenate([one, none]), axis=0)
    above = (ranks[:n1] - stats.rankdata(one, axis=0)) / n0
    below = 1 - (ranks[n1:] - stats.rankdata(none, axis=0)) / n1
    area = above.mean(axis=0)
    spread = np.zeros_like(area)
    if n1 > 1:
        spread += above.var(axis=0, ddof=1) / n1
    if n0 > 1:
        spread += below.var(axis=0, ddof=1) / n0
    # an area of 1 in few patients does not mean an area of 1 in all
    near = (area * like + 0.5) / (like + 1)
    more = np.maximum(near, 1 - near)
    by_model = (
        more * (1 - more)
        + (n1 - 1) * (more / (2 - more) - more**2)
        + (n0 - 1) * (2 * more**2 / (1 + more) - more**2)
    ) / (n1 * n0)
    perfect = (area <= 0.5 / (n1 * n0)) | (area >= 1 - 0.5 / (n1 * n0))
    # the spread of a few says little of how far others of their group would lie apart
    few = perfect | (min(n1, n0) < _FEW)
    spread = np.where(few, np.maximum(spread, by_model), spread)
    return 2 * area - 1, 4 * spread


def explained(statistic: Floats, freedom: Ints, free: Floats) -> Effect:
    """Share of the variance of ranks that groups explain within sites (eta squared of H).

    With one site it is ``(H - k + 1) / (n - k)``. The interval is of the noncentral F distribution,
    as that of eta squared of an analysis of variance, and wider by what it varies more where groups
    are as large as they happen to be, and not of a size that somebody chose.

    Parameters
    ----------
    statistic : (features,) float64
    freedom : (features,) int
    free : (features,) float64
        Of `telling`.
    """
    rest = free - freedom
    sound = (freedom > 0) & (rest >= 1)
    rest = np.where(sound, rest, 1.0)
    share = np.clip(statistic / np.maximum(free, 1.0), 0.0, 1 - 1e-9)
    size = np.maximum(0.0, statistic - freedom) / rest
    ratio = share / (1 - share) * rest / np.maximum(freedom, 1)
    over = np.maximum(freedom, 1)
    low = _noncentral_f(ratio, over, rest, 0.975)
    # less than half of chance is no proof that there is nothing
    usual = special.fdtri(over, rest, 0.5)
    high = _noncentral_f(np.maximum(ratio, usual), over, rest, 0.025)
    size = np.minimum(size, 1 - 1e-9)
    ends = [_stretched(size, v / (v + free + 1)) for v in (low, high)]
    size, low, high = (np.where(sound, v, np.nan) for v in (size, *ends))
    return Effect(size, np.minimum(low, size), np.maximum(high, size))


def _stretched(size: Floats, end: Floats) -> Floats:
    """An end of an interval of R squared as far from it as where groups are drawn, by Fisher's z.

    The variance of R squared is ``4 r (1 - r)^2 / n`` then, not ``(4 r - 2 r^2) (1 - r)^2 / n``.
    """
    z, at = np.arctanh(np.sqrt(size)), np.arctanh(np.sqrt(np.clip(end, 0.0, 1 - 1e-9)))
    far = z + (at - z) / np.sqrt(1 - size / 2)
    return np.asarray(np.where(end > 0, np.tanh(np.maximum(far, 0.0)) ** 2, 0.0))


def cramer(statistic: Floats, freedom: Ints, free: Floats, groups: int) -> Effect:
    """Cramer's V of two sets of groups within sites, 0 to 1.

    The interval is of the noncentral chi-squared distribution.

    Parameters
    ----------
    statistic, freedom : (features,)
    free : (features,) float64
        Of `telling`.
    groups : int
        The smaller number of groups.
    """
    scale = np.maximum(free * max(groups - 1, 1), 1.0)
    low, high = _noncentral(statistic, freedom)
    size = np.sqrt(np.maximum(0.0, statistic) / scale)
    nothing = freedom < 1
    size, low, high = (
        np.where(nothing, np.nan, np.minimum(v, 1.0))
        for v in (size, np.sqrt(low / scale), np.sqrt(high / scale))
    )
    return Effect(size, np.minimum(low, size), np.maximum(high, size))


def _noncentral(statistic: Floats, freedom: Ints) -> tuple[Floats, Floats]:
    """The noncentralities of which the statistic is the upper and the lower 2.5 %.

    For the larger one it is taken to be at least the median of chance.
    """
    free = np.maximum(freedom, 1).astype(float)
    found = []
    # less than half of chance is no proof that there is nothing
    usual = np.maximum(statistic, special.chdtri(free, 0.5))
    for share, seen in ((0.975, statistic), (0.025, usual)):
        none = special.chdtr(free, seen) <= share
        with np.errstate(all="ignore"):
            value = special.chndtrinc(seen, free, share)
        found.append(np.where(none, 0.0, np.nan_to_num(value)))
    return found[0], found[1]


def _noncentral_f(ratio: Floats, over: Floats, under: Floats, share: float) -> Floats:
    """The noncentrality of which an F ratio is the quantile; by halving, it falls with it."""
    low = np.zeros(len(ratio))
    high = np.maximum(4 * over * ratio, 100.0)
    none = special.fdtr(over, under, ratio) <= share
    for _ in range(60):
        middle = (low + high) / 2
        above = special.ncfdtr(over, under, middle, ratio) > share
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(none, 0.0, (low + high) / 2)


def odds(values: Floats, group: Floats, sites: Ints) -> Effect:
    """Log odds ratio of two groups within sites: Mantel-Haenszel, error of Robins and others.

    Where one cell of all tables together is empty, half a patient is added to each.

    Parameters
    ----------
    values : (n, features) float64
        0 or 1.
    group : (n,) float64
        0 or 1.
    sites : (n,) int
    """
    found = [_log_odds(column, group, sites) for column in values.T]
    size, low, high = (np.array(v, float) for v in zip(*found, strict=True))
    return Effect(size, low, high)


def _log_odds(column: Floats, group: Floats, sites: Ints) -> tuple[float, float, float]:
    tables = []
    for site in np.unique(sites):
        rows = sites == site
        x, y = column[rows] > 0, group[rows] > 0
        tables.append([(x & y).sum(), (x & ~y).sum(), (~x & y).sum(), (~x & ~y).sum()])
    counts = np.array(tables, float)
    tells = ((counts[:, 0] + counts[:, 1]) * (counts[:, 2] + counts[:, 3]) > 0) & (
        (counts[:, 0] + counts[:, 2]) * (counts[:, 1] + counts[:, 3]) > 0
    )
    counts = counts[tells]
    if not len(counts):
        return (np.nan, np.nan, np.nan)
    n = counts.sum(axis=1)
    if not _all_sums(counts / n[:, None]):
        counts = counts + 0.5
        n = counts.sum(axis=1)
    a, b, c, d = counts.T
    r, s = a * d / n, b * c / n
    p, q = (a + d) / n, (b + c) / n
    size = np.log(r.sum() / s.sum())
    variance = (
        (p * r).sum() / (2 * r.sum() ** 2)
        + (p * s + q * r).sum() / (2 * r.sum() * s.sum())
        + (q * s).sum() / (2 * s.sum() ** 2)
    )
    wide = _Z * np.sqrt(variance)
    return size, size - wide, size + wide


def _all_sums(shares: Floats) -> bool:
    a, b, c, d = shares.T
    return bool((a * d).sum() > 0 and (b * c).sum() > 0)


def hazard(values: Floats, time: Floats, event: Floats, sites: Ints) -> Effect:
    """Log hazard ratio per unit of the values (Cox, a baseline for each site; Wald).

    Parameters
    ----------
    values : (n, features) float64
    time, event : (n,) float64
    sites : (n,) int
    """
    size, error = hazards(centred(values, sites), time, event, sites)
    return Effect(size, size - _Z * error, size + _Z * error)


def scaled(values: Floats, sites: Ints) -> Floats:
    """Less the mean of the site, over the standard deviation within sites."""
    x = centred(values, sites)
    free = max(len(x) - len(np.unique(sites)), 1)
    spread = np.sqrt((x**2).sum(axis=0) / free)
    return np.asarray(x / np.where(spread > 0, spread, 1.0))
