"""Counts with intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoprompt.core.cell_table import UNSURE, CellTable
from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box
from histoprompt.pipelines.audit.estimate import TOTAL, corrected_counts
from histoprompt.pipelines.audit.plan import (
    AuditPlan,
    chances,
    field_boxes,
    field_order,
    plan_audit,
    sizes,
)
from simulated_slides import Tissue, audited, gone_on, planned, simulate


def cells_at(places, code=None, classes=("a", "b", UNSURE)) -> CellTable:
    places = np.asarray(places, float).reshape(-1, 2)
    n = len(places)
    code = np.zeros(n, np.int16) if code is None else np.asarray(code, np.int16)
    return CellTable(
        np.arange(1, n + 1), places[:, 0], places[:, 1], np.ones(n), classes=classes, code=code
    )


def scattered(n=2000, side=1000, seed=0) -> CellTable:
    rng = np.random.default_rng(seed)
    return cells_at(rng.uniform(0, side - 1, (n, 2)), rng.choice([0, 0, 0, 1, 2], n))


@pytest.mark.parametrize(
    "tissue",
    [Tissue(40, 0.6, 0.15, 0.1), Tissue(8, 0.9, 0.2, 0.1), Tissue(25, 1.3, 0.2, 0.15)],
    ids=["dense", "sparse", "clustered"],
)
@pytest.mark.parametrize("fields", [5, 12, 30])
def test_intervals_cover_what_they_say(tissue, fields):
    """500 slides: 95 % has a standard error of 1 %, so 93 to 97 is two of them either way."""
    rng = np.random.default_rng(fields)
    hits, biases = [], []
    for _ in range(500):
        true, found = simulate(tissue, rng)
        plan = planned(found, fields, rng)
        count = audited(plan, true)
        hits.append(count.low <= true.sum() <= count.high)
        biases.append(count.estimate / true.sum() - 1)
    assert 0.925 <= np.mean(hits) <= 0.975
    assert abs(np.mean(biases)) < 4 * np.std(biases) / np.sqrt(len(biases)) + 0.005


@pytest.mark.parametrize(("missed", "made_up"), [(0.2, 0.2), (0.6, 0.1)])
@pytest.mark.parametrize("fields", [5, 15])
def test_audits_of_rare_cells_go_on_until_their_intervals_cover_what_they_say(
    fields, missed, made_up
):
    """Stopped early the interval is cautious: it covers a machine that errs often all the same."""
    rng = np.random.default_rng(fields)
    early, hits, said = [], [], []
    for _ in range(2000):
        true, found = simulate(Tissue(0.3, 1.0, missed, made_up), rng)
        plan = planned(found, fields, rng)
        count = audited(plan, true)
        early.append(count.low <= true.sum() <= count.high)
        said.append("cautious, at least 95 %" in count.note)
        assert (count.more > 0) == said[-1]
        end = gone_on(plan, true)
        hits.append(end.low <= true.sum() <= end.high)
    assert np.mean(early) >= 0.93
    assert np.mean(said) > 0.5
    assert 0.925 <= np.mean(hits) <= 0.975


def test_cells_that_are_not_rare_are_covered_as_often_as_the_interval_says():
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(500):
        true, found = simulate(Tissue(1, 1.2, 0.2, 0.2), rng)
        plan = planned(found, 15, rng)
        count = audited(plan, true)
        hits.append(count.low <= true.sum() <= count.high)
    assert 0.925 <= np.mean(hits) <= 0.975


def test_more_fields_give_narrower_intervals():
    rng = np.random.default_rng(0)
    true, found = simulate(Tissue(40, 0.6, 0.15, 0.1), rng)
    width = []
    for fields in (6, 12, 24, 48):
        plans = [planned(found, fields, rng) for _ in range(20)]
        counts = [audited(p, true) for p in plans]
        width.append(np.mean([c.high - c.low for c in counts]))
    assert (np.diff(width) < 0).all()


@given(st.integers(1, 60), st.integers(1, 40), st.integers(0, 999))
def test_chances_sum_to_the_fields_and_the_order_holds_each_field_once(n, fields, seed):
    rng = np.random.default_rng(seed)
    size = rng.gamma(0.5, 10, n) + 0.5
    chance = chances(size, fields)
    assert chance.sum() == pytest.approx(min(fields, n))
    assert ((chance > 0) & (chance <= 1)).all()
    assert sorted(field_order(size, rng)) == list(range(n))


@pytest.mark.parametrize("fields", [2, 5])
def test_the_first_fields_are_drawn_as_often_as_their_chances_say(fields):
    size = np.arange(1.0, 31)
    chance = chances(size, fields)
    rng = np.random.default_rng(0)
    first = np.concatenate([field_order(size, rng)[:fields] for _ in range(8000)])
    drawn = np.bincount(first, minlength=30) / 8000
    assert drawn == pytest.approx(chance, abs=0.02)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 99))
def test_a_longer_audit_begins_with_the_fields_of_the_shorter(fields, more, seed):
    plan = plan_audit(scattered(200), field_boxes(Box(0, 0, 1000, 1000), 200), fields, seed)
    longer = plan.longer(more)
    assert longer.fields == min(25, min(25, fields) + more) == len(set(longer.chosen.tolist()))
    assert (longer.chosen[: plan.fields] == plan.chosen).all()


def test_how_many_more_fields_it_takes_follows_from_what_was_counted_there():
    found = np.tile([[2, 0]], (40, 1))
    plan = AuditPlan((), ("a",), found, np.arange(40), 5)
    (count,) = corrected_counts(plan, np.full((5, 1), 2))
    assert count.more == 8
    assert "only 10 such cells" in count.note
    assert "about 8 more fields" in count.note
    (missed,) = corrected_counts(plan, np.full((5, 1), 4))
    assert missed.more == 2
    (enough,) = corrected_counts(plan.longer(8), np.full((13, 1), 2))
    assert (enough.more, enough.note) == (0, "")
    (none,) = corrected_counts(plan, np.full((5, 1), 0))
    assert none.more == 8
    (worse,) = corrected_counts(plan.longer(8), np.full((13, 1), 6))
    assert "of 78 such cells 26 were found" in worse.note
    nothing = AuditPlan((), ("a",), found * 0, np.arange(40), 5)
    assert corrected_counts(nothing, np.full((5, 1), 0))[0].more == 35


def test_every_cell_is_counted_in_one_field():
    cells = scattered()
    boxes = field_boxes(Box(0, 0, 1000, 1000), 130)
    assert len(boxes) == 64
    plan = plan_audit(cells, boxes, 10)
    assert plan.classes == ("a", "b")
    assert plan.found.sum(axis=0).tolist() == [cells.counts()[n] for n in ("a", "b", UNSURE)]
    edge = cells_at([(9.4, 0), (9.5, 0)])
    found = plan_audit(edge, field_boxes(Box(0, 0, 20, 10), 10), 1).found
    assert found[:, 0].tolist() == [1, 1]


def test_the_draw_is_repeatable_and_prefers_fields_with_cells():
    cells = scattered()
    cells = cells[(cells.row < 300) | (np.arange(len(cells)) % 10 == 0)]
    boxes = field_boxes(Box(0, 0, 1000, 1000), 100)
    assert (plan_audit(cells, boxes, 8, 3).chosen == plan_audit(cells, boxes, 8, 3).chosen).all()
    drawn = np.concatenate([plan_audit(cells, boxes, 10, s).chosen for s in range(50)])
    assert (drawn < 30).mean() > 0.4
    assert (drawn >= 30).any()


def test_a_perfect_count_stays_as_it_is_but_is_not_certain():
    cells = scattered()
    plan = plan_audit(cells[cells.code < 2], field_boxes(Box(0, 0, 1000, 1000), 100), 15)
    counts = corrected_counts(plan, plan.found[plan.chosen, :-1])
    assert [c.name for c in counts] == ["a", "b", TOTAL]
    for count in counts:
        assert count.estimate == count.found
        assert count.low < count.found < count.high
    assert str(counts[0]).startswith(f"a: {counts[0].found} (")


TEN_ALIKE = AuditPlan((), ("a", "b"), np.tile([[3, 0, 1]], (10, 1)), np.arange(10), 5)
"""Ten fields with three cells of class a and one unsure cell each; all are as likely drawn."""


def test_an_audit_that_agrees_changes_no_count():
    """Unsure cells are cells: 40 of them, of which 30 are of class a and 10 of no class."""
    for fields in (5, 10):
        plan = TEN_ALIKE.longer(fields - 5)
        agreed = np.tile([[3, 0, 1]], (fields, 1))
        a, b, total = corrected_counts(plan, agreed)
        assert (a.found, a.estimate) == (30, 30)
        assert (b.found, b.estimate) == (0, 0)
        assert (total.name, total.found, total.estimate) == (TOTAL, 40, 40)
        assert f"{fields} audited cells stay unsure and are in no class" in a.note
        assert "unsure" not in total.note
    assert (total.low, total.high) == (40, 40)
    assert corrected_counts(TEN_ALIKE, agreed[:5, :2])[-1].estimate == 40


def test_a_count_is_corrected_as_on_paper():
    """Half of the fields were audited, so every error seen there stands for two.

    One unsure cell is a b, one cell was missed (an a), one unsure cell is no cell, one a is
    unsure: a errs by 1 - 1 = 0, b by 1, all cells by 1 - 1 = 0.
    """
    truth = np.tile([[3, 0, 1]], (5, 1))
    truth[0] = 3, 1, 0
    truth[1] = 4, 0, 1
    truth[2] = 3, 0, 0
    truth[3] = 2, 0, 2
    a, b, total = corrected_counts(TEN_ALIKE, truth)
    assert [c.estimate for c in (a, b, total)] == [30, 2, 40]
    truth[4] = 4, 0, 1
    a, b, total = corrected_counts(TEN_ALIKE, truth)
    assert [c.estimate for c in (a, b, total)] == [32, 2, 42]
    assert "4 audited cells stay unsure" in a.note


def test_one_class_and_unsure_cells_have_a_total():
    plan = AuditPlan((), ("a",), np.tile([[3, 1]], (10, 1)), np.arange(10), 10)
    assert plan.columns == ("a", UNSURE)
    one, total = corrected_counts(plan, np.tile([[3, 1]], (10, 1)))
    assert (one.estimate, total.estimate) == (30, 40)
    assert AuditPlan((), ("a",), plan.found * (1, 0), plan.order, 10).columns == ("a",)


@pytest.mark.parametrize("fields", [8, 20])
def test_intervals_cover_cells_and_classes_where_many_are_unsure(fields):
    """Of the cells found a fifth is unsure; the auditor knows the class of two in three."""
    rng = np.random.default_rng(fields)
    hits = []
    for _ in range(500):
        true, found = simulate(Tissue(30, 0.6, 0.15, 0.1), rng)
        unsure = rng.binomial(found, 0.2)
        counts = np.stack([found - unsure, unsure], axis=1)
        plan = AuditPlan((), ("a",), counts, field_order(sizes(counts), rng), fields)
        left = np.minimum(rng.binomial(unsure, 1 / 3), true)
        truth = np.stack([true - left, left], axis=1)
        of_a, total = corrected_counts(plan, truth[plan.chosen])
        hits.append([c.low <= t <= c.high for c, t in
                     ((of_a, (true - left).sum()), (total, true.sum()))])  # fmt: skip
    assert (np.mean(hits, axis=0) >= 0.925).all()
    assert (np.mean(hits, axis=0) <= 0.975).all()


def test_it_is_said_why_there_are_no_more_fields():
    plan = plan_audit(scattered(200), field_boxes(Box(0, 0, 300, 300), 100), 10)
    assert plan.fields == 9
    assert plan.all_drawn == "What was counted holds 9 fields of this size: all are drawn."
    assert plan_audit(scattered(200), field_boxes(Box(0, 0, 300, 300), 100), 8).all_drawn == ""


def test_a_whole_audit_is_the_truth():
    cells = scattered(200)
    boxes = field_boxes(Box(0, 0, 1000, 1000), 250)
    plan = plan_audit(cells, boxes, 99)
    truth = plan.found[plan.chosen, :-1] + 3
    for count, column in zip(corrected_counts(plan, truth)[:2], truth.T, strict=True):
        assert count.low == count.estimate == count.high == column.sum()


def test_few_fields_give_a_number_but_no_interval():
    plan = plan_audit(scattered(), field_boxes(Box(0, 0, 1000, 1000), 100), 10)
    count = corrected_counts(plan, plan.found[plan.chosen[:4], :-1])[0]
    assert (count.low, count.high) == (None, None)
    assert "5 or more" in str(count)
    assert corrected_counts(plan, plan.found[plan.chosen[:5], :-1])[0].low is not None


def test_what_was_never_seen_has_an_upper_end():
    cells = cells_at(np.random.default_rng(0).uniform(0, 999, (500, 2)))
    plan = plan_audit(cells, field_boxes(Box(0, 0, 1000, 1000), 100), 10)
    counts = {c.name: c for c in corrected_counts(plan, plan.found[plan.chosen, :-1])}
    assert counts["b"].estimate == 0
    assert counts["b"].low == 0
    assert 0 < counts["b"].high < 100
    assert "only 0 such cells" in counts["b"].note
    assert counts["a"].note == ""


def test_an_interval_holds_at_least_what_was_seen():
    cells = cells_at(np.random.default_rng(0).uniform(0, 999, (500, 2)))
    plan = plan_audit(cells, field_boxes(Box(0, 0, 1000, 1000), 100), 6)
    truth = np.zeros((6, 2), int)
    truth[:, 1] = 2
    for count, seen in zip(corrected_counts(plan, truth), (0, 12, 12), strict=True):
        assert count.low >= seen
        assert count.low <= count.estimate <= count.high


def test_a_slide_without_cells_can_be_audited():
    plan = plan_audit(cells_at(np.zeros((0, 2))), field_boxes(Box(0, 0, 100, 100), 20), 5)
    count = corrected_counts(plan, np.zeros((5, 2), int))[-1]
    assert count.estimate == 0 == count.low < count.high


def test_what_cannot_be_audited_is_refused():
    cells = scattered(10)
    with pytest.raises(RegionError, match="0 fields"):
        plan_audit(cells, (), 5)
    with pytest.raises(RegionError, match="0 of 4"):
        plan_audit(cells, field_boxes(Box(0, 0, 20, 20), 10), 0)
    plan = plan_audit(cells, field_boxes(Box(0, 0, 1000, 1000), 100), 5)
    with pytest.raises(ValueError, match="fit"):
        corrected_counts(plan, np.zeros((6, 2), int))
    with pytest.raises(ValueError, match="fewer than 0"):
        corrected_counts(plan, np.full((5, 2), -1))
