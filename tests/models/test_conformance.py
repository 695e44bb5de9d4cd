"""What every prompt segmenter in the registry must do, through the path a user's file takes.

SAM's classes are real and of a size that runs in milliseconds; LiteMedSAM has its real weights.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_sam import SIDE, build_tiny_sam, random_tiny_sam

import fakes
from histoprompt.core.errors import PromptError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.prompt import Prompt, Strokes
from histoprompt.models import registry, weights
from histoprompt.models.card import ModelCard
from histoprompt.models.roles import PromptSegmenter

CARDS = [card for card in registry.all_cards() if card.role == "prompt"] + [fakes.CARD]
OF_KIND = {
    "box": Prompt.of_box(Box(20, 25, 50, 60)),
    "point": Prompt.of_points([[34.0, 41.0]]),
    "scribble": Prompt(strokes=Strokes((np.array([[30.0, 30.0], [36.0, 50.0]]),), width=3)),
}


@pytest.fixture(scope="module", params=CARDS, ids=lambda card: card.id)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    card: ModelCard = request.param
    if not card.loader.startswith(("histoprompt.models.zoo.sam", "histoprompt.models.zoo.medsam")):
        return registry.load_model(card, weights.resolve(card), "cpu")
    return load_tiny(card, tmp_path_factory.mktemp("weights") / "mine.pth")


def load_tiny(card: ModelCard, path: Path) -> Any:
    import torch
    from segment_anything import sam_model_registry

    torch.save(random_tiny_sam().state_dict(), path)
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("vit_b", "vit_l", "vit_h"):
            patch.setitem(sam_model_registry, kind, build_tiny_sam)
        return registry.load_model(
            replace(card, input_size=SIDE), weights.resolve(card, path), "cpu"
        )


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """A dark disk on a bright ground, a little noisy."""
    rows, cols = np.ogrid[:80, :100]
    inside = (rows - 34) ** 2 + (cols - 41) ** 2 < 13**2
    colour = np.where(inside[..., None], (90, 60, 140), (235, 215, 225))
    noise = np.random.default_rng(0).integers(-8, 9, colour.shape)
    image = (colour + noise).clip(0, 255).astype(np.uint8)
    image.flags.writeable = False
    return image


@pytest.fixture(scope="module")
def embedding(model: Any, image: np.ndarray) -> Any:
    return model.embed(image)


def test_it_is_a_prompt_segmenter(model: Any) -> None:
    assert isinstance(model, PromptSegmenter)
    assert model.accepts


def test_the_embedding_says_what_it_is_of(embedding: Any, image: np.ndarray) -> None:
    assert embedding.model_id in {card.id for card in CARDS}
    assert embedding.shape == image.shape[:2]
    assert embedding.n_bytes > 0


def test_each_accepted_kind_gives_framed_masks_best_first(
    model: Any, embedding: Any, image: np.ndarray
) -> None:
    prompts = [OF_KIND[kind] for kind in sorted(model.accepts)]
    found = model.segment(embedding, prompts)
    assert len(found) == len(prompts)
    for masks in found:
        assert masks
        for mask in masks:
            assert mask.array.dtype == bool
            assert mask.array.shape == image.shape[:2]
            assert mask.frame == Frame(Box.of_shape(image.shape), image.shape[:2])
            assert mask.score is None or 0 <= mask.score <= 1
        scores = [m.score for m in masks if m.score is not None]
        assert scores == sorted(scores, reverse=True)


def test_each_kind_it_does_not_accept_is_refused(model: Any, embedding: Any) -> None:
    for kind in OF_KIND.keys() - model.accepts:
        with pytest.raises(PromptError):
            model.segment(embedding, [OF_KIND[kind]])


def test_it_is_stateless(model: Any, embedding: Any, image: np.ndarray) -> None:
    first = model.segment(embedding, [OF_KIND["box"]])
    model.segment(model.embed(255 - image), [OF_KIND["box"]])
    again = model.segment(embedding, [OF_KIND["box"]])
    for a, b in zip(first[0], again[0], strict=True):
        assert (a.array == b.array).all()


def test_no_prompts_are_no_masks(model: Any, embedding: Any) -> None:
    assert model.segment(embedding, []) == []


def test_an_image_may_be_a_thin_strip(model: Any) -> None:
    shape = (1, 9)
    image = np.full((*shape, 3), 200, np.uint8)
    box = Prompt.of_box(Box.of_shape(shape))
    (masks,) = model.segment(model.embed(image), [box])
    assert masks[0].array.shape == shape
