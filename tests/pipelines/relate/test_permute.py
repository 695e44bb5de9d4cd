"""Permutation within blocks against all of them counted by hand, and scipy's statistics."""

from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats

from histoprompt.core.task import Task
from histoprompt.pipelines.relate import statistical_tests as tests_of
from histoprompt.pipelines.relate.permute import permuted, shuffles
from histoprompt.pipelines.relate.statistical_tests import CompleteCases, by_permutation

RNG = np.random.default_rng(3)


def part(values, y, event=None, sites=None):
    sites = np.zeros(len(y), np.intp) if sites is None else np.asarray(sites, np.intp)
    values = np.asarray(values, float).reshape(len(y), -1)
    event = np.zeros(len(y)) if event is None else event
    return CompleteCases(values, np.asarray(y, float), event, 0, sites, sites)


def test_values_change_places_within_their_block_only():
    blocks = np.array([2, 0, 1, 0, 2, 2, 1, 0])
    rows = shuffles(blocks, 500, RNG)
    assert (np.sort(rows, axis=1) == np.arange(8)).all()
    assert (blocks[rows] == blocks).all()
    # each of the three places of block 0 is taken by each of its three as often, within chance
    counts = np.bincount(rows[:, 1], minlength=8)[[1, 3, 7]]
    assert counts.min() > 120


def test_p_is_that_of_all_permutations_of_two_small_sites():
    x = np.array([1.0, 3.0, 2.0, 7.0, 9.0, 8.0, 12.0])
    y = np.array([0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0])
    sites = np.array([0, 0, 0, 1, 1, 1, 1])
    # by hand: ranks within sites (1 3 2 | 1 3 2 4), weighted by 1 / (n + 1)
    ranks = np.array([1, 3, 2, 1, 3, 2, 4]) / np.array([4, 4, 4, 5, 5, 5, 5])
    middle = 0.5

    def score(values):
        return abs(sum((r - middle) * v for r, v in zip(ranks, values, strict=True)))

    every = [score([*a, *b]) for a, b in product(permutations(y[:3]), permutations(y[3:]))]
    exact = np.mean([s >= score(y) - 1e-12 for s in every])
    assert exact == pytest.approx(1 / 9)  # 2 of 3 * 6 arrangements of yes and no
    found = by_permutation(part(x, y, sites=sites), tests_of.MANN_WHITNEY, 20_000, 1)
    assert found.p[0] == pytest.approx(exact, abs=0.008)


def test_statistics_of_one_site_are_those_of_scipy():
    x = np.round(RNG.normal(size=(30, 4)), 1)  # with ties
    y = np.round(x[:, 0] + RNG.normal(size=30), 1)
    group, three = (y > 0).astype(float), RNG.integers(0, 3, 30).astype(float)
    found = by_permutation(part(x, y), tests_of.SPEARMAN, 200, 1)
    rho = [stats.spearmanr(v, y).statistic for v in x.T]
    assert found.statistic == pytest.approx(29 * np.square(rho))
    found = by_permutation(part(x, three), tests_of.KRUSKAL, 200, 1)
    h = [stats.kruskal(*[v[three == k] for k in range(3)]).statistic for v in x.T]
    assert found.statistic == pytest.approx(h)
    assert (found.freedom == 2).all()
    found = by_permutation(part(x, group), tests_of.MANN_WHITNEY, 200, 1)
    p = [stats.mannwhitneyu(v[group > 0], v[group == 0], method="asymptotic",
                            use_continuity=False).pvalue for v in x.T]  # fmt: skip
    assert stats.chi2.sf(found.statistic, 1) == pytest.approx(p)
    found = by_permutation(part(three, group), tests_of.CHI_SQUARED, 200, 1)
    table = [[((three == k) & (group == g)).sum() for g in (0, 1)] for k in range(3)]
    assert found.statistic * 30 / 29 == pytest.approx(
        [stats.chi2_contingency(table, correction=False).statistic]
    )


def test_of_several_sites_it_is_the_test_of_cochran_mantel_and_haenszel():
    from statsmodels.stats.contingency_tables import StratifiedTable

    sites = np.repeat([0, 1, 2], [12, 20, 16])
    x, y = RNG.integers(0, 2, 48).astype(float), RNG.integers(0, 2, 48).astype(float)
    tables = [
        [[((x == a) & (y == b) & (sites == s)).sum() for b in (1, 0)] for a in (1, 0)]
        for s in range(3)
    ]
    theirs = StratifiedTable([np.array(t, float) for t in tables])
    ours = by_permutation(part(x, y, sites=sites), tests_of.FISHER, 4000, 1)
    assert ours.statistic == pytest.approx([theirs.test_null_odds(correction=False).statistic])
    effect = tests_of.FISHER.effect(part(x, y, sites=sites), ours.statistic, ours.freedom)
    assert effect.size == pytest.approx([theirs.logodds_pooled])
    assert (effect.low, effect.high) == pytest.approx(theirs.logodds_pooled_confint())


def test_one_left_out_is_the_test_of_the_rest():
    sites = np.repeat([0, 1, 2], [10, 14, 12])
    x, y = RNG.normal(size=(36, 2)), RNG.normal(size=36)
    y += x[:, 0]
    whole = by_permutation(part(x, y, sites=sites), tests_of.SPEARMAN, 20_000, 1)
    rest = sites != 1
    alone = by_permutation(part(x[rest], y[rest], sites=sites[rest]), tests_of.SPEARMAN, 20_000, 2)
    assert whole.p_left_out[1] == pytest.approx(alone.p, abs=0.015)


def test_a_small_p_gets_more_permutations_and_a_large_one_does_not():
    x = np.stack([np.arange(40.0), RNG.normal(size=40)], axis=1)
    design = tests_of.SPEARMAN.design(part(x, np.arange(40.0)))
    found = permuted(design, 200, 0.001, np.random.default_rng(1), Task())
    assert found.permutations.tolist() == [4001, 200]
    assert found.p[0] == pytest.approx(1 / 4002)


def test_nothing_to_permute_gives_no_p():
    sites = np.repeat([0, 1], 12)
    x, y = RNG.normal(size=24), sites.astype(float)
    found = by_permutation(part(x, y, sites=sites), tests_of.MANN_WHITNEY, 200, 1)
    assert np.isnan(found.p).all()
    assert found.freedom.tolist() == [0]
    found = by_permutation(part(np.ones(24), x, sites=sites), tests_of.SPEARMAN, 200, 1)
    assert np.isnan(found.p).all()


def test_the_same_seed_gives_the_same_p():
    x, y = RNG.normal(size=(30, 3)), RNG.normal(size=30)
    one, two = (by_permutation(part(x, y), tests_of.SPEARMAN, 300, 5) for _ in range(2))
    assert one.p.tolist() == two.p.tolist()
