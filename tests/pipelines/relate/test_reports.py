"""Reports: negation, fields, retrieval with its null; models of all features, folds of patients."""

import numpy as np
import pytest

from histoprompt.core.errors import StudyError
from histoprompt.core.task import Task
from histoprompt.pipelines.relate.columns import ColumnFault
from histoprompt.pipelines.relate.folds import check_folds, folds_of
from histoprompt.pipelines.relate.many import predicted_column
from histoprompt.pipelines.relate.negation import marked_words, pattern_of, said
from histoprompt.pipelines.relate.retrieval import retrieved
from histoprompt.pipelines.relate.texts import field_column
from simulated_studies import Made, study

NECROSIS = [pattern_of("necro*")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("There is necrosis.", True),
        ("Extensive necrosis and mitoses.", True),
        ("No necrosis.", False),
        ("No mitoses, atypia or necrosis.", False),
        ("Without evidence of necrosis.", False),
        ("Necrosis is not seen.", False),
        ("Necrosis: absent", False),
        ("Necrosis: present", True),
        ("No mitoses but necrosis is present.", True),
        ("No mitoses. Necrosis in the centre.", True),
        ("No necrosis at the margin. Focal necrosis in the centre.", True),
        ("Necrosis cannot be excluded.", None),
        ("Not only necrosis.", True),
        ("Negative for necrosis or invasion", False),
        ("Tumour of high grade.", None),
        ("NECROTIC areas", True),
        # as pathologists write it
        ("Necrosis: -", False),
        ("Necrosis: - Mitoses: +", False),
        ("Necrosis (-)", False),
        ("Necrosis (-) Low grade", False),
        ("Necrosis (+)", True),
        ("Necrosis: 0 %", False),
        ("Necrosis: 10 %", True),
        ("Necrosis 0.5 mm", True),
        ("Necrosis-free tumour", False),
        ("Non-necrotic tissue", False),
        ("Necrosis isn't seen.", False),
        ("The tumour doesn't show necrosis.", False),
        ("We cannot identify necrosis.", False),
        ("Necrosis cannot be identified.", False),
        ("Neg. for necrosis", False),
        ("Devoid of necrosis.", False),
        ("Necrosis, not seen.", False),
        ("There are no mitoses, atypia or necrosis.", False),
        ("Mitoses, atypia and necrosis are absent.", False),
        ("No mitoses, necrosis present.", True),
        ("Without invasion, necrosis is extensive.", True),
        ("Necrosis is present, mitoses are not seen.", True),
        ("Necrosis: focal, lymphocytes: none", True),
        ("The tumour is not well differentiated and shows necrosis.", True),
        ("Invasive carcinoma of no special type, necrosis 20 %.", True),
        ("Necrosis?", None),
        ("Probable necrosis.", None),
        ("Necrosis: not assessed", None),
    ],
)
def test_what_is_denied_is_not_said(text, expected):
    assert said(text, NECROSIS) is expected


def test_words_are_whole_and_expressions_are_expressions():
    assert said("Mitosis", [pattern_of("mitosis")])
    assert said("antimitosis", [pattern_of("mitosis")]) is None
    assert said("many mitoses", [pattern_of("/mitos[ei]s/")])
    assert said("lymph  node", [pattern_of("lymph node")])
    with pytest.raises(ValueError, match="no regular expression"):
        pattern_of("/(/")
    assert marked_words("No necrosis but mitoses") == ["no", "no_necrosis", "mitoses"]


def test_a_field_that_few_have_is_left_out():
    texts = ["Necrosis."] * 2 + ["No necrosis."] * 30
    with pytest.raises(ColumnFault, match="yes of 2 and no of 30"):
        field_column("necrosis", ["necrosis"], texts, "no")
    texts = ["Necrosis."] * 12 + ["No necrosis."] * 12 + ["Tumour."] * 6 + [""] * 5
    column = field_column("necrosis", ["necrosis"], texts, "no")
    assert [int((column.values == v).sum()) for v in (0, 1)] == [18, 12]
    unknown = field_column("necrosis", ["necrosis"], texts, "unknown")
    assert int(unknown.known.sum()) == 24


def test_the_same_patient_in_two_folds_is_refused():
    check_folds(["A", "A", "B"], [0, 0, 1])
    with pytest.raises(StudyError, match="patient A is in two folds, 0 and 1"):
        check_folds(["A", "B", "A"], [0, 1, 1])
    folds = folds_of(np.repeat([0, 1, 2], 10), 5, np.random.default_rng(0))
    assert all(np.bincount(folds[s * 10 : s * 10 + 10]).tolist() == [2] * 5 for s in range(3))


def model(made, seed=0, **more):
    one, column = study(made, np.random.default_rng(seed))
    return predicted_column(one, column, blocks=one.site, folds=5, permutations=1000, finest=1.0,
                            seed=seed, task=Task(), **more)  # fmt: skip


def test_a_model_finds_what_is_there_in_sites_it_has_not_seen():
    found = model(Made("binary", "some", patients=60, effect=2.0))
    assert found.concordance > 0.75
    assert found.tested.p < 0.005
    assert found.p_by_site < 0.05
    assert found.tested.permutations >= 1000
    assert found.tested.low < found.tested.effect < found.tested.high
    assert found.curve is not None
    assert found.curve.sizes[-1] == 60


def test_a_model_of_the_site_alone_is_worth_nothing():
    # the outcome goes with the site, the features tell the site, and nothing else is there
    ps = [model(Made("binary", "some", patients=40), seed).tested.p for seed in range(8)]
    assert sum(p <= 0.05 for p in ps) <= 2
    scores = [model(Made("number", "all", patients=40), seed).concordance for seed in range(4)]
    assert np.mean(scores) < 0.6


def test_a_model_is_refused_below_20_patients():
    assert model(Made(patients=18)) is None


def reports(one, effect):
    """What a report says goes with the second feature, less its site's mean, or with nothing."""
    x = one.values[:, 1].copy()
    for s in range(3):
        x[one.site == s] -= x[one.site == s].mean()
    rng = np.random.default_rng(1)
    x = effect * x + rng.normal(size=len(x)) * (1 if effect == 0 else 0.2)
    return ["Necrosis with many mitoses." if v > 0 else "Inflammation, no necrosis." for v in x]


def test_reports_and_images_of_a_patient_find_each_other_only_if_they_belong_together():
    one, _ = study(Made(patients=60), np.random.default_rng(3))
    how = {"blocks": one.site, "folds": 5, "permutations": 1000, "seed": 1, "task": Task()}
    found = retrieved(one, reports(one, 1.0), **how)
    assert [t.p < 0.01 for t in found.tested] == [True, True]
    assert all(t.effect > 0.1 for t in found.tested)
    none = retrieved(one, reports(one, 0.0), **how)
    assert all(t.p > 0.02 for t in none.tested)
    assert retrieved(one, ["The same."] * 60, **how) is None
