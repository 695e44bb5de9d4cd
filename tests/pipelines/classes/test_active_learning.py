"""The next cell to look at, and when to stop."""

from __future__ import annotations

import numpy as np
import pytest

from cells_of_classes import clusters, some_labels
from histoprompt.pipelines.classes.active_learning import (
    ACCEPT,
    REJECT,
    UNSURE_KEY,
    CurvePoint,
    Review,
    next_cell,
    stop_hint,
)
from histoprompt.pipelines.classes.classifiers import margins
from histoprompt.pipelines.classes.train import Trainer

THREE = {"tumour": 200, "stroma": 100, "lymphocyte": 60}


def started(each=3, apart=2.0):
    cells, truth = clusters(THREE, apart=apart)
    review = Review(labels=some_labels(cells, truth, each))
    trainer = Trainer(cells)
    return trainer, review, trainer.fit(review.labels), truth


def test_the_cell_offered_is_one_the_classifier_is_torn_about():
    trainer, review, fit, _ = started()
    offered = next_cell(fit, review)
    row = trainer.rows(np.array([offered.id]))[0]
    assert margins(fit.probability)[row] < np.percentile(margins(fit.probability), 20)
    assert offered.proposed == fit.classifier.classes[fit.probability[row].argmax()]
    assert (offered.row, offered.col) == (fit.cells.row[row], fit.cells.col[row])
    assert offered.why


def test_answers_become_labels():
    _, review, fit, _ = started()
    classes = fit.classifier.classes
    offered = next_cell(fit, review)
    assert review.answered(offered, ACCEPT, classes).labels[offered.id] == offered.proposed
    told = review.answered(offered, UNSURE_KEY, classes)
    assert offered.id in told.unsure
    assert offered.id not in told.labels
    assert told.labelled(offered.id, "stroma").unsure == frozenset()
    with pytest.raises(ValueError, match="'x'"):
        review.answered(offered, "x", classes)


def test_a_rejected_cell_comes_again_with_the_next_class_until_one_is_left():
    _, review, fit, _ = started()
    classes = fit.classifier.classes
    first = next_cell(fit, review)
    review = review.answered(first, REJECT, classes)
    assert first.id not in review.labels
    second = next_cell(fit, review)
    while second.id != first.id:
        review = review.answered(second, UNSURE_KEY, classes)
        second = next_cell(fit, review)
    assert second.proposed != first.proposed
    review = review.answered(second, REJECT, classes)
    (left,) = set(classes) - {first.proposed, second.proposed}
    assert review.labels[first.id] == left
    assert first.id not in review.rejected


def test_no_cell_is_offered_twice_and_the_queue_ends():
    cells, truth = clusters({"a": 12, "b": 12})
    review = Review(labels=some_labels(cells, truth, 2))
    fit = Trainer(cells).fit(review.labels)
    seen = set(review.labels)
    for i in range(20):
        offered = next_cell(fit, review)
        assert offered.id not in seen
        seen.add(offered.id)
        review = review.answered(offered, "aru"[i % 3], fit.classifier.classes)
    assert next_cell(fit, review) is None


def test_the_rarer_class_is_asked_for_first():
    cells, truth = clusters({"a": 200, "b": 200}, apart=1.0)
    labels = some_labels(cells, truth, 20)
    few = [i for i in labels if labels[i] == "b"][4:]
    review = Review(labels={i: n for i, n in labels.items() if i not in few})
    fit = Trainer(cells).fit(review.labels)
    offered = []
    for _ in range(10):
        offered.append(next_cell(fit, review))
        review = review.answered(offered[-1], UNSURE_KEY, fit.classifier.classes)
    assert sum(s.proposed == "b" for s in offered) >= 8


def test_what_was_said_can_be_taken_back():
    review = Review().labelled(4, "a").labelled(4, "b").labelled(5, "a")
    assert review.labels == {4: "b", 5: "a"}
    assert review.forgotten(4).labels == {5: "a"}


def test_the_curve_follows_the_labels():
    trainer, review, fit, truth = started(each=2)
    review = review.measured(fit, None)
    assert np.isnan(review.curve[0].changed)
    more = review.labelled(int(trainer.cells.id[0]), str(truth[0]))
    again = trainer.fit(more.labels)
    more = more.measured(again, fit)
    assert [p.labels for p in more.curve] == [len(review.labels), len(more.labels)]
    assert more.curve[1].changed == np.mean(again.cells.code != fit.cells.code)
    assert more.curve[1].accuracy == again.accuracy
    other = trainer.fit({**more.labels, int(trainer.cells.id[1]): "new"})
    assert more.measured(other, again).curve[-1].changed == 1


def points(*, accuracy=0.9, changed=0.001, fewest=9, count=6):
    return tuple(CurvePoint(10 + i, accuracy, changed, fewest) for i in range(count))


def test_one_may_stop_when_labels_change_nothing():
    assert "90%" in stop_hint(Review(curve=points()))


@pytest.mark.parametrize(
    "curve",
    [
        (),
        points(count=5),
        points(fewest=4),
        points(changed=0.2),
        points(accuracy=float("nan")),
        (*points(accuracy=0.7), *points(accuracy=0.8, count=4)),
        (*points(), CurvePoint(17, 0.9, float("nan"), 9)),
    ],
)
def test_one_goes_on_while_labels_help_or_are_too_few(curve):
    assert stop_hint(Review(curve=curve)) is None


def test_in_a_round_of_hard_negatives_look_alikes_of_the_class_are_offered():
    trainer, review, fit, _ = started()
    seen = []
    for key in (REJECT, ACCEPT, UNSURE_KEY, REJECT):
        offered = next_cell(fit, review, like="tumour")
        assert offered.proposed == "tumour"
        assert "most like your tumour" in offered.why
        assert offered.id not in seen
        seen.append(offered.id)
        review = review.answered(offered, key, fit.classifier.classes)
    column = fit.classifier.classes.index("tumour")
    rows = trainer.rows(np.array(seen))
    assert (fit.probability[rows, column] > np.percentile(fit.probability[:, column], 50)).all()
    assert next_cell(fit, review, like="no such class").why != "most like your tumour: is it one?"
