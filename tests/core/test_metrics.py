"""Agreement of masks, instances and counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histoprompt.core import metrics
from histoprompt.core.metrics import iou, overlaps


def blocks(*places, shape=(12, 12)):
    """Labels 1, 2, ... on rectangles (r0, c0, r1, c1)."""
    out = np.zeros(shape, np.int32)
    for value, (r0, c0, r1, c1) in enumerate(places, start=1):
        out[r0:r1, c0:c1] = value
    return out


def random_labels(seed, shape=(40, 40)):
    rng = np.random.default_rng(seed)
    out = np.zeros(shape, np.int32)
    for value in rng.permutation(40)[: rng.integers(1, 12)] + 1:
        r, c = rng.integers(0, 34, 2)
        h, w = rng.integers(3, 12, 2)
        out[r : r + h, c : c + w] = value
    return out


def perturbed(labels, seed):
    """The same labels moved a little, some lost, renumbered."""
    rng = np.random.default_rng(seed)
    out = np.zeros_like(labels)
    for new, value in enumerate(np.unique(labels[labels > 0]), start=100):
        moved = np.roll(labels == value, tuple(rng.integers(-2, 3, 2)), (0, 1))
        if rng.random() < 0.85:
            out[moved] = new
    return out


def test_iou_by_hand():
    first, second = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    first[:2], second[1:3] = True, True
    assert iou(first, second) == pytest.approx(4 / 12)
    assert metrics.dice(first, second) == pytest.approx(8 / 16)
    assert iou(first, first) == 1
    assert iou(first, ~first) == 0


def test_two_empty_masks_agree():
    empty = np.zeros((3, 3), bool)
    assert iou(empty, empty) == 1
    assert iou(empty, ~empty) == 0
    assert metrics.dice(empty, empty) == 1


def test_instances_by_hand():
    # True: two 4x4 squares. Found: the first moved by one column (IoU 12/20), and a stray 2x2.
    true = blocks((0, 0, 4, 4), (6, 6, 10, 10))
    found = blocks((0, 1, 4, 5), (10, 0, 12, 2))
    pair = overlaps(true, found)
    assert metrics.f1(pair) == pytest.approx(2 / 4)
    assert metrics.f1(pair, 0.7) == 0
    assert metrics.panoptic_quality(pair) == pytest.approx(0.6 / 2)
    # 12 common; 20 in the pair's union, 16 missed, 4 invented.
    assert metrics.aji(pair) == pytest.approx(12 / 40)
    assert metrics.aji_plus(pair) == pytest.approx(12 / 40)


def test_half_overlap_matches_for_f1_and_not_for_pq():
    pair = overlaps(blocks((0, 0, 2, 4)), blocks((0, 0, 4, 4)))
    assert pair.iou[0, 0] == 0.5
    assert metrics.f1(pair, 0.5) == 1
    assert metrics.panoptic_quality(pair) == 0


def test_merged_objects_count_twice_in_aji_and_once_in_aji_plus():
    # Two 2x4 objects found as one 4x4: each pair has 8 common of 16.
    pair = overlaps(blocks((0, 0, 2, 4), (2, 0, 4, 4)), blocks((0, 0, 4, 4)))
    assert metrics.aji(pair) == pytest.approx(16 / 32)
    assert metrics.aji_plus(pair) == pytest.approx(8 / (16 + 8))


def test_objects_stand_in_the_order_of_their_first_pixels_and_keep_their_names():
    found = 7 * blocks((8, 0, 10, 4)) + 9 * blocks((0, 0, 2, 2))
    pair = overlaps(blocks((8, 0, 10, 4)), found)
    assert pair.found_area.tolist() == [4, 8]
    assert pair.found_ids.tolist() == [9, 7]
    assert pair.true_ids.tolist() == [1]


def test_matching_takes_as_many_pairs_as_it_can():
    # The best pair alone would leave the second true object without a partner.
    area, ids = np.array([10.0, 10.0]), np.array([1, 2])
    pair = metrics.Overlaps(np.array([[8.0, 5.0], [5.0, 0.0]]), area, area, ids, ids)
    rows, cols = pair.matched(0.3)
    assert sorted(zip(rows.tolist(), cols.tolist(), strict=True)) == [(0, 1), (1, 0)]


@pytest.mark.parametrize("measure", [metrics.f1, metrics.panoptic_quality, metrics.aji])
def test_empty_sets(measure):
    nothing, one = np.zeros((12, 12), np.int32), blocks((0, 0, 4, 4))
    assert measure(overlaps(nothing, nothing)) == 1
    assert measure(overlaps(one, nothing)) == 0
    assert measure(overlaps(nothing, one)) == 0
    assert measure(overlaps(one, one)) == 1


def naive_aji(true, found):
    """The definition, object by object."""
    used, common, union = set(), 0, 0
    for t in np.unique(true[true > 0]):
        mine = true == t
        scores = {}
        for f in dict.fromkeys(found[found > 0].tolist()):  # in the order of first pixels
            common_here = (mine & (found == f)).sum()
            scores[f] = common_here / (mine | (found == f)).sum(), common_here
        best = max(scores, key=scores.get, default=None)
        if best is None or scores[best][0] == 0:
            union += mine.sum()
            continue
        used.add(best)
        common += (mine & (found == best)).sum()
        union += (mine | (found == best)).sum()
    union += sum((found == f).sum() for f in np.unique(found[found > 0]) if f not in used)
    return common / union


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_aji_is_its_definition(seed):
    true = random_labels(seed)
    found = perturbed(true, seed + 1)
    if found.any():
        assert metrics.aji(overlaps(true, found)) == pytest.approx(naive_aji(true, found))


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_numbering_and_gaps_do_not_matter(seed):
    true, found = random_labels(seed), random_labels(seed + 1)
    renamed, named_too = (np.where(a > 0, 1000 - 7 * a, 0) for a in (found, true))
    first, second = overlaps(true, found), overlaps(named_too, renamed)
    for measure in (metrics.f1, metrics.panoptic_quality, metrics.aji, metrics.aji_plus):
        assert measure(first) == pytest.approx(measure(second))
        assert 0 <= measure(first) <= 1


def test_ties_are_settled_by_overlap_then_by_place():
    # One true row of 8; found: two pieces of equal IoU, numbered either way round. The one that
    # comes first is taken: 2 common of 8 + 1 outside, and the other's 3 pixels are invented.
    true = np.zeros((3, 12), np.int32)
    true[0, :8] = 1
    first, second = np.zeros_like(true), np.zeros_like(true)
    for image, numbers in ((first, (5, 9)), (second, (9, 5))):
        image[0, 1:3] = image[1, 1] = numbers[0]
        image[0, 4:6] = image[2, 4] = numbers[1]
    values = [metrics.aji(overlaps(true, image)) for image in (first, second)]
    assert values == [pytest.approx(2 / (9 + 3))] * 2
    # Equal IoU of 1 / 2, but 4 of 8 in common against 2 of 4: the greater overlap is taken.
    both = np.array([[2.0, 4.0]])
    areas, ids = (np.array([4.0]), np.array([2.0, 8.0])), (np.array([1]), np.array([1, 2]))
    pair = metrics.Overlaps(both, *areas, *ids)
    assert pair.iou.tolist() == [[0.5, 0.5]]
    assert metrics.aji(pair) == pytest.approx(4 / (8 + 2))


def test_agrees_with_a_published_implementation():
    published = pytest.importorskip(
        "cellseg_metrics", reason="cellseg-metrics is not installed"
    ).functional
    for seed in range(60):
        true = random_labels(seed)
        found = perturbed(true, seed)
        if not found.any():
            continue
        theirs = published.panoptic_quality(true, found)
        pair = overlaps(true, found)
        assert metrics.panoptic_quality(pair) == pytest.approx(theirs["pq"], abs=1e-6)
        strict = 2 * (pair.iou > 0.5).sum() / sum(pair.both.shape)
        assert strict == pytest.approx(theirs["dq"], abs=1e-6)


def test_count_errors_by_hand():
    errors = metrics.count_errors([10, 20, 0], [12, 15, 1])
    assert errors.mae == pytest.approx((2 + 5 + 1) / 3)
    assert errors.mape == pytest.approx((0.2 + 0.25 + 1) / 3)
    assert errors.bias == pytest.approx(-2 / 30)
    with pytest.raises(ValueError, match="cannot be compared"):
        metrics.count_errors([1], [1, 2])


def test_each_centre_is_used_once():
    true = np.array([[0.0, 0.0], [0.0, 6.0], [50.0, 50.0]])
    found = np.array([[0.0, 3.0], [1.0, 0.0]])
    assert metrics.centre_matches(true, found, 4) == 2
    assert metrics.centre_matches(true, found, 2) == 1
    assert metrics.centre_matches(true, np.empty((0, 2)), 5) == 0
