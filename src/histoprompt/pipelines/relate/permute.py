"""Permutation tests within blocks, many features at once.

Under the null a column says nothing of a feature **within a site**. Its values may then change
places between the patients of one site, and between no others: whatever sites do to features and
whatever patients sites have stays as it is in each permutation. A statistic is a sum over blocks,
so that the same permutations also tell what is left where a site is left out.

The statistic is ``T' V+ T``: ``T`` are the sums of products of features and column, both centred in
their block, and ``V`` is their covariance over all permutations. With one site it is the statistic
of Kruskal-Wallis, of Mann-Whitney (its square), of Spearman (n - 1 times the square) and of
chi-squared (with n - 1 in place of n) by the ranks or groups that it is given; with several, that
of van Elteren and of Cochran, Mantel and Haenszel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.task import Task

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# A p that rests on fewer permutations as extreme as the data is worked out with ten times as many.
_ENOUGH = 10
_MORE = 10
_MOST = 200_000
# Numbers held at once.
_HELD = 2_000_000
# Sums of the same numbers in another order differ by this much.
_SAME = 1e-9


@dataclass(frozen=True)
class Design:
    """What is permuted against what.

    Attributes
    ----------
    x : (n, features, e) float64
        Features, centred within blocks; e numbers each (more than 1 for groups).
    y : (n, d) float64
        The column, centred within blocks.
    blocks : (n,) int
        From 0; values of y change places within them only.
    sites : (n,) int
        From 0; what is left out in turn. A block lies in one site.
    """

    x: Floats
    y: Floats
    blocks: Ints
    sites: Ints

    @property
    def features(self) -> int:
        """How many features there are."""
        return int(self.x.shape[1])


@dataclass(frozen=True)
class Permuted:
    """What came of it; all are per feature.

    Attributes
    ----------
    statistic : (features,) float64
    freedom : (features,) int
        Degrees of freedom of the statistic; 0 where there is nothing to permute.
    p : (features,) float64
        nan where there is nothing to permute.
    permutations : (features,) int
        How many p rests on.
    p_left_out : (sites, features) float64
        The p without each site; nan where nothing is left to permute.
    """

    statistic: Floats
    freedom: Ints
    p: Floats
    permutations: Ints
    p_left_out: Floats


def centred(values: Floats, blocks: Ints) -> Floats:
    """Values less the mean of their block, along the first axis."""
    out = np.array(values, np.float64)
    for block in np.unique(blocks):
        rows = blocks == block
        out[rows] -= out[rows].mean(axis=0)
    return out


def shuffles(blocks: Ints, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Permutations within blocks.

    Parameters
    ----------
    blocks : (n,) int
    count : int
    rng : Generator

    Returns
    -------
    (count, n) int
        Row i takes the value of row ``found[k, i]``, which is of the same block.
    """
    order = np.argsort(blocks, kind="stable")
    keys = rng.random((count, len(blocks))) + blocks[order]
    found = np.empty((count, len(blocks)), np.intp)
    found[:, order] = order[np.argsort(keys, axis=1)]
    return found


def permuted(
    design: Design, permutations: int, finest: float, rng: np.random.Generator, task: Task
) -> Permuted:
    """Test each feature.

    Parameters
    ----------
    design : Design
    permutations : int
        Of every feature. Those with few as extreme as the data get more (ten times as many, again
        and again), which keeps the p exact: a p that is small has been counted on the larger
        number.
    finest : float
        The smallest p that matters, such as the level over the number of tests.
    rng : Generator
    task : Task
    """
    parts = _site_parts(design)
    seen = _by_site(design.x, design.y[None], parts)[:, 0]
    whole, freedom = _whitener(design, np.unique(design.sites))
    without = _without(design, parts)
    statistic = _quadratic(seen.sum(axis=0)[None], whole)[0]
    left = np.stack([_quadratic((seen.sum(axis=0) - t)[None], w)[0] for t, (w, _) in
                     zip(seen, without, strict=True)])  # fmt: skip
    goals = [permutations]
    while goals[-1] + 1 < 4 / finest and goals[-1] < _MOST:
        goals.append(min(goals[-1] * _MORE, _MOST, int(4 / finest) + 1))
    extreme, more = np.zeros(design.features, np.intp), np.zeros(left.shape, np.intp)
    done, open_ = np.zeros(design.features, np.intp), freedom > 0
    for stage, goal in enumerate(goals):
        at = np.flatnonzero(open_)
        if not len(at):
            break
        sums = _sums(design, at, goal - (goals[stage - 1] if stage else 0), rng, task)
        for drawn in sums:
            total = drawn.sum(axis=0)
            extreme[at] += _reached(_quadratic(total, whole[at]), statistic[at])
            for s, (w, _) in enumerate(without if stage == 0 else ()):
                more[s, at] += _reached(_quadratic(total - drawn[s], w[at]), left[s, at])
        done[at] = goal
        open_ &= extreme < _ENOUGH
    p = np.where(freedom > 0, (extreme + 1) / (done + 1), np.nan)
    few = np.array([f for _, f in without])
    left_p = np.where((few > 0) & (freedom > 0), (more + 1) / (permutations + 1), np.nan)
    return Permuted(statistic, freedom, p, done, left_p)


