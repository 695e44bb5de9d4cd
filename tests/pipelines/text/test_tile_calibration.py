"""Marks move the threshold, then teach a probe; nothing is silent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histoprompt.core.errors import PromptError
from histoprompt.core.scores.map import Threshold
from histoprompt.pipelines.embedding.embedding_store import TileVectors
from histoprompt.pipelines.text.calibrate import (
    PROBE_FROM,
    Calibrator,
    _minimum,
    _posterior,
    _wilson_low,
)

START = Threshold(0.5, "even odds against pink; no tile was marked")


def two_kinds(n: int = 400, seed: int = 0, prior_noise: float = 1.0):
    """Tiles of two kinds that vectors tell apart well and the text only somewhat."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.4
    vectors = rng.normal(size=(n, 16)).astype(np.float32)
    vectors[:, 0] += np.where(truth, 2.5, -2.5)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    odds = np.where(truth, 0.5, -0.5) + rng.normal(scale=prior_noise, size=n)
    prior = (1 / (1 + np.exp(-odds))).astype(np.float32)
    return truth, TileVectors(vectors, np.arange(n)), prior


def some_marks(truth: np.ndarray, yes: int, no: int, seed: int = 1) -> dict[int, bool]:
    rng = np.random.default_rng(seed)
    picked = [
        *rng.permutation(np.flatnonzero(truth))[:yes],
        *rng.permutation(np.flatnonzero(~truth))[:no],
    ]
    return {int(i): bool(truth[i]) for i in picked}


def right(found, truth: np.ndarray) -> float:
    inside = found.scores >= found.threshold.value
    return float(np.mean([(inside[truth]).mean(), (~inside[~truth]).mean()]))


def test_without_marks_nothing_changes():
    _, vectors, prior = two_kinds()
    found = Calibrator(prior, vectors, START).fit({})
    assert np.array_equal(found.scores, prior)
    assert found.threshold == START
    assert "too few" in found.text


def test_the_first_mark_moves_the_threshold_and_keeps_the_order():
    _, vectors, prior = two_kinds()
    low, high = int(prior.argmin()), int(prior.argmax())
    fit = Calibrator(prior, vectors, START).fit
    yes, no = fit({low: True}), fit({high: False})
    assert yes.threshold.value < 0.5 < no.threshold.value
    assert np.array_equal(yes.scores, prior)
    assert "1 marked" in yes.threshold.origin
    assert "0.50" in yes.threshold.origin


def test_marks_that_agree_move_it_less_than_marks_that_do_not():
    _, vectors, prior = two_kinds()
    fit = Calibrator(prior, vectors, START).fit
    agrees, differs = fit({int(prior.argmax()): True}), fit({int(prior.argmin()): True})
    assert abs(agrees.threshold.value - 0.5) < abs(differs.threshold.value - 0.5)


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_the_order_of_marks_does_not_matter(answers, seed):
    _, vectors, prior = two_kinds(60)
    tiles = np.random.default_rng(seed).permutation(60)[: len(answers)].tolist()
    marks = dict(zip(tiles, answers, strict=True))
    fit = Calibrator(prior, vectors, START).fit
    one, other = fit(marks), fit(dict(reversed(marks.items())))
    assert np.array_equal(one.scores, other.scores)
    assert one.threshold == other.threshold
    assert (one.yes, one.no) == (sum(answers), len(answers) - sum(answers))
    assert ((one.scores >= 0) & (one.scores <= 1)).all()


def test_a_probe_needs_marks_of_both_kinds():
    truth, vectors, prior = two_kinds()
    fit = Calibrator(prior, vectors, START).fit
    assert np.array_equal(fit(some_marks(truth, PROBE_FROM + 2, 0)).scores, prior)
    found = fit(some_marks(truth, PROBE_FROM - 1, 1))
    assert not np.array_equal(found.scores, prior)
    assert "probe" in found.threshold.origin


def test_more_marks_tell_more_tiles_right():
    truth, vectors, prior = two_kinds(prior_noise=2.0)
    fit = Calibrator(prior, vectors, START).fit
    results = [right(fit(some_marks(truth, n, n)), truth) for n in (0, 4, 16)]
    assert results[0] < results[1] + 0.02
    assert results[2] > max(0.9, results[0] + 0.1)


def test_a_good_text_is_kept_where_marks_are_few():
    truth, vectors, _ = two_kinds()
    prior = np.where(truth, 0.95, 0.05).astype(np.float32)
    for count in range(1, 5):
        found = Calibrator(prior, vectors, START).fit(some_marks(truth, count, count))
        assert right(found, truth) > 0.97


def test_confidence_is_that_of_marks_left_out():
    truth, vectors, prior = two_kinds()
    marks = some_marks(truth, 8, 8)
    honest = Calibrator(prior, vectors, START).fit(marks)
    shuffled = dict(
        zip(marks, np.random.default_rng(0).permutation(list(marks.values())), strict=True)
    )
    wrong = Calibrator(prior, vectors, START).fit({k: bool(v) for k, v in shuffled.items()})
    assert honest.confidence > 0.85 > wrong.confidence
    assert honest.least < honest.confidence
    assert "16 marks (8 yes, 8 no)" in honest.text


def test_few_marks_promise_little():
    assert _wilson_low(1.0, 4) == pytest.approx(0.5101, abs=1e-3)
    assert _wilson_low(0.9, 1000) > 0.87
    assert _wilson_low(0.0, 5) == 0


def test_the_solution_is_where_the_gradient_vanishes():
    rng = np.random.default_rng(2)
    seen, text = rng.normal(size=(9, 4)), rng.normal(size=9)
    sign = np.where(rng.random(9) < 0.5, 1.0, -1.0)
    found = _minimum(seen, text, sign)
    columns = np.column_stack([np.ones(9), text, seen])
    expect, width = np.array([0, 1, 0, 0, 0, 0.0]), np.array([2.0, 0.5, 2, 2, 2, 2])
    value = _posterior(columns, np.zeros(9), sign, expect, width)
    assert np.abs(value(found)[1]).max() < 1e-3
    step = 1e-5 * np.eye(6)
    at = rng.normal(size=6)
    numeric = [(value(at + s)[0] - value(at - s)[0]) / 2e-5 for s in step]
    assert np.allclose(value(at)[1], numeric, atol=1e-5)


def test_doubtful_tiles_are_those_at_the_threshold():
    truth, vectors, prior = two_kinds()
    marks = some_marks(truth, 4, 4)
    found = Calibrator(prior, vectors, START).fit(marks)
    asked = found.doubtful(marks, 6)
    assert len(asked) == 6
    assert not set(asked) & set(marks)
    away = np.abs(found.scores - found.threshold.value)
    assert away[asked].max() < np.median(away)


def test_a_mark_of_no_tile_is_refused():
    _, vectors, prior = two_kinds(20)
    with pytest.raises(PromptError, match="20 tiles"):
        Calibrator(prior, vectors, START).fit({99: True})


def test_a_slide_of_one_tile_can_be_marked():
    vectors = TileVectors(np.ones((1, 3), np.float32), np.arange(1))
    found = Calibrator(np.array([0.2], np.float32), vectors, START).fit({0: True})
    assert found.threshold.value < 0.5
