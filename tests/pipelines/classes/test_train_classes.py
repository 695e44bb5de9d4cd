"""Classes from a few labels."""

from __future__ import annotations

import numpy as np
import pytest

from cells_of_classes import NAMES, clusters, some_labels
from histoprompt.core.cell_table import UNSURE, CellTable
from histoprompt.core.errors import LabelError
from histoprompt.pipelines.classes.train import Trainer, reach, typicality
from histoprompt.pipelines.classes.train_params import TrainParams

THREE = {"tumour": 300, "stroma": 150, "lymphocyte": 60}


def share_right(fit, truth: np.ndarray, *, sure_only: bool = False) -> float:
    found = np.array(fit.cells.class_names)
    counted = found != UNSURE if sure_only else np.ones(len(found), bool)
    return float((found == truth)[counted].mean())


@pytest.mark.parametrize("method", ["logistic", "prototype", "forest"])
@pytest.mark.parametrize("each", [1, 5])
def test_a_few_labels_are_enough_for_what_is_plain(method, each):
    cells, truth = clusters(THREE)
    labels = some_labels(cells, truth, each)
    fit = Trainer(cells, TrainParams(method=method)).fit(labels)
    assert share_right(fit, truth, sure_only=True) > (0.8 if each == 1 else 0.93)
    assert fit.examples == {"lymphocyte": each, "stroma": each, "tumour": each}
    assert fit.cells.classes == ("lymphocyte", "stroma", "tumour", UNSURE)


def test_prototypes_come_first_and_regression_from_three_labels_a_class():
    cells, truth = clusters(THREE)
    methods = [
        Trainer(cells).fit(some_labels(cells, truth, each)).classifier.method for each in (1, 2, 3)
    ]
    assert methods == ["prototype", "prototype", "logistic"]


def test_more_labels_do_better_where_it_is_difficult():
    cells, truth = clusters({"a": 300, "b": 150}, apart=1.0)
    trainer = Trainer(cells, TrainParams(margin=0, percentile=100))

    def right(each: int) -> float:
        fits = [trainer.fit(some_labels(cells, truth, each, seed)) for seed in range(5)]
        return float(np.mean([share_right(fit, truth) for fit in fits]))

    assert right(1) + 0.05 < right(30)


def test_a_rare_class_is_not_swamped_by_many_labels_of_another():
    cells, truth = clusters({"common": 500, "rare": 40}, apart=2.0)
    labels = some_labels(cells, truth, 60)
    rare = [i for i in labels if labels[i] == "rare"][:4]
    labels = {i: n for i, n in labels.items() if n == "common"} | dict.fromkeys(rare, "rare")
    fit = Trainer(cells, TrainParams(margin=0, percentile=100)).fit(labels)
    found = np.array(fit.cells.class_names)
    assert (found[truth == "rare"] == "rare").mean() > 0.7


def test_labelled_cells_keep_their_label():
    cells, truth = clusters(THREE)
    labels = some_labels(cells, truth, 5)
    wrong = next(iter(labels))
    labels[wrong] = "tumour" if labels[wrong] != "tumour" else "stroma"
    fit = Trainer(cells).fit(labels)
    found = dict(zip(fit.cells.id.tolist(), fit.cells.class_names, strict=True))
    assert {i: found[i] for i in labels} == labels
    assert (fit.cells.score[np.isin(fit.cells.id, list(labels))] == 1).all()


def test_the_order_of_cells_and_of_labels_does_not_matter():
    cells, truth = clusters(THREE)
    labels = some_labels(cells, truth, 2)
    order = np.random.default_rng(1).permutation(len(cells))
    first = Trainer(cells).fit(labels).cells[order]
    second = Trainer(cells[order]).fit(dict(reversed(labels.items()))).cells
    assert first.class_names == second.class_names
    assert first.score == pytest.approx(second.score, abs=1e-4)


def test_what_lies_between_classes_is_unsure():
    cells, truth = clusters({"a": 200, "b": 200}, apart=3)
    middle = cells.features[truth == "a"].mean(0) / 2 + cells.features[truth == "b"].mean(0) / 2
    fit = Trainer(cells, TrainParams(margin=0.3)).fit(some_labels(cells, truth, 10))
    classes, code, score = fit.classifier.classify(middle[None].astype(np.float32), NAMES)
    assert classes[code[0]] == UNSURE
    assert score[0] < 0.7


def test_what_is_like_no_example_is_unsure_however_clear_its_side():
    cells, truth = clusters({"a": 200, "b": 200}, apart=3)
    fit = Trainer(cells).fit(some_labels(cells, truth, 20))
    far = cells.features[truth == "a"].mean(0) + 30 * cells.features.std(0)
    classes, code, _ = fit.classifier.classify(far[None].astype(np.float32), NAMES)
    assert classes[code[0]] == UNSURE


