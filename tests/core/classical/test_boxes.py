"""From a click or a scribble to a box."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from painted_field import PLACES, centre, field
from skimage.measure import regionprops

from histoprompt.core.classical.boxes import propose_box
from histoprompt.core.classical.scene import Scene
from histoprompt.core.errors import PromptError
from histoprompt.core.geometry import Box
from histoprompt.core.prompts.prompt import Prompt, Strokes
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.sample import LABELS, SLIDE, sample_file

IMAGE, TRUTH = field("he")
SCENE = Scene.of_image(IMAGE)


def overlap(first: Box, second: Box) -> float:
    both = first.intersection(second)
    return 0.0 if both is None else both.area / (first.area + second.area - both.area)


@pytest.mark.parametrize("kind", ["he", "dab", "grey", "dark"])
def test_a_click_gives_the_box_of_its_nucleus(kind):
    image, truth = field(kind)
    for value in range(1, len(PLACES) + 1):
        box = propose_box(Scene.of_image(image), Prompt.of_points([centre(value)]))
        assert overlap(box, Box.of_mask(truth == value)) > 0.6


def test_on_flat_ground_the_box_stays_at_the_click():
    flat = Scene.of_image(np.full((60, 60, 3), 220, np.uint8))
    box = propose_box(flat, Prompt.of_points([(30, 30)]))
    assert box.contains(30, 30)
    assert Box.of_shape((60, 60)).covers(box)


def test_two_clicks_give_a_box_of_both_nuclei():
    box = propose_box(SCENE, Prompt.of_points([centre(3), centre(4)]))
    assert overlap(box, Box.of_mask((TRUTH == 3) | (TRUTH == 4))) > 0.7


def test_a_negative_click_beside_keeps_the_neighbour_out():
    box = propose_box(SCENE, Prompt.of_points([centre(3), centre(4)], [True, False]))
    assert box.contains(*centre(3))
    assert not box.contains(*centre(4))
    assert overlap(box, Box.of_mask(TRUTH == 3)) > 0.6


def test_a_scribble_over_several_things_gives_its_extent_padded():
    line = np.array([[30.0, 30.0], [120.0, 140.0]])
    box = propose_box(SCENE, Prompt(strokes=Strokes((line,))))
    assert box.covers(Box(30, 30, 121, 141))
    assert Box(30, 30, 121, 141).pad(0.2 * 111 + 1).covers(box)


def test_a_stroke_within_a_nucleus_means_the_nucleus():
    r, c = centre(1)
    line = np.array([[r, c - 4], [r, c + 4]])
    box = propose_box(SCENE, Prompt(strokes=Strokes((line,))))
    assert overlap(box, Box.of_mask(TRUTH == 1)) > 0.6


def test_a_box_is_its_own_proposal_cut_at_the_image():
    prompt = Prompt(box=Box(-4.5, 10.2, 20, 30))
    assert propose_box(SCENE, prompt) == Box(0, 10, 20, 30)


def test_nothing_positive_is_refused():
    with pytest.raises(PromptError):
        propose_box(SCENE, Prompt.of_points([(5, 5)], [False]))


points = st.tuples(st.integers(-3, 152), st.integers(-3, 172))


@settings(max_examples=25, deadline=None)
@given(st.lists(points, min_size=1, max_size=3), st.lists(points, max_size=3))
def test_a_proposal_lies_inside_and_holds_every_click_on_the_image(positive, negative):
    labels = [True] * len(positive) + [False] * len(negative)
    box = propose_box(SCENE, Prompt.of_points(positive + negative, labels))
    bounds = Box.of_shape(IMAGE.shape)
    assert bounds.covers(box)
    assert box == box.to_pixels()
    assert all(box.contains(*p) for p in positive if bounds.contains(*p))


def test_a_short_scribble_means_the_nucleus_around_it():
    """On pale clumped chromatin the scribble's own extent would be a strip."""
    slide = open_slide(sample_file(SLIDE))
    truth = tifffile.imread(sample_file(LABELS)).astype(int)[1100:1300, 800:1000]
    found, strips = [], []
    for item in regionprops(truth):
        box = Box(*item.bbox).shift(1100, 800)
        if item.area < 300 or not Box(1100, 800, 1300, 1000).pad(-3).covers(box):
            continue
        row, col = box.centre
        reach = 0.3 * box.width
        line = np.array([[row, col - reach], [row, col + reach]])
        around = Box.around(row, col, 256).to_pixels()
        image, frame = slide.read(around)
        prompt = Prompt(strokes=Strokes((line,), (), 4))
        proposed = frame.box_to_slide(propose_box(Scene.of_image(image), prompt.into(frame)))
        found.append(overlap(proposed, box))
        strips.append(overlap(prompt.extent(), box))
    assert len(found) > 5
    assert np.mean(found) > 0.6
    assert np.mean(found) > 2 * np.mean(strips)