def _site_parts(design: Design) -> list[Ints]:
    return [np.flatnonzero(design.sites == s) for s in np.unique(design.sites)]


def _by_site(x: Floats, y: Floats, parts: list[Ints]) -> Floats:
    """Sums of products per site: x (n, f, e), y (k, n, d) -> (sites, k, f, d * e)."""
    k, _, d = y.shape
    _, f, e = x.shape
    out = np.empty((len(parts), k, f, d * e))
    for s, rows in enumerate(parts):
        turned = y[:, rows].transpose(0, 2, 1).reshape(k * d, len(rows))
        sums = (turned @ x[rows].reshape(len(rows), f * e)).reshape(k, d, f, e)
        out[s] = sums.transpose(0, 2, 1, 3).reshape(k, f, d * e)
    return out


def _sums(
    design: Design, at: Ints, count: int, rng: np.random.Generator, task: Task
) -> Iterator[Floats]:
    """Of so many permutations some at a time: (sites, k, features, d * e)."""
    x, parts = design.x[:, at], _site_parts(design)
    wide = len(parts) * len(at) * x.shape[2] * design.y.shape[1]
    size = int(np.clip(_HELD // wide, 16, 2_000))
    for start in range(0, count, size):
        task.repeat()
        rows = shuffles(design.blocks, min(size, count - start), rng)
        yield _by_site(x, design.y[rows], parts)


def _whitener(design: Design, sites: Ints) -> tuple[Floats, Ints]:
    """W with ``W'W = V+`` per feature for some sites (features, D, D), and the rank of V."""
    d, e = design.y.shape[1], design.x.shape[2]
    total = np.zeros((design.features, d, e, d, e))
    for block in np.unique(design.blocks[np.isin(design.sites, sites)]):
        rows = design.blocks == block
        y, x = design.y[rows], design.x[rows]
        spread = np.einsum("nfk,nfl->fkl", x, x) / max(int(rows.sum()) - 1, 1)
        total += np.einsum("fkl,ij->fikjl", spread, y.T @ y)
    values, vectors = np.linalg.eigh(total.reshape(design.features, d * e, d * e))
    scale = np.abs(design.x).max(initial=0.0) ** 2 * np.abs(design.y).max(initial=0.0) ** 2
    floor = np.maximum(values.max(axis=1, initial=0.0, keepdims=True) * 1e-10, scale * 1e-12)
    real = values > floor
    root = np.where(real, 1 / np.sqrt(np.where(real, values, 1.0)), 0.0)
    return root[:, :, None] * vectors.transpose(0, 2, 1), real.sum(axis=1)


def _without(design: Design, parts: list[Ints]) -> list[tuple[Floats, Ints]]:
    sites = np.array([design.sites[rows[0]] for rows in parts])
    return [_whitener(design, sites[sites != site]) for site in sites]


def _quadratic(sums: Floats, whitener: Floats) -> Floats:
    """(k, features, D) and (features, D, D) -> (k, features)."""
    if sums.shape[2] == 1:
        return np.asarray((sums[:, :, 0] * whitener[:, 0, 0]) ** 2)
    turned = np.einsum("fij,kfj->kfi", whitener, sums, optimize=True)
    return np.asarray((turned**2).sum(axis=2))


def _reached(drawn: Floats, seen: Floats) -> Ints:
    """How many of (k, features) are as extreme as (features,)."""
    return np.asarray((drawn >= seen - _SAME * np.maximum(seen, 1.0)).sum(axis=0))