def test_few_of_the_cells_at_hand_are_out_of_reach():
    cells, truth = clusters(THREE)
    fit = Trainer(cells).fit(some_labels(cells, truth, 10))
    assert (fit.distance > fit.classifier.reach).mean() < 0.15


def test_reach_is_a_percentile_of_distances_to_the_nearest_other_example():
    line = np.array([[0.0], [1.0], [3.0], [6.0]], np.float32)
    assert reach(line, 100) == pytest.approx(3 * 1.25)
    assert reach(line, 50) == pytest.approx(1.5 * 1.25)
    assert reach(line[:1], 99) == float("inf")


def test_held_out_accuracy_says_what_other_cells_get():
    cells, truth = clusters({"a": 2000, "b": 2000}, apart=1.2)
    fit = Trainer(cells, TrainParams(margin=0, percentile=100)).fit(some_labels(cells, truth, 100))
    assert fit.accuracy == pytest.approx(share_right(fit, truth), abs=0.08)
    sure = fit.probability.max(axis=1)
    assert sure.mean() == pytest.approx(share_right(fit, truth), abs=0.08)


def test_labels_by_chance_make_no_sure_classifier():
    cells, truth = clusters({"a": 500, "b": 500}, apart=0)
    fit = Trainer(cells).fit(some_labels(cells, truth, 20))
    assert fit.accuracy == pytest.approx(0.5, abs=0.25)
    assert fit.probability.max(axis=1).mean() < 0.8


def test_one_label_of_a_class_leaves_the_accuracy_open():
    cells, truth = clusters(THREE)
    assert np.isnan(Trainer(cells).fit(some_labels(cells, truth, 1)).accuracy)


def test_who_labels_one_class_gets_the_others_from_beyond_the_exclusion_band():
    cells, truth = clusters({"tumour": 300, "else": 300})
    labels = {i: n for i, n in some_labels(cells, truth, 12).items() if n == "tumour"}
    fit = Trainer(cells).fit(labels)
    found = np.array(fit.cells.class_names)
    assert fit.cells.classes == ("tumour", "other", UNSURE)
    assert (found[truth == "tumour"] == "other").mean() < 0.02
    assert (found[truth == "else"] == "other").mean() > 0.8
    assert any("Only tumour" in line for line in fit.warnings)


def test_opposite_labels_of_twins_are_pointed_out():
    cells, truth = clusters(THREE)
    features = cells.features.copy()
    features[-1] = features[0]
    cells = CellTable(cells.id, cells.row, cells.col, cells.area_um2, features=features,
                      feature_names=NAMES)  # fmt: skip
    labels = some_labels(cells, truth, 3)
    twins = int(cells.id[0]), int(cells.id[-1])
    labels |= {twins[0]: "tumour", twins[1]: "lymphocyte"}
    fit = Trainer(cells).fit(labels)
    assert set(fit.alike[0].ids) == set(twins)
    assert fit.alike[0].similarity == pytest.approx(1)
    assert "look alike" in fit.warnings[0]


@pytest.mark.parametrize(
    ("labels", "classes", "says"),
    [
        ({}, (), "No cell is labelled"),
        ({101: "a", 999: "b"}, (), "999"),
        ({101: "a", 102: UNSURE}, (), UNSURE),
        ({101: "a", 102: ""}, (), "empty"),
        ({101: "a", 102: "b"}, ("b", "stroma"), "no example of stroma"),
        ({101: "other"}, (), "other"),
    ],
)
def test_labels_that_cannot_be_learnt_from_are_refused(labels, classes, says):
    cells, _ = clusters({"a": 20, "b": 20})
    with pytest.raises(LabelError, match=says):
        Trainer(cells).fit(labels, classes)


def test_a_table_without_features_is_refused():
    bare = CellTable(np.array([1, 2]), np.zeros(2), np.zeros(2), np.ones(2))
    with pytest.raises(LabelError, match="2 cells with 0 features"):
        Trainer(bare)
    cells, _ = clusters({"a": 5})
    with pytest.raises(LabelError, match="0 cells"):
        Trainer(cells[:0])


def test_what_stands_alone_is_not_typical():
    rng = np.random.default_rng(0)
    crowd, loose = rng.normal(0, 0.2, (300, 4)), rng.normal(0, 3, (20, 4))
    debris = np.full((1, 4), 30.0)
    found = typicality(np.concatenate([crowd, loose, debris]).astype(np.float32))
    assert found.max() <= 1.5
    assert np.median(found[:300]) == pytest.approx(1, abs=0.1)
    assert found[300:320].max() < np.median(found[:300])
    assert found[-1] == found.min()
    assert typicality(np.zeros((1, 4), np.float32)).shape == (1,)
