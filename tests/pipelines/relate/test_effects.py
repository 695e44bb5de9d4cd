"""Effects and their intervals against other libraries, and against what was put in."""

import numpy as np
import pytest
from scipy import stats

from histoprompt.pipelines.relate import effects
from histoprompt.pipelines.relate.cox import hazards, log_rank_residuals
from histoprompt.pipelines.relate.rank_correlation import spearman

RNG = np.random.default_rng(8)
ONE = np.zeros(40, np.intp)


def test_spearman_is_that_of_scipy_in_one_site():
    x, y = RNG.normal(size=(40, 2)), RNG.normal(size=40)
    found = spearman(x, y, ONE)
    assert found.size == pytest.approx([stats.spearmanr(v, y).statistic for v in x.T])


def test_cliffs_delta_is_that_of_u_and_its_interval_that_of_delong():
    group = np.repeat([0.0, 1.0], [22, 18])
    x = RNG.normal(size=(40, 1)) + 0.8 * group[:, None]
    found = effects.cliff(x, group, ONE)
    one, none = x[group > 0, 0], x[group == 0, 0]
    u = stats.mannwhitneyu(one, none).statistic
    assert found.size == pytest.approx([2 * u / (22 * 18) - 1])
    above = np.array([(none < v).mean() + (none == v).mean() / 2 for v in one])
    below = np.array([(one > v).mean() + (one == v).mean() / 2 for v in none])
    error = 2 * np.sqrt(above.var(ddof=1) / 18 + below.var(ddof=1) / 22)
    wide = 1.959964 * error / (1 - found.size**2)
    assert np.arctanh(found.high) - np.arctanh(found.size) == pytest.approx(wide, rel=1e-5)


def test_perfectly_apart_still_has_an_interval():
    group = np.repeat([0.0, 1.0], 20)
    found = effects.cliff(np.arange(40.0)[:, None], group, ONE)
    assert found.size == pytest.approx([1.0])
    assert 0.5 < found.low[0] < 0.999


@pytest.mark.parametrize(("few", "many"), [(2, 28), (3, 27), (5, 25)])
@pytest.mark.parametrize("apart", [0.0, 0.8, 2.5])
def test_an_interval_of_a_rare_group_holds_what_was_put_in(few, many, apart):
    """Two patients with nearly the same value are no proof that others have it too."""
    group = np.repeat([1.0, 0.0], [few, many])
    x = np.random.default_rng(4).normal(size=(few + many, 600)) + apart * group[:, None]
    found = effects.cliff(x, group, np.zeros(few + many, np.intp))
    true = 2 * stats.norm.cdf(apart / np.sqrt(2)) - 1
    assert ((found.low <= true) & (true <= found.high)).mean() > 0.92
    assert (found.high > found.size)[found.size < 1].all()


def test_cox_is_that_of_statsmodels():
    from statsmodels.duration.hazard_regression import PHReg

    x, sites = RNG.normal(size=(80, 3)), RNG.integers(0, 3, 80)
    time = np.round(RNG.exponential(np.exp(-0.6 * x[:, 0])), 1)  # with ties
    event = (RNG.random(80) < 0.7).astype(float)
    size, error = hazards(x, time, event, sites)
    theirs = [PHReg(time, x[:, [j]], event, strata=sites, ties="efron").fit() for j in range(3)]
    assert size == pytest.approx([f.params[0] for f in theirs], abs=1e-6)
    assert error == pytest.approx([f.bse[0] for f in theirs], abs=1e-6)


def test_the_score_of_groups_is_the_log_rank_test():
    from statsmodels.duration.survfunc import survdiff

    group = RNG.integers(0, 2, 60).astype(float)
    time, event = RNG.exponential(np.exp(group)), np.ones(60)
    residuals = log_rank_residuals(time, event, np.zeros(60, np.intp))
    assert residuals.sum() == pytest.approx(0)
    chi2, _ = survdiff(time, event, group)
    # observed less expected events of a group, by the definition
    expected = sum(
        (event[time == t].sum()) * (group[time >= t].mean()) for t in np.unique(time[event > 0])
    )
    assert residuals @ group == pytest.approx((event * group).sum() - expected)
    variance = sum(group[time >= t].mean() * (1 - group[time >= t].mean()) for t in time)
    assert (residuals @ group) ** 2 / variance == pytest.approx(chi2, rel=1e-6)


def test_a_hazard_without_a_maximum_is_that_of_the_penalised_likelihood():
    from scipy.optimize import minimize_scalar
    from statsmodels.duration.hazard_regression import PHReg

    # two groups, events in one of them only, with ties
    x = np.repeat([0.0, 1.0], 10)[:, None]
    time = np.concatenate([np.full(10, 9.0), [1, 2, 2, 3, 4, 5, 5, 6, 7, 8]])
    event = np.repeat([0.0, 1.0], 10)
    size, error = hazards(x, time, event, np.zeros(20, np.intp))
    model = PHReg(time, x, event, ties="efron")

    def less_likely(b):
        information = -model.hessian(np.array([b]))[0, 0]
        return -model.loglike(np.array([b])) - np.log(information) / 2

    best = minimize_scalar(less_likely, bounds=(-2, 12), method="bounded", options={"xatol": 1e-8})
    assert size == pytest.approx([best.x], abs=1e-4)
    assert error == pytest.approx([1 / np.sqrt(-model.hessian(size)[0, 0])], rel=1e-5)
    # a feature that is the same in all has none
    size, _ = hazards(np.zeros((20, 1)), time, event, np.zeros(20, np.intp))
    assert np.isnan(size).all()


