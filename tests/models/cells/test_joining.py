"""Pieces of one nucleus are joined, nuclei that touch are not; what is seen of a pair, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from histoprompt.models.cells import joining
from histoprompt.models.cells.instances import DecodeParams, decode, pieces
from histoprompt.models.cells.joining import SIGNS, Joining, Pieces, ovalness, saddles

PLAIN = DecodeParams(boundary=0, area=1, certainty=0)


def only(name, weight, intercept):
    """A rule that looks at one sign."""
    return Joining(intercept, tuple(weight * (name == sign) for sign in SIGNS))


def strip(*widths, rows=4):
    """Rectangles beside each other, numbered from 1."""
    numbers = np.repeat(np.arange(1, len(widths) + 1), widths)
    return np.tile(numbers, (rows, 1)).astype(np.int32)


def test_an_ellipse_fills_the_ellipse_of_its_moments_and_a_square_three_over_pi():
    rows, cols = np.mgrid[:80, :80]
    disc = (np.hypot(rows - 40, cols - 40) < 30).astype(np.int32)
    far = np.zeros((4, 40), np.int32)
    far[:, :4] = far[:, -4:] = 1
    shapes = [disc, np.ones((12, 12), np.int32), np.ones((6, 24), np.int32), far]
    found = [ovalness(Pieces.of(s, s.astype(np.float32), 0.0 * s).moments[1:])[0] for s in shapes]
    # Variances of a rectangle are the squares of its sides over 12: area over 4 pi area / 12.
    assert found[0] == pytest.approx(1, abs=0.01)
    assert found[1:3] == pytest.approx([3 / np.pi] * 2)
    # Two squares 36 px apart: the variance along the row is 18 * 18 and that of a square more.
    apart = 32 / (4 * np.pi * np.sqrt(16 / 12 * (18**2 + 16 / 12)))
    assert found[3] == pytest.approx(apart)


def test_what_is_seen_of_a_pair_is_what_one_counts_by_hand():
    basins = strip(4, 6)
    height = np.full(basins.shape, 0.5, np.float32)
    height[1, 1], height[2, 7] = 0.9, 0.8
    height[2, 3:5] = 0.6
    boundary = np.zeros(basins.shape, np.float32)
    boundary[:, 3] = [0.2, 0.4, 0, 0]
    parts = Pieces.of(basins, height, boundary)
    (saddle,) = parts.saddles
    assert saddle[:2] == (1, 2)
    assert saddle[2:] == pytest.approx((0.6, 4, 0.6))
    (signs,) = parts.signs(parts.saddles)
    oval = 3 / np.pi  # of any rectangle, so of both and of each
    expected = [0.2, 0.25, 4 / (2 * np.sqrt(16 / np.pi)), 0.15, oval, 0, np.log(16)]
    assert signs == pytest.approx(expected, abs=1e-6)
    assert parts.signs([]).shape == (0, len(SIGNS))


def test_borders_stand_from_the_highest_pass_down():
    basins = strip(3, 3, 3)
    height = np.zeros(basins.shape, np.float32)
    height[:, 5:7] = 0.5
    found = saddles(basins, height, np.zeros_like(height))
    assert [(s.a, s.b, s.height) for s in found] == [(2, 3, 0.5), (1, 2, 0.0)]


def test_a_pair_is_joined_where_its_score_is_above_zero():
    basins = strip(4, 4, 4)
    boundary = np.zeros(basins.shape, np.float32)
    boundary[:, 3] = 0.4
    parts = Pieces.of(basins, np.ones(basins.shape, np.float32), boundary)
    assert len(set(parts.joined(only("boundary", -1, 0.5))[1:])) == 1
    owners = parts.joined(only("boundary", -1, 0.3))
    assert owners[2] == owners[3] != owners[1]


def test_the_likeliest_pair_is_joined_first_and_the_next_is_seen_with_it():
    """1 and 2 lie above 3; alone 1 would join 2, but not what 2 and 3 are together."""
    basins = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 3, 3], [3, 3, 3, 3]], np.int32)
    boundary = np.zeros(basins.shape, np.float32)
    boundary[1, :2] = 0.6
    parts = Pieces.of(basins, np.ones(basins.shape, np.float32), boundary)
    # Mean boundary of 1 and 2: (0 + .6) / 2 = .3, of 1 and 3 .6, of 2 and 3 0. Once these two are
    # one, 1 meets them along four pixels: (0 + .6 + .6 + .6) / 4 = .45.
    assert parts.joined(only("boundary", -1, 0.44))[1:].tolist() == [1, 2, 2]
    assert len(set(parts.joined(only("boundary", -1, 0.46))[1:])) == 1


def halves(front):
    """Maps whose distance has two peaks of .9 with a pass of .6 between them."""
    rows, cols = np.mgrid[: front.shape[0], : front.shape[1]]
    peaks = np.minimum(np.hypot(rows - 32, cols - 38), np.hypot(rows - 32, cols - 58))
    return np.stack([front, 0.9 - peaks / 33, np.zeros(front.shape)]).astype(np.float32)


def test_a_cut_through_an_oval_is_closed_and_two_discs_stay_two():
    """The same peaks and pass, so that no bound on prominence could tell them apart."""
    rows, cols = np.mgrid[:64, :96]
    oval = ((cols - 48) / 24) ** 2 + ((rows - 32) / 13) ** 2 < 1
    discs = np.minimum(np.hypot(rows - 32, cols - 36), np.hypot(rows - 32, cols - 60)) < 12.5
    rule = only("oval", 1, -0.95)
    for front, count in ((oval, 1), (discs, 2)):
        maps = halves(front.astype(float))
        assert decode(maps, PLAIN).max() == 2
        assert decode(maps, replace(PLAIN, joining=rule)).max() == count


def test_without_a_reason_nothing_is_joined_and_with_any_everything_that_touches():
    rows, cols = np.mgrid[:64, :96]
    front = (((cols - 48) / 24) ** 2 + ((rows - 32) / 13) ** 2 < 1).astype(float)
    maps = halves(front)
    never, always = only("size", 0, -1), only("size", 0, 1)
    assert decode(maps, replace(PLAIN, joining=never)).max() == 2
    assert decode(maps, replace(PLAIN, joining=always)).max() == 1
    assert not decode(np.zeros((3, 16, 20), np.float32), replace(PLAIN, joining=always)).any()


def test_pieces_do_not_depend_on_the_rule():
    rows, cols = np.mgrid[:64, :96]
    maps = halves((((cols - 48) / 24) ** 2 + ((rows - 32) / 13) ** 2 < 1).astype(float))
    plain, _ = pieces(maps, replace(PLAIN, prominence=joining.PIECE))
    ruled, parts = pieces(maps, replace(PLAIN, prominence=0.02, joining=only("size", 0, 1)))
    assert np.array_equal(plain, ruled)
    assert len(np.unique(plain)) == 3
    assert parts.moments[:, 0].sum() == (plain > 0).sum()
