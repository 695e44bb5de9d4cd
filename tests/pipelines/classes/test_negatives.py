"""Negatives: what is ignored, what counts allow for, when nothing is said, and where."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.core.cell_table import UNSURE, CellTable
from histoprompt.pipelines.classes.abstention import coverage, cuts, too_few
from histoprompt.pipelines.classes.classifier_file import read_classifier, write_classifier
from histoprompt.pipelines.classes.domain import domain_of
from histoprompt.pipelines.classes.prevalence import (
    adjusted_shares,
    class_counts,
    expected_shares,
    mistakes,
)
from histoprompt.pipelines.classes.train import Trainer
from histoprompt.pipelines.classes.train_params import TrainParams

NAMES = ("rare", "usual")


def cells_of(features):
    n = len(features)
    zero = np.zeros(n)
    names = tuple(f"f_{k}" for k in range(features.shape[1]))
    return CellTable(np.arange(1, n + 1), zero, zero, zero, features=features, feature_names=names)


def posterior(rng, counts, apart=2.0):
    """Probabilities, classes alike, of two normal classes, and the classes."""
    code = np.repeat([0, 1], counts).astype(np.int16)
    x = rng.normal(0, 1, len(code)) + np.where(code == 0, apart, 0)
    p = 1 / (1 + np.exp(-(apart * x - apart**2 / 2)))
    return np.stack([p, 1 - p], axis=1).astype(np.float32), code


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2, 0.5])
def test_counts_that_allow_for_mistakes_have_little_bias(share):
    plain, adjusted, expected, covered = [], [], [], 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        held_out, code = posterior(rng, [100, 100])
        n = 2000
        probability, _ = posterior(rng, [int(share * n), n - int(share * n)])
        found = class_counts(probability, held_out, code, NAMES)
        plain.append(found.counted[0] / n)
        adjusted.append(found.adjusted[0] / n)
        expected.append(found.expected[0] / n)
        covered += found.low[0] <= share * n <= found.high[0]
    assert abs(np.mean(adjusted) - share) < 0.04
    assert abs(np.mean(expected) - share) < 0.02
    assert covered >= 7
    if share <= 0.05:
        assert np.mean(plain) > 2 * share  # what they are for


def test_mistakes_are_taken_back_as_by_hand():
    table = np.array([[0.8, 0.2], [0.1, 0.9]])
    true = np.array([0.3, 0.7])
    assert adjusted_shares(1000 * (true @ table), table) == pytest.approx(true, abs=1e-6)
    # more of a class than mistakes alone can make of none: shares stay shares
    assert adjusted_shares(np.array([0, 1000.0]), table) == pytest.approx([0, 1], abs=1e-6)
    seen = mistakes(np.array([0, 0, 1], np.int16), np.array([0, 1, 1]), 2)
    assert seen[0] == pytest.approx([0.5, 0.5])
    assert expected_shares(np.zeros((0, 2), np.float32)) == pytest.approx([0.5, 0.5])


def test_a_class_is_ruled_out_no_more_often_than_typed():
    kept = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        held_out, code = posterior(rng, [60, 60])
        cut = cuts(held_out, code, 0.1)
        new, true = posterior(rng, [500, 500])
        kept.append([c.kept for c in coverage(new, true, NAMES, cut)])
    assert np.mean(kept, axis=0) == pytest.approx([0.9, 0.9], abs=0.03)
    assert (np.mean(kept, axis=0) > 0.885).all()


def test_with_too_few_examples_a_class_is_never_ruled_out():
    held_out, code = posterior(np.random.default_rng(0), [8, 60])
    assert too_few(code, NAMES, 0.1) == ("rare",)
    assert cuts(held_out, code, 0.1)[0] == 0


def table(seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    code = np.arange(400) % 2
    features = rng.normal(0, 1, (400, 6)) + 2.5 * code[:, None] * np.eye(6)[0] + shift
    return cells_of(features.astype(np.float32)), code


def labels_of(code, count=80):
    return {i + 1: NAMES[code[i]] for i in range(count)}


def test_a_typed_error_rate_decides_what_is_unsure(tmp_path):
    cells, code = table()
    few, many = (
        Trainer(cells, TrainParams(percentile=100, error_rate=rate)).fit(labels_of(code))
        for rate in (0.02, 0.3)
    )
    assert few.never_out == NAMES
    assert "cannot be ruled out" in few.warnings[-1]
    strict = Trainer(cells, TrainParams(percentile=100, error_rate=0.05)).fit(labels_of(code))
    assert strict.cells.counts()[UNSURE] > many.cells.counts()[UNSURE]
    write_classifier(tmp_path / "c", strict.classifier)
    read = read_classifier(tmp_path / "c")
    assert (read.cut == strict.classifier.cut).all()
    assert (read.held_out == strict.classifier.held_out).all()
    assert read.usual_far == pytest.approx(strict.classifier.usual_far)
    again, _ = table(1)
    first, second = (
        c.classify(again.features, again.feature_names)[1] for c in (read, strict.classifier)
    )
    assert (first == second).all()


def test_ignored_labels_teach_nothing_and_are_no_class_of_others():
    cells, code = table()
    labels = labels_of(code)
    plain = Trainer(cells).fit(labels)
    more = Trainer(cells).fit(labels | dict.fromkeys(range(300, 320), "Ignore*"))
    assert more.classifier.classes == plain.classifier.classes
    assert (more.classifier.model.weights == plain.classifier.model.weights).all()
    assert more.cells.counts()["Ignore*"] == more.ignored == 20


def test_a_slide_of_another_kind_is_told_before_its_classes_are_believed():
    cells, code = table()
    classifier = Trainer(cells).fit(labels_of(code)).classifier
    same, _ = table(1)
    moved, _ = table(1, shift=4.0)
    near = domain_of(classifier, same.features, same.feature_names)
    far = domain_of(classifier, moved.features, moved.feature_names)
    assert not near.outside
    assert far.outside
    assert far.shift > 1.0 > near.shift
    assert "is unlike" in str(far)


def test_ignored_cells_are_in_no_line_of_a_count():
    from histoprompt.pipelines.count.tally import class_lines

    lines = class_lines("all", ("tumour", "Ignore*", UNSURE), np.array([6, 3, 2]), (1.0, 1.0))
    assert [(line.name, line.count) for line in lines] == [("all", 8), ("tumour", 6), (UNSURE, 2)]
    assert lines[1].share == 6 / 8


def test_each_family_of_features_gets_a_score_and_the_telling_one_the_best():
    from histoprompt.pipelines.classes.feature_sets import MIX, feature_sets

    rng = np.random.default_rng(0)
    code = np.arange(60) % 2
    telling = rng.normal(0, 1, (60, 3)) + 3 * code[:, None]
    names = ("enc_0", "enc_1", "enc_2", "area", "round")
    features = np.hstack([telling, rng.normal(0, 1, (60, 2))]).astype(np.float32)
    zero = np.zeros(60)
    cells = CellTable(np.arange(1, 61), zero, zero, zero, features=features, feature_names=names)
    found = {s.name: s.score for s in feature_sets(cells, labels_of(code, 30), TrainParams())}
    assert set(found) == {"enc", "measured", MIX}
    assert found["enc"].balanced_accuracy > 0.9
    assert found["measured"].balanced_accuracy < 0.75
