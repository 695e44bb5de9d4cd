"""The object a prompt means, from colours alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from painted_field import PLACES, centre, field

from histoprompt.core.classical.outline import outline
from histoprompt.core.classical.scene import Scene
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.metrics import iou
from histoprompt.core.prompts.prompt import INSIDE, OUTSIDE, Prompt, ScribbleMap, Strokes

IMAGE, TRUTH = field("he")
SCENE = Scene.of_image(IMAGE)
KINDS = ["he", "dab", "grey", "dark"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_box_gives_the_nucleus_better_than_its_ellipse(kind):
    image, truth = field(kind)
    scene = Scene.of_image(image)
    for value in range(1, len(PLACES) + 1):
        box = Box.of_mask(truth == value).pad(2)
        mask, contrast = outline(scene, Prompt.of_box(box))
        assert iou(mask, truth == value) > 0.75
        assert 0.3 < contrast <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_click_gives_the_nucleus(kind):
    image, truth = field(kind)
    scene = Scene.of_image(image)
    for value in range(1, len(PLACES) + 1):
        mask, _ = outline(scene, Prompt.of_points([centre(value)]))
        assert iou(mask, truth == value) > 0.65


@pytest.mark.parametrize("scale", [0.5, 2.5])
def test_the_scale_does_not_matter(scale):
    image, truth = field("he", scale)
    scene = Scene.of_image(image)
    mask, _ = outline(scene, Prompt.of_points([centre(2, scale)]))
    assert iou(mask, truth == 2) > 0.65


def test_a_negative_click_takes_the_neighbour_out_of_a_box_over_two():
    both = Box.of_mask((TRUTH == 3) | (TRUTH == 4))
    loose, _ = outline(SCENE, Prompt.of_box(both))
    assert loose[TRUTH == 4].mean() > 0.5
    mask, _ = outline(SCENE, Prompt(np.array([centre(3), centre(4)]), np.array([1, 0]), both))
    assert mask[TRUTH == 3].mean() > 0.6
    assert mask[TRUTH == 4].mean() < 0.3


def two_tissues() -> tuple[np.ndarray, np.ndarray]:
    """A ring of pale tissue with dark dots on another tissue: neither nucleus nor dark."""
    rows, cols = np.mgrid[:260, :300]
    gland = np.hypot((rows - 130) / 80, (cols - 150) / 100) < 1
    noise = np.random.default_rng(0)
    image = np.where(gland[..., None], (235, 205, 225), (205, 130, 180)) + noise.normal(
        0, 6, (260, 300, 3)
    )
    dots = noise.random((260, 300)) < 0.01
    image[dots] = (90, 60, 140)
    return np.clip(image, 0, 255).astype(np.uint8), gland


def test_scribbles_segment_what_is_not_a_nucleus():
    image, gland = two_tissues()
    inside = np.array([[130.0, 80.0], [130.0, 220.0], [80.0, 150.0]])
    outside = np.array([[20.0, 20.0], [20.0, 280.0], [240.0, 280.0], [240.0, 20.0]])
    mask, _ = outline(
        Scene.of_image(image), Prompt(strokes=Strokes((inside,), (outside,), width=3))
    )
    assert iou(mask, gland) > 0.9


def test_a_positive_scribble_alone_is_enough_where_colours_differ():
    image, gland = two_tissues()
    line = np.array([[130.0, 60.0], [130.0, 240.0], [70.0, 150.0], [190.0, 150.0]])
    mask, _ = outline(Scene.of_image(image), Prompt(strokes=Strokes((line,), width=3)))
    assert iou(mask, gland) > 0.85


def test_a_painted_scribble_and_the_same_stroke_mean_the_same():
    array = np.zeros(SCENE.shape, np.uint8)
    array[40, 34:47], array[40, 70:80] = INSIDE, OUTSIDE
    painted = Prompt(painted=ScribbleMap(array, Frame.of_array(array)))
    strokes = Strokes((np.array([[40, 34.0], [40, 46]]),), (np.array([[40, 70.0], [40, 79]]),))
    first, _ = outline(SCENE, painted)
    second, _ = outline(SCENE, Prompt(strokes=strokes))
    assert (first == second).all()
    assert iou(first, TRUTH == 1) > 0.65


def test_nothing_positive_gives_nothing():
    mask, contrast = outline(SCENE, Prompt.of_points([(40, 40)], [False]))
    assert not mask.any()
    assert contrast == 0


@pytest.mark.parametrize("value", [0, 127, 255])
@pytest.mark.parametrize("shape", [(1, 1), (3, 90), (64, 64)])
def test_flat_images_give_a_small_mask_and_no_error(value, shape):
    scene = Scene.of_image(np.full((*shape, 3), value, np.uint8))
    r, c = shape[0] // 2, shape[1] // 2
    prompts = [
        Prompt.of_points([(r, c)]),
        Prompt.of_box(Box(0, 0, max(1, r), max(1, c))),
        Prompt(strokes=Strokes((np.array([[r, 0.0], [r, c]]),))),
    ]
    for prompt in prompts:
        mask, contrast = outline(scene, prompt)
        assert mask.shape == shape
        assert mask.sum() <= max(60, 0.8 * mask.size)
        assert contrast < 0.1


point = st.tuples(st.integers(0, 149), st.integers(0, 169))
boxes = st.builds(
    lambda a, h, w: Box(a[0], a[1], a[0] + h, a[1] + w),
    st.tuples(st.integers(-10, 140), st.integers(-10, 160)),
    st.integers(11, 120),
    st.integers(11, 120),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(point, max_size=3),
    st.lists(point, max_size=3),
    st.none() | boxes,
    st.lists(point, max_size=3),
)
def test_any_mix_holds_what_was_said(positive, negative, box, line):
    negative = [p for p in negative if p not in positive and p not in line]
    labels = np.array([True] * len(positive) + [False] * len(negative), bool)
    strokes = Strokes((np.array(line[:1], float),)) if line else Strokes()
    prompt = Prompt(np.array(positive + negative), labels, box, strokes)
    mask, contrast = outline(SCENE, prompt)
    assert mask.shape == SCENE.shape
    assert 0 <= contrast <= 1
    if prompt.is_positive:
        assert all(mask[p] for p in positive)
    assert not any(mask[p] for p in negative)
