"""No finding where there is none, also where the outcome goes with the site."""

import numpy as np
import pytest

from simulated_studies import Made, judged, naive_q, study

STUDIES = 60
# Of 60 studies with 5 % false ones each, 9 or more in fewer than 1 of 100 runs.
MOST = 8


@pytest.mark.parametrize("kind", ["binary", "number", "survival"])
@pytest.mark.parametrize("confounded", ["some", "all"])
def test_studies_without_an_effect_have_false_findings_in_one_of_twenty(kind, confounded):
    nasty = confounded == "some"
    made = Made(kind, confounded, shift=4 if nasty else 1.5, nasty=nasty)
    found = alive = naive = 0
    for seed in range(STUDIES):
        one, column = study(made, np.random.default_rng(seed))
        judged_ones = judged(one, column, 200, seed)
        found += any(f.q <= 0.05 for f in judged_ones)
        alive += any(f.survives for f in judged_ones)
        naive += bool((naive_q(one, column) <= 0.05).any())
    assert found <= MOST
    assert alive <= MOST
    assert naive > 24  # what is guarded against is there


def test_effects_that_are_there_are_found_with_their_direction():
    for kind, effect, sign in (("binary", 1.8, 1), ("binary", -1.8, -1), ("number", 0.8, 1)):
        made = Made(kind, "some", patients=90, effect=effect)
        found = 0
        for seed in range(10):
            one, column = study(made, np.random.default_rng(seed))
            first = next(f for f in judged(one, column) if f.tested.feature == "f0")
            found += first.survives
            assert np.sign(first.tested.effect) == sign
            assert first.tested.low <= first.tested.effect <= first.tested.high
            if first.survives:
                assert sign * (first.tested.low if sign > 0 else first.tested.high) > 0
        assert found >= 7


def test_an_outcome_that_the_site_decides_has_no_p_and_says_why():
    one, column = study(Made(), np.random.default_rng(1))
    decided = type(column)("y", "binary", (one.site == 1).astype(float), ("no", "yes"))
    for f in judged(one, decided):
        assert np.isnan(f.tested.p)
        assert np.isnan(f.tested.effect)
        assert not f.survives
        assert "cannot be told apart" in f.why


def test_an_effect_of_one_site_does_not_survive():
    rng = np.random.default_rng(2)
    one, column = study(Made(patients=180), rng)
    one.values[:, 0] += np.where(one.site == 0, 6 * column.values, 0)
    first = next(f for f in judged(one, column) if f.tested.feature == "f0")
    assert first.q <= 0.05
    assert not first.survives
    assert "without the site A" in first.why
    # and where the others cannot tell at all
    alone = type(column)("y", "binary", np.where(one.site == 0, column.values, 1.0), ("no", "yes"))
    first = next(f for f in judged(one, alone) if f.tested.feature == "f0")
    assert not first.survives
    assert "rests on the site A alone" in first.why


def test_of_one_site_nothing_survives():
    one, column = study(Made(shift=0, patients=60, effect=3.0), np.random.default_rng(3))
    single = type(one)(one.patients, one.slides, np.zeros(60, np.intp), ("A",), one.scanner,
                       one.scanners, one.names, one.values)  # fmt: skip
    first = judged(single, column)[0]
    assert first.q <= 0.05
    assert not first.survives
    assert "one site" in first.why


def test_q_is_that_of_benjamini_and_hochberg_over_all_tests():
    from statsmodels.stats.multitest import multipletests

    one, column = study(Made(effect=2.0), np.random.default_rng(4))
    found = judged(one, column)
    theirs = multipletests([f.tested.p for f in found], method="fdr_bh")[1]
    assert [f.q for f in found] == pytest.approx(theirs)
