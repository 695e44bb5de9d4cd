"""The filter on votes that are made by hand."""

import numpy as np
import pytest

from histoprompt.pipelines.tags.choosing import (
    CLASS_CAP,
    CLOSE,
    CLUSTER,
    DUPLICATE,
    NONE,
    SLIDE_CAP,
    SPLIT,
    choose,
    consensus,
    k_center,
    lowest,
)
from histoprompt.pipelines.tags.params import TagParams
from histoprompt.pipelines.tags.review import Precision, wilson
from histoprompt.pipelines.tags.scoring import Votes, WordingVectors, counted
from histoprompt.pipelines.tags.tag_file import Tag
from histoprompt.pipelines.tags.views import VIEWS, seen, views

RNG = np.random.default_rng(0)


def two_heaps(n=20, noise=0.05):
    """Unit vectors about two directions, and which of them."""
    code = np.repeat([0, 1], n)
    vectors = np.eye(4)[code] + noise * RNG.standard_normal((2 * n, 4))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), code


def votes_of(vectors, code, sure=10):
    n = len(code)
    counts = np.zeros((n, 3), np.int64)
    counts[np.arange(n), code] = sure
    counts[np.arange(n), (code + 1) % 3] += 10 - sure
    chance = np.full((n, 2), 0.05, np.float32)
    inside = code < 2
    chance[np.flatnonzero(inside), code[inside]] = 0.9
    pictures = RNG.integers(0, 255, (n, 64, 64, 3)).astype(np.uint8)
    return Votes(vectors, counts, chance, np.zeros((n, 2), np.int64), pictures)


PARAMS = TagParams(entropy_share=1.0, margin=0.1)


def test_what_clusters_and_votes_agree_on_is_kept():
    vectors, code = two_heaps()
    choice = choose(votes_of(vectors, code), np.zeros(40, np.int64), PARAMS)
    assert choice.kept.all()
    wrong = code.copy()
    wrong[[0, 25]] = 1 - wrong[[0, 25]]
    choice = choose(votes_of(vectors, wrong), np.zeros(40, np.int64), PARAMS)
    assert [choice.reason[i] for i in (0, 25)] == [CLUSTER, CLUSTER]
    assert choice.kept.sum() == 38


def test_each_reason_is_told_of_what_it_drops():
    vectors, code = two_heaps()
    votes = votes_of(vectors, code)
    votes.counts[0] = [0, 0, 10]  # no tag
    votes.counts[1] = [6, 4, 0]  # split
    votes.probability[2] = [0.5, 0.45]  # close
    votes.pictures[4], votes.vectors[4] = votes.pictures[3], votes.vectors[3]
    params = TagParams(entropy_share=0.8, margin=0.1)
    choice = choose(votes, np.zeros(40, np.int64), params)
    assert choice.reason[0] == NONE
    assert choice.reason[1] == SPLIT
    assert choice.reason[2] == CLOSE
    assert sorted([choice.reason[3], choice.reason[4]]) == ["", DUPLICATE]
    assert sum(choice.dropped.values()) == (~choice.kept).sum() == 4


def test_caps_hold_per_slide_and_per_tag():
    vectors, code = two_heaps()
    slides = np.tile([0, 1], 20)
    params = TagParams(entropy_share=1.0, margin=0.1, per_slide=4, per_class=6)
    choice = choose(votes_of(vectors, code), slides, params)
    for tag in (0, 1):
        mine = choice.kept & (code == tag)
        assert mine.sum() == 6
        assert max(mine[slides == s].sum() for s in (0, 1)) <= 4
    assert choice.dropped == {SLIDE_CAP: 24, CLASS_CAP: 4}


def test_k_center_covers_what_is_far_apart():
    heap = np.tile([[1.0, 0, 0]], (50, 1)) + 0.01 * RNG.standard_normal((50, 3))
    vectors = np.concatenate([heap, np.eye(3)[1:]])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert set(k_center(vectors.astype(np.float32), 3).tolist()) == {0, 50, 51}


