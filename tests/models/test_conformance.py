"""What every model of the registry must do, by its role, through the path a user's file takes.

Models whose weights are here have them; the others are small and random, see `small_models`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import WORDS, load_small, needs_a_file, save_small, small_networks

import fakes
from histoprompt.core.errors import ModelError, PromptError, WeightsError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.prompts.prompt import Prompt, Strokes
from histoprompt.models import registry, weights
from histoprompt.models.card import ModelCard
from histoprompt.models.roles import (
    CellSegmenter,
    PromptSegmenter,
    SentenceEncoder,
    TextScorer,
    TileEncoder,
    TokenScorer,
)
from histoprompt.models.zoo.vocabulary import VocabularyScorer

OF_KIND = {
    "box": Prompt.of_box(Box(20, 25, 50, 60)),
    "point": Prompt.of_points([[34.0, 41.0]]),
    "scribble": Prompt(strokes=Strokes((np.array([[30.0, 30.0], [36.0, 50.0]]),), width=3)),
}
ALL = registry.all_cards()


# The word list takes no free text; `test_vocabulary.py` tests what it knows.
KNOWN = ["tumour", "lymphocytes", "muscle"]
FREE = ["tumor", "the lymphoid tumors of the liver", "liver " * 300]


def cards(role: str) -> list[ModelCard]:
    """All of a role that can be had; `test_cell_adapters.py` tests those of other packages."""
    return [card for card in ALL if card.role == role and not card.missing]


def model_of(card: ModelCard, folder: Path) -> Any:
    if needs_a_file(card):
        return load_small(card, folder)
    return registry.load_model(card, weights.resolve(card), "cpu")


def of_role(role: str, *more: ModelCard) -> Any:
    """A fixture that goes through all models of a role."""

    @pytest.fixture(scope="module", params=[*cards(role), *more], ids=lambda card: card.id)
    def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
        return model_of(request.param, tmp_path_factory.mktemp("weights"))

    return model


prompter = of_role("prompt", fakes.CARD)
cell_finder = of_role("cells")
encoder = of_role("encoder")
scorer = of_role("text")


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
def tiles() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, 96, 96, 3), dtype=np.uint8)


def test_every_role_is_swept() -> None:
    assert {card.role for card in ALL} == {"prompt", "cells", "encoder", "text", "sentence"}


# ---------------------------------------------------------------------- prompts


@pytest.fixture(scope="module")
def embedding(prompter: Any, image: np.ndarray) -> Any:
    return prompter.embed(image)


def test_it_is_a_prompt_segmenter(prompter: Any) -> None:
    assert isinstance(prompter, PromptSegmenter)
    assert prompter.accepts


def test_the_embedding_says_what_it_is_of(embedding: Any, image: np.ndarray) -> None:
    assert embedding.model_id in {card.id for card in (*ALL, fakes.CARD)}
    assert embedding.shape == image.shape[:2]
    assert embedding.n_bytes > 0


def test_each_accepted_kind_gives_framed_masks_best_first(
    prompter: Any, embedding: Any, image: np.ndarray
) -> None:
    prompts = [OF_KIND[kind] for kind in sorted(prompter.accepts)]
    found = prompter.segment(embedding, prompts)
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


def test_each_kind_it_does_not_accept_is_refused(prompter: Any, embedding: Any) -> None:
    for kind in OF_KIND.keys() - prompter.accepts:
        with pytest.raises(PromptError):
            prompter.segment(embedding, [OF_KIND[kind]])


def test_it_is_stateless(prompter: Any, embedding: Any, image: np.ndarray) -> None:
    first = prompter.segment(embedding, [OF_KIND["box"]])
    prompter.segment(prompter.embed(255 - image), [OF_KIND["box"]])
    again = prompter.segment(embedding, [OF_KIND["box"]])
    for a, b in zip(first[0], again[0], strict=True):
        assert (a.array == b.array).all()


def test_many_prompts_are_as_each_alone(prompter: Any, embedding: Any) -> None:
    prompts = [OF_KIND[kind] for kind in sorted(prompter.accepts)] * 3
    together = prompter.segment(embedding, prompts)
    for prompt, masks in zip(prompts, together, strict=True):
        (alone,) = prompter.segment(embedding, [prompt])
        assert all((a.array != b.array).mean() < 1e-3 for a, b in zip(masks, alone, strict=True))


def test_no_prompts_are_no_masks(prompter: Any, embedding: Any) -> None:
    assert prompter.segment(embedding, []) == []


def test_an_image_may_be_a_thin_strip(prompter: Any) -> None:
    shape = (1, 9)
    strip = np.full((*shape, 3), 200, np.uint8)
    box = Prompt.of_box(Box.of_shape(shape))
    (masks,) = prompter.segment(prompter.embed(strip), [box])
    assert masks[0].array.shape == shape


# ---------------------------------------------------------------------- all nuclei


def test_it_labels_an_image_of_any_shape(cell_finder: Any, image: np.ndarray) -> None:
    assert isinstance(cell_finder, CellSegmenter)
    parts = [image, np.ascontiguousarray(image[:33, :71]), image]
    found = [cell_finder.segment(part) for part in parts]
    for part, labels in zip(parts, found, strict=True):
        assert labels.shape == part.shape[:2]
        assert labels.dtype == np.int32
        assert set(np.unique(labels)) | {0} == set(range(labels.max() + 1))
    assert (found[0] == found[2]).all()


# ---------------------------------------------------------------------- encoders


def test_features_are_as_wide_as_it_says(encoder: Any, tiles: np.ndarray) -> None:
    assert isinstance(encoder, TileEncoder)
    found = encoder.encode(tiles[:2])
    assert found.shape == (2, encoder.width)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert np.abs(found[0] - found[1]).max() > 1e-4, "it sees the tile"


def test_a_tile_is_encoded_alike_alone_and_in_a_batch(encoder: Any, tiles: np.ndarray) -> None:
    together, again = encoder.encode(tiles), encoder.encode(tiles)
    assert (together == again).all()
    alone = np.concatenate([encoder.encode(tile[None]) for tile in tiles])
    assert np.abs(together - alone).max() < 1e-4 * max(1, np.abs(together).max())


def test_tiles_may_have_any_size(encoder: Any) -> None:
    rng = np.random.default_rng(2)
    for shape in ((224, 224), (256, 300), (31, 17)):
        tile = rng.integers(0, 256, (1, *shape, 3), dtype=np.uint8)
        assert encoder.encode(tile).shape == (1, encoder.width)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, 8, 8), np.uint8),
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((0, 8, 8, 3), np.uint8),
    ],
    ids=["no colours", "floats", "none"],
)
def test_what_are_no_tiles_is_refused(encoder: Any, wrong: np.ndarray) -> None:
    with pytest.raises(ModelError, match=r"must be \(n, rows, columns, 3\) uint8"):
        encoder.encode(wrong)


# ---------------------------------------------------------------------- images and texts


def test_images_and_texts_are_unit_vectors(scorer: Any, tiles: np.ndarray) -> None:
    assert isinstance(scorer, TextScorer)
    assert isinstance(scorer, TileEncoder)
    images = scorer.embed_images(tiles)
    texts = scorer.embed_texts(KNOWN)
    assert images.shape == (len(tiles), scorer.width)
    assert texts.shape == (3, scorer.width)
    for vectors in (images, texts):
        assert vectors.dtype == np.float32
        assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-5
    assert scorer.logit_scale > 0


def test_a_text_is_read_alike_alone_and_among_others(scorer: Any) -> None:
    texts = KNOWN if isinstance(scorer, VocabularyScorer) else FREE
    together = scorer.embed_texts(texts)
    alone = np.concatenate([scorer.embed_texts([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-5
    assert np.abs(together[0] - together[1]).max() > 1e-4, "it reads the text"


def test_patches_lie_in_the_space_of_texts(scorer: Any, tiles: np.ndarray) -> None:
    if not isinstance(scorer, TokenScorer):
        assert isinstance(scorer, VocabularyScorer)
        return
    if not hasattr(scorer._net.visual, "_embeds"):
        with pytest.raises(ModelError, match="crops"):  # a tower of another kind
            scorer.embed_tokens(tiles[:2])
        return
    tokens = scorer.embed_tokens(tiles[:2])
    assert tokens.shape[0] == 2
    assert tokens.shape[1] == tokens.shape[2] > 1
    assert tokens.shape[3] == scorer.width
    assert np.abs(np.linalg.norm(tokens, axis=-1) - 1).max() < 1e-5


@pytest.mark.parametrize("texts", [[], ["tumor", "  "]], ids=["none", "blank"])
def test_an_empty_text_is_refused(scorer: Any, texts: list[str]) -> None:
    with pytest.raises(PromptError, match="empty"):
        scorer.embed_texts(texts)


# ---------------------------------------------------------------------- sentences


sentence = of_role("sentence")


def test_sentences_of_one_meaning_lie_close_together(sentence: Any) -> None:
    assert isinstance(sentence, SentenceEncoder)
    found = sentence.embed_texts(["lymphoid infiltrate", "immune cells", "a red bicycle"])
    assert found.shape == (3, sentence.width)
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-5
    assert found[0] @ found[1] > found[0] @ found[2] + 0.1
    with pytest.raises(PromptError, match="empty"):
        sentence.embed_texts(["tumour", " "])


# ---------------------------------------------------------------------- wrong files


@pytest.mark.parametrize(
    "card", [c for c in ALL if needs_a_file(c) and not c.missing], ids=lambda c: c.id
)
def test_the_file_of_another_model_is_refused_in_one_line(card: ModelCard, tmp_path: Path) -> None:
    other = "plip" if card.role != "text" else "dinov2-vit-b"
    path = save_small(registry.card(other), tmp_path)
    if card.id == "biomedclip":
        (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    with small_networks(), pytest.raises(WeightsError) as caught:
        registry.load_model(card, weights.resolve(card, path), "cpu")
    message = str(caught.value)
    assert str(path) in message
    assert f"is no {card.title}: " in message
    assert "missing" in message
    assert "\n" not in message
    assert len(message) < 500
