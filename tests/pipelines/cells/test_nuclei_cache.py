"""Nuclei found ahead of a click: each square once, each nucleus under its own pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from five_discs import CARD, MIDDLES, dark_things, discs
from histoprompt.core.errors import MissingMppError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.nuclei_cache import NucleiMap, Square, look_at

# A pixel size at which a square has 80 pixels a side, so that the discs lie in several.
MPP = 2.0


@pytest.fixture(scope="module")
def slide() -> Slide:
    return Slide.from_arrays("discs", [discs()], mpp=MPP)


def _look(slide: Slide, box: Box) -> Square:
    card = replace(CARD, mpp=MPP)
    return look_at(slide, box, card, ModelManager("cpu", 100.0, load=dark_things), task=Task())


@pytest.fixture(scope="module")
def seen(slide) -> NucleiMap:
    found = NucleiMap(slide.box, MPP)
    while (box := found.next_square(slide.box)) is not None:
        found.add(_look(slide, box))
    return found


def _none(area: Frame) -> np.ndarray:
    return np.zeros(area.shape, np.int32)


def test_every_nucleus_is_found_once_though_squares_cut_some(seen):
    assert len(seen) == len(MIDDLES)


def test_squares_come_from_the_middle_of_the_view_and_never_twice(slide):
    found, order = NucleiMap(slide.box, MPP), []
    view = Box(90, 10, 120, 140)
    while (box := found.next_square(view)) is not None:
        order.append(box)
        found.add(Square.of(box, ()))
    assert order[0].contains(*view.centre)
    assert len(set(order)) == len(order) == 2
    assert all(box.intersection(view) for box in order)
    assert found.next_square(slide.box) is not None


def test_a_view_off_the_slide_has_no_square(slide):
    assert NucleiMap(slide.box, MPP).next_square(Box(-90, -90, -10, -10)) is None
    assert NucleiMap(slide.box, MPP).next_square(Box(900, 900, 990, 990)) is None


def test_the_nucleus_under_a_position_is_whole(seen):
    for row, col in MIDDLES:
        mask = seen.at(row + 8, col)
        truth = discs()[..., 0] < 128
        assert mask.frame.box == Box(row - 10, col - 10, row + 11, col + 11)
        assert np.array_equal(mask.array, truth[mask.frame.box.slices()])
    assert seen.at(0, 0) is None
    assert seen.at(40, 61) is None


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_outlines_are_thin_and_closed_at_any_scale(seen, scale):
    area = Frame(Box(0, 0, 220, 200), (220 // scale, 200 // scale))
    drawn = seen.outlines(area, _none(area))
    for middle in MIDDLES:
        row, col = area.to_array([middle])[0].round().astype(int)
        assert drawn[row, col] == 0
        reach = 10 // scale + 1
        around = drawn[row - reach : row + reach + 1, col - reach : col + reach + 1]
        assert all(around[:, j].any() for j in range(1, 2 * reach - 1))
        assert (around[reach] > 0).sum() <= 4


def test_outlines_of_a_part_are_the_part_of_the_outlines(seen):
    whole, part = Frame.of_array(np.empty((220, 200))), Box(35, 40, 120, 130)
    area = Frame(part, part.shape)
    everything = seen.outlines(whole, _none(whole))
    assert np.array_equal(seen.outlines(area, _none(area)), everything[part.slices()])


def test_committed_nuclei_are_not_outlined(seen):
    area = Frame.of_array(np.empty((220, 200)))
    taken = _none(area)
    taken[discs()[..., 0] < 128] = 3
    taken[: MIDDLES[2][0] + 20] = 0
    drawn = seen.outlines(area, taken)
    assert drawn[: MIDDLES[2][0] + 20].any()
    assert not drawn[MIDDLES[4][0] - 12 :].any()


def test_without_a_pixel_size_nothing_is_guessed():
    with pytest.raises(MissingMppError, match="does not state its pixel size"):
        _look(Slide.from_arrays("bare", [discs()]), Box(0, 0, 80, 80))