def test_ties_of_entropy_are_kept_together():
    entropy, code = np.array([0, 0, 0, 0.5, 0.9]), np.zeros(5, np.int64)
    assert lowest(entropy, code, 0.3).tolist() == [True] * 3 + [False] * 2


def test_a_tag_that_looks_in_several_ways_keeps_all_of_them():
    heap = np.repeat(np.arange(4), 20)  # the first three are one tag, the last is another
    vectors = np.eye(8)[2 * heap] + 0.05 * RNG.standard_normal((80, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    code = (heap == 3).astype(np.int64)
    wrong = code.copy()
    wrong[[0, 79]] = 1 - wrong[[0, 79]]
    agrees = consensus(vectors, wrong, clusters=4)
    assert np.flatnonzero(~agrees).tolist() == [0, 79]
    assert (~consensus(vectors, wrong, clusters=1)).sum() > 15  # two heaps cannot be three


def test_one_tag_needs_no_clusters():
    assert consensus(np.eye(5, dtype=np.float32), np.zeros(5, np.int64)).all()


def test_votes_count_each_wording_of_each_view():
    tags = (Tag("a", ("a1", "a2")), Tag("b", ("b1", "b2", "b3")))
    rows = (np.eye(4, dtype=np.float32)[[0, 0]], np.eye(4, dtype=np.float32)[[1, 1, 2]])
    words = WordingVectors(tags, rows, np.eye(4, dtype=np.float32)[[3]], ("c",), 20.0)
    views_of = np.stack([np.tile(np.eye(4)[i], (VIEWS, 1)) for i in (0, 1, 2, 3)])
    _, counts, chance, wording = counted(views_of.astype(np.float32), words)
    assert words.rounds == 3
    assert counts[0].tolist() == [30, 0, 0]
    assert counts[1, 1] == 20  # its third wording says otherwise
    assert counts[2, 1] == 10
    assert counts[3].tolist() == [0, 0, 30]
    assert wording[2, 1] == 2
    assert chance[0, 0] > 0.9


def test_entropy_is_none_where_votes_agree_and_one_where_all_have_as_many():
    counts = np.array([[9, 0, 0], [3, 3, 3]])
    nothing = np.zeros((2, 2), np.float32)
    made = Votes(nothing, counts, nothing, counts, np.zeros((2, 64, 64, 3), np.uint8))
    assert made.entropy == pytest.approx([0, 1])


def test_the_first_view_is_the_picture_and_the_others_differ():
    square = np.kron(RNG.integers(60, 220, (8, 8, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    found = seen(square, 32)
    assert found.shape == (VIEWS, 32, 32, 3)
    assert len({view.tobytes() for view in found}) == VIEWS
    assert views()[0].zoom == 1
    flat = seen(np.full((80, 80, 3), 200, np.uint8), 32)
    assert np.abs(flat[0].astype(int) - 200).max() <= 1


def test_wilson_is_that_of_statsmodels():
    # by statsmodels: proportion_confint of 15 in 28, method wilson
    assert wilson(15, 28) == pytest.approx((0.3581, 0.7047), abs=2e-3)
    assert wilson(0, 0) == (0, 1)
    assert wilson(10, 10)[1] == 1


@pytest.mark.parametrize(
    ("right", "looked", "left", "said"),
    [
        (0, 0, 9, "nobody"), (1, 3, 9, "go on"), (1, 3, 0, "stop"), (3, 12, 9, "stop"),
        (30, 30, 9, "enough"), (9, 10, 0, "all"),
    ],
)  # fmt: skip
def test_a_few_that_disagree_do_not_condemn_a_tag(right, looked, left, said):
    found = Precision("a", right, looked, *wilson(right, looked), left)
    assert found.hint(0.8).startswith(said)
