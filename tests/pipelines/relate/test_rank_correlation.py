"""Spearman's correlation where sites have few patients: its errors, and what its interval holds."""

import numpy as np
import pytest

from histoprompt.pipelines.relate.rank_correlation import (
    error_of_z,
    interval_of_rho,
    spearman,
    thinned,
)


def made(rng, patients, rho, features=10):
    """Normal values of correlation rho, in sites of so many patients, which sites shift."""
    site = np.repeat(np.arange(len(patients)), patients)
    y = rng.normal(size=len(site))
    x = rho * y[:, None] + np.sqrt(1 - rho**2) * rng.normal(size=(len(site), features))
    return x + 3 * site[:, None], y - 2 * site, site


@pytest.mark.parametrize(("patients", "r"), [(3, 0.0), (3, 0.8), (3, 0.95), (5, 0.8), (20, 0.8)])
def test_mean_and_error_of_a_site_are_those_of_drawn_patients(patients, r):
    rng = np.random.default_rng(patients)
    y = rng.normal(size=(20_000, patients))
    x = r * y + np.sqrt(1 - r**2) * rng.normal(size=y.shape)
    # by the definition of Spearman's rho without ties
    ranks = [np.argsort(np.argsort(v, axis=1), axis=1) for v in (x, y)]
    apart = ((ranks[0] - ranks[1]) ** 2).sum(axis=1)
    rho = 1 - 6 * apart / (patients * (patients**2 - 1))
    n, one = np.array([float(patients)]), np.ones(1)
    few, many = thinned(n, one)
    assert np.interp(6 / np.pi * np.arcsin(r / 2), many, few) == pytest.approx(rho.mean(), abs=0.01)
    if patients > 3:  # of fewer values no mean is taken, and nothing is free
        free = patients - 1
        mean = rho.mean()
        ours = error_of_z(np.array([mean]), n, one)[0] * (1 - mean**2) ** 2 * (free - 2) / free
        assert ours == pytest.approx(rho.var(), rel=0.25)
    else:  # twenty sites of three
        n = np.full(20, 3.0)
        mean, free = rho.mean(), 40
        ours = error_of_z(np.array([mean]), n, np.full(20, 0.05))[0]
        assert ours * (1 - mean**2) ** 2 * (free - 2) / free == pytest.approx(
            rho.var() / 20, rel=0.1
        )


@pytest.mark.parametrize("patients", [(3,) * 7, (3,) * 20, (5,) * 5, (7, 7, 6), (20,)])
@pytest.mark.parametrize("r", [0.0, 0.8, 0.95])
def test_intervals_hold_the_mean_of_studies_and_that_of_many_patients(patients, r):
    rng = np.random.default_rng(3)
    found = [spearman(*made(rng, patients, r)) for _ in range(60)]
    size, low, high = (np.array([getattr(f, e) for f in found]) for e in ("size", "low", "high"))
    for truth in (size.mean(), 6 / np.pi * np.arcsin(r / 2)):
        assert np.mean((low <= truth) & (truth <= high)) >= 0.91
    assert ((low <= size) & (size <= high) & (low < high)).all()


def test_of_one_site_of_many_it_is_that_of_bonett_and_wright():
    for rho in (-0.9, -0.3, 0.0, 0.5, 0.95):
        (low,), (high,) = interval_of_rho(np.array([rho]), np.array([200]))
        wide = 1.96 * np.sqrt((1 + rho**2 / 2) / 197)
        assert (low, high) == pytest.approx(
            np.tanh([np.arctanh(rho) - wide, np.arctanh(rho) + wide]), abs=0.012
        )


def test_all_in_order_is_not_certain():
    """Seven sites of three in order: 0.83 would be seen so in one of 20 studies, 0.5 in none."""
    (low,), (high,) = interval_of_rho(np.ones(1), np.full(7, 3))
    assert 0.6 < low < 0.83
    assert high == 1
    (less,), _ = interval_of_rho(np.ones(1), np.full(20, 3))
    assert low < less < 1
    ends = [e[0] for e in interval_of_rho(-np.ones(1), np.full(7, 3))]
    assert ends == pytest.approx([-1, -low])
    # where two patients are all there are, nothing is known
    assert [e[0] for e in interval_of_rho(np.ones(1), np.array([2, 2]))] == [-1, 1]
    x, y, site = made(np.random.default_rng(0), (2, 2, 1), 0.5)
    assert spearman(x, y, site).low.tolist() == [-1] * 10


def test_sites_of_two_differ_as_coins_do():
    rng = np.random.default_rng(1)
    found = [spearman(*made(rng, (2,) * 15, 0.5)) for _ in range(60)]
    size = np.array([f.size for f in found])
    # rho of two is 1 or -1: its mean is that of signs, its variance what is left
    assert size.mean() == pytest.approx(2 / np.pi * np.arcsin(0.5), abs=0.06)
    left = np.array([(f.low <= size.mean()) & (size.mean() <= f.high) for f in found])
    assert left.mean() >= 0.91
