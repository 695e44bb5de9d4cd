"""What predicts from all features, against scikit-learn, and its cross-validation."""

import numpy as np
import pytest

from histoprompt.core.task import Task
from histoprompt.pipelines.relate.concordance import (
    OutcomeColumn,
    _score_interval,
    interval,
    scored,
)
from histoprompt.pipelines.relate.cross_validation import cross_validated, kernel_of
from histoprompt.pipelines.relate.folds import folds_of
from histoprompt.pipelines.relate.logistic import logistic
from histoprompt.pipelines.relate.many import predicted_column
from histoprompt.pipelines.relate.permute import shuffles
from histoprompt.pipelines.relate.pls import by_components, pls
from histoprompt.pipelines.relate.ridge import best_strengths, eigen, ridge
from simulated_studies import Made, study

RNG = np.random.default_rng(0)
X, Z = RNG.normal(size=(60, 15)), RNG.normal(size=(20, 15))
X -= X.mean(axis=0)
Y = X[:, :3] @ RNG.normal(size=(3, 4)) + RNG.normal(size=(60, 4))
Y -= Y.mean(axis=0)
ONE = np.zeros(60, np.intp)
KERNEL, ACROSS = X @ X.T / 15, Z @ X.T / 15


def test_components_are_those_of_scikit_learn():
    from sklearn.cross_decomposition import PLSRegression

    made = by_components(X @ X.T, Z @ X.T, Y)
    for count in (1, 2, 4):
        theirs = [PLSRegression(count, scale=False).fit(X, y).predict(Z).ravel() for y in Y.T]
        ours = made[count - 1].T
        assert ours == pytest.approx(np.array(theirs))


def test_log_odds_are_those_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    groups = (Y > 0.5).astype(float)
    made = logistic(KERNEL, ACROSS, groups, ONE)
    strengths = best_strengths(*eigen(KERNEL), groups - groups.mean(axis=0))
    for k, strength in enumerate(strengths):
        # a quarter of ridge's strength, on features over the root of their number
        model = LogisticRegression(C=4 / (strength * 15), tol=1e-10, max_iter=10_000)
        theirs = Z @ model.fit(X, groups[:, k]).coef_[0]
        assert made[:, k] == pytest.approx(theirs, abs=1e-4)


def test_ridge_is_that_of_scikit_learn_with_the_strength_of_its_own_leaving_out():
    from sklearn.linear_model import RidgeCV

    made = ridge(KERNEL, ACROSS, Y, ONE)
    scale = eigen(KERNEL)[0].mean() * 15
    for k in range(4):
        # without an intercept, as outcomes and features have no mean here
        model = RidgeCV(scale * np.array([0.1, 1, 10, 100]), fit_intercept=False).fit(X, Y[:, k])
        assert made[:, k] == pytest.approx(model.predict(Z))


@pytest.mark.parametrize("fit", [ridge, logistic, pls])
def test_a_patient_is_predicted_without_the_patients_of_its_fold(fit):
    sites, folds = np.arange(60) % 3, np.arange(60) // 3 % 5
    groups = (Y > 0).astype(float)
    kernel = kernel_of(X, sites)
    before = cross_validated(kernel, groups, sites, folds, fit)
    changed = groups.copy()
    changed[folds == 2] = 1 - changed[folds == 2]
    after = cross_validated(kernel, changed, sites, folds, fit)
    assert after[folds == 2] == pytest.approx(before[folds == 2])
    assert not np.allclose(after[folds == 1], before[folds == 1])
    # many outcomes at once are each by itself
    alone = cross_validated(kernel, groups[:, [1]], sites, folds, fit)
    assert alone[:, 0] == pytest.approx(before[:, 1])


@pytest.mark.parametrize("method", ["logistic", "PLS"])
def test_methods_find_what_is_there_and_nothing_where_nothing_is(method):
    def model(effect, kind="binary", seed=0, patients=24):
        made = Made(kind, "some", patients=patients, features=4, effect=effect)
        one, column = study(made, np.random.default_rng(seed))
        return predicted_column(one, column, blocks=one.site, folds=5, permutations=1000,
                                finest=1.0, seed=seed, task=Task(), method=method)  # fmt: skip

    found = model(2.0, patients=48)
    assert method.casefold() in found.tested.test.casefold()
    assert found.concordance > 0.75
    assert found.tested.p < 0.005
    assert found.p_by_site < 0.05
    assert found.tested.permutations >= 1000
    assert found.curve is not None
    ps = [model(0.0, seed=seed).tested.p for seed in range(3)]
    assert sum(p <= 0.05 for p in ps) <= 1
    # of a column that is not two groups, logistic regression is none
    number = model(0.6, "number")
    assert number.tested.test == {"logistic": "cross-validated ridge",
                                  "PLS": "cross-validated PLS"}[method]  # fmt: skip


def test_intervals_of_the_concordance_hold_what_such_studies_have():
    seen, ends = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        made = Made("binary", "some", patients=40, features=6, effect=1.2)
        one, column = study(made, rng)
        folds = folds_of(one.site, 5, rng)
        more = (column.values[:, None] > column.values)[None]
        kernel = kernel_of(one.values, one.site)
        asked = OutcomeColumn(
            column.values[:, None], more, kernel, one.site, one.site, folds, ridge
        )
        (score,), predicted = scored(asked, np.arange(40)[None], folds)
        chance = scored(asked, shuffles(one.site, 40, rng), folds)[0].std()
        seen.append(score)
        ends.append(interval(asked, predicted[0], score, chance, rng))
    low, high = np.array(ends).T
    assert 0.6 < np.mean(seen) < 0.9
    assert ((low <= seen) & (seen <= high)).all()
    assert np.mean((low <= np.mean(seen)) & (np.mean(seen) <= high)) >= 0.9


@pytest.mark.parametrize("patients", [20, 40])
def test_where_all_pairs_are_right_the_interval_and_p_agree(patients):
    """Perfect predictions of few patients: not certain, and not by chance."""
    rng = np.random.default_rng(patients)
    one, column = study(Made("binary", patients=patients, features=3, effect=12.0), rng)
    found = predicted_column(
        one, column, blocks=one.site, folds=5, permutations=1000, finest=0.05, seed=1, task=Task(),
    )  # fmt: skip
    assert found.concordance == 1
    assert found.tested.p <= 0.002
    # Wilson's interval of half as many patients begins at 0.72 and 0.84, the effect at 0.45
    # and 0.68; that models differ takes something off
    wilson = 2 * (patients / 2) / (patients / 2 + 1.96**2) - 1
    assert 0.1 < found.tested.low <= wilson + 1e-3
    assert found.tested.high == 1


def test_an_interval_leaves_out_a_half_where_chance_does():
    """Seen concordances by 20 patients, of which chance alone strays by 0.13."""
    seen = np.linspace(0.5, 1, 101)
    ends = [_score_interval(s, 0.01, 0.13**2, 20) for s in seen]
    low, high = np.array(ends).T
    assert ((low <= seen) & (seen <= high)).all()
    beyond = seen - 0.5 > 1.96 * 0.13
    assert ((low >= 0.5) == beyond)[np.abs(seen - 0.5 - 1.96 * 0.13) > 0.005].all()
    turned = np.array([_score_interval(1 - s, 0.01, 0.13**2, 20) for s in seen])
    assert 1 - turned[:, ::-1] == pytest.approx(np.array(ends), abs=5e-4)
