"""The tests there are: what each permutes, and how it tells the size of an effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.task import Task
from histoprompt.pipelines.relate import effects
from histoprompt.pipelines.relate.cox import log_rank_residuals
from histoprompt.pipelines.relate.effects import Effect
from histoprompt.pipelines.relate.permute import Design, Permuted, centred, permuted
from histoprompt.pipelines.relate.rank_correlation import spearman

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class CompleteCases:
    """Patients who have both features and column.

    Attributes
    ----------
    values : (n, features) float64
    y, event : (n,) float64
    groups : int
        Levels of the column.
    blocks, sites : (n,) int
    """

    values: Floats
    y: Floats
    event: Floats
    groups: int
    blocks: Ints
    sites: Ints

    def rows(self, rows: NDArray[np.bool_]) -> CompleteCases:
        """Some of the patients."""
        return CompleteCases(self.values[rows], self.y[rows], self.event[rows], self.groups,
                    self.blocks[rows], self.sites[rows])  # fmt: skip


@dataclass(frozen=True)
class StatisticalTest:
    """A test.

    Attributes
    ----------
    name : str
    design : callable
        What is permuted.
    effect : callable
        Its size; takes what the permutations gave too.
    signed : bool
    """

    name: str
    design: Callable[[CompleteCases], Design]
    effect: Callable[[CompleteCases, Floats, Ints], Effect]
    signed: bool = True


def _ranks(part: CompleteCases, values: Floats) -> Floats:
    """Ranks in blocks, centred."""
    return centred(effects.site_ranks(values, part.blocks), part.blocks)


def _one_hot(codes: Floats, blocks: Ints) -> Floats:
    levels = np.unique(codes)
    return centred((codes[:, None] == levels).astype(float), blocks)


def _made(part: CompleteCases, x: Floats, y: Floats) -> Design:
    x = x[:, :, None] if x.ndim == 2 else x
    y = y[:, None] if y.ndim == 1 else y
    return Design(np.asarray(x, float), np.asarray(y, float), part.blocks, part.sites)


def _residuals(part: CompleteCases) -> Floats:
    return log_rank_residuals(part.y, part.event, part.blocks)


def _free(part: CompleteCases) -> Floats:
    return effects.telling(part.values, part.y, part.blocks)


def _turned(part: CompleteCases) -> Design:
    """Groups of features are what is permuted; values of the column are ranked."""
    return _made(part, _ranks(part, part.y[:, None]), _one_hot(part.values[:, 0], part.blocks))


def _hot_features(part: CompleteCases) -> Floats:
    return np.stack([_one_hot(part.values[:, 0], part.blocks)], axis=1)


SPEARMAN = StatisticalTest(
    "Spearman",
    lambda p: _made(p, _ranks(p, p.values), _ranks(p, p.y)),
    lambda p, _q, _f: spearman(p.values, p.y, p.blocks),
)
MANN_WHITNEY = StatisticalTest(
    "Mann-Whitney",
    lambda p: _made(p, _ranks(p, p.values), centred(p.y, p.blocks)),
    lambda p, _q, _f: effects.cliff(p.values, p.y, p.blocks),
)
MANN_WHITNEY_TURNED = StatisticalTest(
    "Mann-Whitney",
    lambda p: _made(p, _ranks(p, p.y[:, None]), centred(p.values[:, 0], p.blocks)),
    lambda p, _q, _f: effects.cliff(p.y[:, None], p.values[:, 0], p.blocks),
)
KRUSKAL = StatisticalTest(
    "Kruskal-Wallis",
    lambda p: _made(p, _ranks(p, p.values), _one_hot(p.y, p.blocks)),
    lambda p, q, f: effects.explained(q, f, _free(p)),
    signed=False,
)
KRUSKAL_TURNED = StatisticalTest("Kruskal-Wallis", _turned, KRUSKAL.effect, signed=False)
FISHER = StatisticalTest(
    "Fisher",
    lambda p: _made(p, centred(p.values, p.blocks), centred(p.y, p.blocks)),
    lambda p, _q, _f: effects.odds(p.values, p.y, p.blocks),
)
CHI_SQUARED = StatisticalTest(
    "chi-squared",
    lambda p: _made(p, _hot_features(p), _one_hot(p.y, p.blocks)),
    lambda p, q, f: effects.cramer(
        q, f, _free(p), min(len(np.unique(p.values[:, 0])), len(np.unique(p.y)))
    ),
    signed=False,
)
COX = StatisticalTest(
    "Cox",
    lambda p: _made(p, effects.scaled(p.values, p.blocks), _residuals(p)),
    lambda p, _q, _f: effects.hazard(effects.scaled(p.values, p.blocks), p.y, p.event, p.blocks),
)
COX_GROUPS = StatisticalTest(
    "Cox, two groups",
    lambda p: _made(p, centred(p.values, p.blocks), _residuals(p)),
    lambda p, _q, _f: effects.hazard(p.values, p.y, p.event, p.blocks),
)
LOG_RANK = StatisticalTest(
    "log-rank",
    lambda p: _made(p, _hot_features(p), _residuals(p)),
    lambda p, q, f: effects.explained(q, f, effects.telling(p.values, _residuals(p), p.blocks)),
    signed=False,
)

# By the kind of feature and the kind of column.
METHODS: dict[tuple[str, str], StatisticalTest] = {
    ("number", "number"): SPEARMAN,
    ("number", "ordinal"): SPEARMAN,
    ("number", "binary"): MANN_WHITNEY,
    ("number", "category"): KRUSKAL,
    ("number", "survival"): COX,
    ("binary", "number"): MANN_WHITNEY_TURNED,
    ("binary", "ordinal"): MANN_WHITNEY_TURNED,
    ("binary", "binary"): FISHER,
    ("binary", "category"): CHI_SQUARED,
    ("binary", "survival"): COX_GROUPS,
    ("category", "number"): KRUSKAL_TURNED,
    ("category", "ordinal"): KRUSKAL_TURNED,
    ("category", "binary"): CHI_SQUARED,
    ("category", "category"): CHI_SQUARED,
    ("category", "survival"): LOG_RANK,
}
# Methods that take many features at once.
WIDE = (SPEARMAN, MANN_WHITNEY, KRUSKAL, FISHER, COX, COX_GROUPS)


def kind_of_feature(values: Floats, levels: tuple[str, ...]) -> str:
    """number, binary (0 and 1 or two words) or category."""
    known = np.unique(values[np.isfinite(values)])
    if levels:
        return "binary" if len(levels) == 2 else "category"
    return "binary" if len(known) == 2 and set(known.tolist()) == {0.0, 1.0} else "number"


def by_permutation(
    part: CompleteCases, method: StatisticalTest, permutations: int, seed: int
) -> Permuted:
    """One test by itself, for those who know what they compare."""
    rng = np.random.default_rng(seed)
    return permuted(method.design(part), permutations, 1.0, rng, Task())
