"""An object that is taken up again: prompts that stand for it, and what a model is shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from histoprompt.core.geometry import Box, Frame
from histoprompt.core.prompts.file import ObjectPrompt
from histoprompt.core.prompts.prompt import Prompt
from histoprompt.core.results import SURE, Logits, Mask
from histoprompt.models import registry
from histoprompt.pipelines.objects.refine import note_of, refining, repainted, standing_for


def disc(centre: tuple[int, int], radius: float) -> Mask:
    rr, cc = np.mgrid[:120, :100]
    array = (rr - centre[0]) ** 2 + (cc - centre[1]) ** 2 <= radius**2
    return Mask(array, Frame(Box(1000, 2000, 1120, 2100), (120, 100)))


def test_prompts_stand_for_an_object_as_the_model_takes_them():
    mask = disc((50, 40), 20)
    shown = standing_for(mask, registry.card("sam-vit-b"))
    assert shown.points.tolist() == [[1050, 2040]]
    assert shown.box is None
    told = standing_for(mask, registry.card("classical"))
    assert told.is_positive
    boxed = standing_for(mask, registry.card("litemedsam"))
    assert boxed.kinds == {"box"}
    assert boxed.box == Box(1030, 2020, 1071, 2061)
    ring = Mask(mask.array & ~disc((50, 40), 10).array, mask.frame)
    (at,) = (standing_for(ring, registry.card("sam-vit-b")).points - (1000, 2000)).astype(int)
    assert ring.array[tuple(at)], "a click lies in the object, not in its hole"


def test_the_note_names_what_a_model_gets_in_place_of_an_outline():
    assert note_of(registry.card("sam-vit-b"), remembered=False) == ""
    assert "a box in its place" in note_of(registry.card("litemedsam"), remembered=False)
    assert "own prompts" in note_of(registry.card("litemedsam"), remembered=True)


def test_the_answer_before_goes_first_then_the_object():
    start, answer = disc((50, 40), 20), disc((50, 40), 25)
    item = ObjectPrompt(1, Prompt.of_points([[1050, 2040]]))
    assert refining(item, start).prompt.previous is start
    later = replace(item, prompt=replace(item.prompt, previous=answer))
    assert refining(later, start).prompt.previous is answer


def test_what_was_painted_in_the_work_area_leaves_the_rest_of_an_object():
    array = np.ones((20, 60), bool)
    mask = Mask(array, Frame(Box(100, 100, 120, 160), array.shape))
    area = Frame(Box(90, 90, 130, 130), (40, 40))
    left = np.zeros((40, 40), bool)
    left[10:20, 10:40] = True
    both = repainted(mask, Mask(left, area), area)
    assert both.array.sum() == 10 * 30 + 20 * 30
    assert both.frame.box == Box(100, 100, 120, 160)


def test_logits_stay_as_they_are_on_their_own_grid_and_are_read_elsewhere():
    values = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    field = Frame(Box(1000, 2000, 1160, 2320), (320, 640))
    logits = Logits(values, Frame(Box(1000, 2000, 1160, 2320), (8, 8)))
    there = logits.into(field)
    assert np.array_equal(there.sample(Frame(Box(0, 0, 320, 640), (8, 8))), values)
    mask = Mask(values > 0, logits.frame, None, logits)
    back = mask.into(field).onto(field)
    assert np.allclose(tuple(back.logits.frame.box), tuple(logits.frame.box))
    half = logits.sample(Frame(Box(1000, 2000, 1160, 2160), (8, 4)))
    assert np.allclose(half, values[:, :4])
    beyond = logits.sample(Frame(Box(0, 0, 160, 320), (8, 8)))
    assert (beyond == -SURE).all()
    plain = Mask(values > 0, logits.frame).as_logits(logits.frame)
    assert np.array_equal(plain > 0, values > 0)
    assert np.abs(plain).min() == np.float32(SURE)
