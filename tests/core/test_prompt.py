"""Prompts: kinds, extents, mapping between planes, and scribbles as pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoprompt.core.errors import PromptError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.prompts.prompt import INSIDE, OUTSIDE, Prompt, ScribbleMap, Strokes
from histoprompt.core.prompts.scribbles import rasterise
from histoprompt.core.results import Mask

coordinates = st.floats(0, 500)


def _full() -> Prompt:
    return Prompt(
        points=np.array([[10.0, 20.0], [30.0, 40.0]]),
        labels=np.array([True, False]),
        box=Box(5, 6, 50, 60),
        strokes=Strokes(positive=(np.array([[11.0, 12.0], [13.0, 18.0]]),)),
    )


def test_kinds_name_what_is_given():
    assert Prompt().kinds == frozenset()
    assert Prompt.of_points([[1, 2]]).kinds == {"point"}
    assert Prompt.of_box(Box(0, 0, 2, 2)).kinds == {"box"}
    assert _full().kinds == {"point", "box", "scribble"}
    painted = ScribbleMap(np.ones((2, 2), np.uint8), Frame.of_array(np.ones((2, 2))))
    assert Prompt(painted=painted).kinds == {"scribble"}


def test_without_removes_just_these_kinds():
    assert _full().without("box", "point").kinds == {"scribble"}
    assert _full().without("scribble").kinds == {"point", "box"}


def test_exclusions_alone_select_nothing():
    assert not Prompt.of_points([[1, 1]], [0]).is_positive
    assert Prompt.of_points([[1, 1], [2, 2]], [0, 1]).is_positive
    outside = ScribbleMap(np.full((2, 2), OUTSIDE, np.uint8), Frame.of_array(np.ones((2, 2))))
    assert not Prompt(painted=outside).is_positive


def test_points_without_matching_labels_are_refused():
    with pytest.raises(PromptError, match="2 points but 1 labels"):
        Prompt(points=np.zeros((2, 2)), labels=np.array([True]))
    with pytest.raises(PromptError, match="finite"):
        Prompt.of_points([[np.nan, 1]])


def test_extent_holds_every_part_and_can_leave_out_exclusions():
    assert _full().extent() == Box(5, 6, 50, 60)
    clicks = Prompt.of_points([[3, 4], [90, 90]], [1, 0])
    assert clicks.extent() == Box(3, 4, 91, 91)
    assert clicks.extent(positive_only=True) == Box(3, 4, 4, 5)
    with pytest.raises(PromptError, match="empty"):
        Prompt().extent()


@given(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=5), st.integers(1, 9))
def test_mapping_into_an_array_moves_every_part_alike(points, factor):
    frame = Frame(Box(40, 80, 40 + 60 * factor, 80 + 50 * factor), (60, 50))
    prompt = Prompt(
        points=np.array(points),
        labels=np.ones(len(points), bool),
        strokes=Strokes(positive=(np.array(points),), width=factor),
    )
    mapped = prompt.into(frame)
    assert np.allclose(frame.to_slide(mapped.points), points)
    assert np.allclose(mapped.strokes.positive[0], mapped.points)
    assert np.isclose(mapped.strokes.width, 1)


def test_a_stroke_is_drawn_where_it_runs():
    prompt = Prompt(strokes=Strokes((np.array([[2.0, 1.0], [2.0, 6.0]]),), ()))
    drawn = rasterise(prompt, (5, 8))
    assert np.array_equal(np.argwhere(drawn == INSIDE), [[2, c] for c in range(1, 7)])


def test_outside_wins_over_inside_and_off_the_array_is_left_out():
    line = np.array([[1.0, -3.0], [1.0, 20.0]])
    drawn = rasterise(Prompt(strokes=Strokes((line,), (line[:, ::1],))), (3, 4))
    assert (drawn[1] == OUTSIDE).all()
    assert drawn[0].sum() == 0


def test_a_wide_pen_draws_a_wide_line():
    prompt = Prompt(strokes=Strokes((np.array([[10.0, 5.0], [10.0, 25.0]]),), (), width=5))
    drawn = rasterise(prompt, (21, 31))
    assert (drawn[8:13, 5:26] == INSIDE).all()
    assert not drawn[:7].any()


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_painted_scribbles_survive_shrinking(factor):
    """A line one pixel thin on the slide is still there in a coarser image."""
    painted = np.zeros((64, 64), np.uint8)
    painted[20, 8:56] = INSIDE
    prompt = Prompt(painted=ScribbleMap(painted, Frame.of_array(painted)))
    frame = Frame(Box(0, 0, 64, 64), (64 // factor, 64 // factor))
    drawn = rasterise(prompt.into(frame), frame.shape)
    assert (drawn[20 // factor, 8 // factor : 56 // factor] == INSIDE).all()


def test_painted_scribbles_fill_when_enlarged():
    painted = np.zeros((8, 8), np.uint8)
    painted[2:4, 2:6] = INSIDE
    prompt = Prompt(painted=ScribbleMap(painted, Frame.of_array(painted)))
    frame = Frame(Box(0, 0, 8, 8), (32, 32))
    drawn = rasterise(prompt.into(frame), frame.shape)
    assert (drawn[8:16, 8:24] == INSIDE).all()
    assert drawn.astype(bool).sum() == 8 * 16


def _answer(box: Box) -> Mask:
    return Mask(np.ones(box.shape, bool), Frame(box, box.shape), 0.8)


def test_an_answer_goes_along_with_a_correction_only():
    first = Prompt.of_points([[10, 10]])
    answer = _answer(Box(4, 4, 20, 20))
    corrected = Prompt.of_points([[30, 2], [10, 10]], [False, True])
    assert corrected.extends(first)
    assert corrected.after(first, answer).previous is answer
    # Asked again, taken back, moved, turned round, or another box: nothing is a correction of it.
    others = [
        first,
        Prompt(),
        Prompt.of_points([[11, 10], [30, 2]]),
        Prompt.of_points([[10, 10], [30, 2]], [False, True]),
        Prompt(points=[[10, 10], [30, 2]], labels=[1, 1], box=Box(0, 0, 9, 9)),
    ]
    for other in others:
        assert not other.extends(first)
        assert other.after(first, answer).previous is None
    assert first.after(corrected, answer).previous is None
    nothing = Mask(np.zeros((3, 3), bool), Frame.of_array(np.zeros((3, 3))))
    assert corrected.after(first, nothing).previous is None


def test_a_scribble_that_grows_is_a_correction_and_one_that_is_rubbed_out_is_none():
    frame = Frame(Box(10, 20, 40, 50), (30, 30))
    short, long = np.zeros((2, 30, 30), np.uint8)
    short[5, 5:9] = long[5, 5:20] = INSIDE
    turned = np.where(long, OUTSIDE, 0).astype(np.uint8)
    less, more, other = (Prompt(painted=ScribbleMap(a, frame)) for a in (short, long, turned))
    assert more.extends(less)
    assert not less.extends(more)
    assert not other.extends(less)
    lines = (np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 2.0], [3.0, 9.0]]))
    one, two = Prompt(strokes=Strokes(lines[:1])), Prompt(strokes=Strokes(lines))
    assert two.extends(one)
    assert not two.extends(Prompt(strokes=Strokes((), lines[:1])))


def test_the_answer_before_moves_with_the_prompt_into_other_pixels():
    prompt = Prompt.of_points([[30, 40], [32, 44]]).after(
        Prompt.of_points([[30, 40]]), _answer(Box(20, 30, 40, 60))
    )
    there = prompt.into(Frame(Box(10, 20, 110, 120), (50, 50)))
    assert there.previous.frame.box == Box(5, 5, 15, 20)
    seen = there.previous.sample(Frame(Box(0, 0, 50, 50), (50, 50)))
    assert np.array_equal(np.argwhere(seen)[[0, -1]], [[5, 5], [14, 19]])
    assert prompt.without("box").previous is prompt.previous
