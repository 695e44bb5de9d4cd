"""Fields: every object in one of them, whole, and few of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histoprompt.core.geometry import Box, Frame
from histoprompt.core.slides.slide import Slide
from histoprompt.models.card import ModelCard
from histoprompt.pipelines.prompts.fields import field_side, plan_fields

CARD = ModelCard("m", "prompt", "M", "none:none", input_size=256, crop_px=256, max_fill=0.5)


class _Shape:
    """A level of which only the shape is asked."""

    def __init__(self, h: int, w: int) -> None:
        self.shape, self.ndim, self.dtype = (h, w, 3), 3, np.dtype(np.uint8)


def _slide(h: int, w: int, mpp: float | None = None) -> Slide:
    return Slide("s", "k", (_Shape(h, w),), mpp=mpp)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Slide, list[Box]]:
    h, w = draw(st.integers(40, 3000)), draw(st.integers(40, 3000))
    extents = []
    for _ in range(draw(st.integers(1, 12))):
        height, width = draw(st.integers(1, min(h, 400))), draw(st.integers(1, min(w, 400)))
        r, c = draw(st.integers(0, h - height)), draw(st.integers(0, w - width))
        extents.append(Box(r, c, r + height, c + width))
    return _slide(h, w), extents


@settings(max_examples=60)
@given(scenes())
def test_every_object_lies_whole_in_exactly_one_field_on_the_slide(scene):
    slide, extents = scene
    plans = plan_fields(slide, CARD, extents)
    served = sorted(i for plan in plans for i in plan.members)
    assert served == list(range(len(extents)))
    for plan in plans:
        assert slide.box.covers(plan.frame.box)
        for i in plan.members:
            assert plan.frame.box.covers(extents[i])


@given(st.integers(1, 4000))
def test_an_object_takes_no_more_of_its_field_than_the_card_allows(size):
    slide = _slide(20_000, 20_000)
    side = field_side(slide, CARD, Box(0, 0, size, 10))
    assert size <= CARD.max_fill * side
    assert side == 256 or size > CARD.max_fill * side / 2


def test_five_hundred_boxes_on_a_tile_share_few_fields():
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 970, (500, 2))
    extents = [Box(r, c, r + 28, c + 28) for r, c in corners.tolist()]
    plans = plan_fields(_slide(1000, 1000), CARD, extents)
    assert len(plans) <= 36


def test_a_ready_field_is_taken_again():
    slide = _slide(1000, 1000)
    (first,) = plan_fields(slide, CARD, [Box(400, 400, 420, 420)])
    ready: set[Frame] = {first.frame}
    (again,) = plan_fields(slide, CARD, [Box(405, 370, 425, 390)], ready.__contains__)
    assert again.frame == first.frame


@pytest.mark.parametrize(("mpp", "side"), [(None, 256), (0.25, 256), (0.5, 128), (0.125, 512)])
def test_the_field_has_a_physical_size_where_the_scale_is_known(mpp, side):
    card = ModelCard("m", "prompt", "M", "n:n", input_size=256, crop_px=256, mpp=0.25)
    assert field_side(_slide(5000, 5000, mpp), card, Box(0, 0, 8, 8)) == side


def test_large_fields_are_read_no_finer_than_the_network_sees():
    (plan,) = plan_fields(_slide(8000, 8000), CARD, [Box(100, 100, 1100, 1000)])
    assert plan.frame.box.shape == (2048, 2048)
    assert plan.frame.shape == (256, 256)


def test_a_slide_smaller_than_a_field_is_its_own_field():
    (plan,) = plan_fields(_slide(100, 60), CARD, [Box(0, 0, 90, 60)])
    assert plan.frame == Frame(Box(0, 0, 100, 60), (100, 60))
