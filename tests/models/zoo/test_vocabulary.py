"""The list of tissue words: what it knows, what it refuses, and that it can be read."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from histoprompt.core.errors import ModelError, PromptError
from histoprompt.core.tissue.look import FEATURES
from histoprompt.core.tissue.words import SYNONYMS
from histoprompt.models import registry
from histoprompt.models.roles import TextScorer, TileEncoder
from histoprompt.models.zoo.vocabulary import CARD, VocabularyScorer, word_in, words


@pytest.fixture(scope="module")
def model() -> VocabularyScorer:
    return registry.load_model(registry.card("vocabulary"), None, "cpu")


def test_it_is_a_text_scorer_with_unit_vectors(model):
    assert isinstance(model, TextScorer)
    tiles = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3)).astype(np.uint8)
    for rows in (model.embed_images(tiles), model.embed_texts(list(words()))):
        assert rows.shape[1] == len(FEATURES)
        assert rows.dtype == np.float32
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert isinstance(model, TileEncoder)
    assert model.encode(tiles).shape == (5, model.width)


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (2, 8, 8), (2, 8, 8, 4)])
def test_what_are_no_tiles_is_refused(model, shape):
    with pytest.raises(ModelError, match="must be"):
        model.embed_images(np.zeros(shape, np.uint8))
    with pytest.raises(ModelError, match="must be"):
        model.embed_images(np.zeros((2, 8, 8, 3), np.float32))


@pytest.mark.parametrize("texts", [[], ["fat", "  "]])
def test_an_empty_text_is_refused(model, texts):
    with pytest.raises(PromptError, match="empty"):
        model.embed_texts(texts)


def test_every_word_has_synonyms_and_features_that_exist():
    assert set(words()) == set(SYNONYMS)
    for word, looks in words().items():
        assert set(looks) <= set(FEATURES), word
        for name in (word, *SYNONYMS[word]):
            assert word_in(name) == word, name


def test_words_are_found_in_prompts():
    assert word_in("An H&E image patch of adipose tissue.") == "fat"
    assert word_in("presence of Non-Viable Tumors tissue on image") == "necrosis"
    assert word_in("an H&E stained image of cancer-associated stroma.") == "stroma"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("osteoclast", "osteoclast"),
        ("tumour in lymph node", "lymph node"),
        ("no necrosis", "'no'"),
        ("fat and stroma", "one tissue word"),
        ("tissue", "one tissue word"),
    ],
)
def test_what_it_cannot_know_is_refused_with_what_it_knows(model, text, said):
    with pytest.raises(PromptError, match=said) as error:
        model.embed_texts([text])
    for known in (*words(), "plip", "list of models"):
        assert known in str(error.value)


def test_the_card_needs_nothing():
    assert CARD.weights is None
    code = (
        "import sys; from histoprompt.models import registry as r;"
        "r.load_model(r.card('vocabulary'), None, 'cpu').embed_texts(['fat']);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
