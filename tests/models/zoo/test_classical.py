"""The segmenter without weights, as a model."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from skimage.data import immunohistochemistry

from histoprompt.core.errors import PromptError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.prompts.prompt import Prompt, Strokes
from histoprompt.models.roles import PromptSegmenter
from histoprompt.models.zoo.classical import CARD, load

IMAGE = immunohistochemistry()[200:456, 200:456]


@pytest.fixture(scope="module")
def model():
    return load(CARD, None, "cpu")


@pytest.fixture(scope="module")
def embedding(model):
    return model.embed(IMAGE)


def test_it_fills_its_role(model):
    assert isinstance(model, PromptSegmenter)
    assert model.accepts == {"point", "box", "scribble"}
    assert CARD.weights is None


def test_the_embedding_states_its_size(embedding):
    assert embedding.model_id == "classical"
    assert embedding.shape == (256, 256)
    assert embedding.n_bytes == 256 * 256 * (3 * 4 + 4)


def test_masks_come_in_order_framed_on_the_image(model, embedding):
    line = np.array([[100.0, 20.0], [120.0, 90.0]])
    prompts = [
        Prompt.of_box(Box(10, 10, 40, 50)),
        Prompt.of_points([(128, 128)]),
        Prompt(strokes=Strokes((line,))),
    ]
    found = model.segment(embedding, prompts)
    assert [len(masks) for masks in found] == [1, 1, 1]
    for masks in found:
        assert masks[0].frame == Frame(Box(0, 0, 256, 256), (256, 256))
        assert masks[0].array.dtype == bool
        assert 0 <= masks[0].score <= 1
    assert Box(9, 9, 41, 51).covers(Box.of_mask(found[0][0].array))
    assert found[1][0].array[128, 128]


def test_it_keeps_no_state(model, embedding):
    prompt = Prompt.of_points([(60, 60)])
    before = model.segment(embedding, [prompt])[0][0]
    model.segment(embedding, [Prompt.of_points([(200, 30)]), Prompt.of_box(Box(0, 0, 90, 90))])
    other = load(CARD, None, "cpu").segment(embedding, [prompt])[0][0]
    assert (before.array == other.array).all()
    assert before.score == other.score


def test_an_empty_prompt_is_refused(model, embedding):
    with pytest.raises(PromptError, match="empty"):
        model.segment(embedding, [Prompt()])


def test_it_needs_no_torch():
    code = "import histoprompt.models.zoo.classical, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