def test_shares_of_variance_and_v_are_within_their_intervals():
    q, free = np.array([0.5, 6.0, 30.0]), np.array([2, 2, 2])
    share = effects.explained(q, free, np.full(3, 59.0))
    assert share.size == pytest.approx([0.0, 4 / 57, 28 / 57])
    assert (share.low <= share.size).all()
    assert (share.size <= share.high).all()
    # the interval's ends by scipy's noncentral F: 30 of 59 is an F of 30 / 2 over 29 / 57; on
    # the scale of z they are farther off by what drawn groups add
    z = np.arctanh(np.sqrt(share.size[2]))
    for end, p in ((share.low[2], 0.975), (share.high[2], 0.025)):
        far = np.arctanh(np.sqrt(end)) - z
        near = np.tanh(z + far * np.sqrt(1 - share.size[2] / 2)) ** 2
        assert stats.ncf.cdf(15 / (29 / 57), 2, 57, 60 * near / (1 - near)) == pytest.approx(p)
    v = effects.cramer(q, free, np.full(3, 60.0), 2)
    assert v.size == pytest.approx(np.sqrt(q / 60))
    # the interval's ends by scipy's noncentral chi-squared
    assert stats.ncx2.cdf(30.0, 2, v.low[2] ** 2 * 60) == pytest.approx(0.975, abs=1e-6)
    assert stats.ncx2.cdf(30.0, 2, v.high[2] ** 2 * 60) == pytest.approx(0.025, abs=1e-6)


def test_groups_more_alike_than_chance_makes_them_still_have_an_interval():
    """A statistic of 0 is as rare as one that stands out: it does not prove an effect of 0."""
    q, free = np.array([0.0, 1e-6, 1.386]), np.array([2, 2, 2])
    v = effects.cramer(q, free, np.full(3, 60.0), 2)
    assert v.low.tolist() == [0, 0, 0]
    # that of the median of chance, by scipy's noncentral chi-squared
    assert stats.ncx2.cdf(2 * np.log(2), 2, v.high[0] ** 2 * 60) == pytest.approx(0.025, abs=1e-6)
    assert v.high == pytest.approx(np.full(3, v.high[0]), rel=1e-3)
    share = effects.explained(q, free, np.full(3, 59.0))
    assert share.low.tolist() == [0, 0, 0]
    assert (share.high > 0.08).all()
    assert share.high == pytest.approx(np.full(3, share.high[0]), rel=0.02)


def test_sites_that_cannot_tell_do_not_thin_out_an_effect():
    """A site in which the column, or the feature, is the same in all patients."""
    x, y = RNG.normal(size=(40, 1)), RNG.normal(size=40)
    y += x[:, 0]
    alone = spearman(x, y, ONE)
    sites = np.repeat([0, 1, 2], [40, 15, 15])
    more_x = np.concatenate([x, RNG.normal(size=(15, 1)), np.ones((15, 1))])
    more_y = np.concatenate([y, np.ones(15), RNG.normal(size=15)])
    for one, other in zip(_ends(alone), _ends(spearman(more_x, more_y, sites)), strict=True):
        assert other == pytest.approx(one)
    assert effects.telling(more_x, more_y, sites).tolist() == [39]


def _ends(found):
    return found.size, found.low, found.high


@pytest.mark.parametrize("sites", [1, 3])
def test_intervals_hold_the_truth_as_often_as_they_say(sites):
    """300 features at once are 300 studies: rho and delta are known for the normal distribution."""
    n, r = 60, 0.5
    at = np.arange(n) % sites
    y = RNG.normal(size=n)
    inside_delta = []
    rhos, truth = [], 6 / np.pi * np.arcsin(r / 2)
    for _ in range(60):
        y = RNG.normal(size=n)
        x = r * y[:, None] + np.sqrt(1 - r**2) * RNG.normal(size=(n, 5)) + 3 * at[:, None]
        found = spearman(x, y, at)
        rhos += ((found.low <= truth) & (truth <= found.high)).tolist()
        group = (np.arange(n) // sites % 2).astype(float)
        x = RNG.normal(size=(n, 5)) + group[:, None] + 3 * at[:, None]
        found = effects.cliff(x, group, at)
        true = 2 * stats.norm.cdf(1 / np.sqrt(2)) - 1
        inside_delta += ((found.low <= true) & (true <= found.high)).tolist()
    assert 0.91 <= np.mean(rhos) <= 0.985
    assert 0.91 <= np.mean(inside_delta) <= 0.985
