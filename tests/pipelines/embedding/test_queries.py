"""From typed words to vectors and probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from histoprompt.core.errors import PromptError
from histoprompt.core.tissue.words import normal, same_word
from histoprompt.models.zoo.vocabulary import CARD, VocabularyScorer
from histoprompt.pipelines.embedding.words import (
    TEMPLATES,
    Query,
    TextCache,
    default_contrasts,
    ensemble,
    probabilities,
    queries,
)


class Spelling:
    """A text's vector is how often it has each letter."""

    logit_scale = 1.0

    def embed_texts(self, texts):
        return np.array([[t.lower().count(c) + 0.5 for c in "abcdefgh"] for t in texts], np.float32)


def test_bars_stand_between_synonyms():
    assert Query.parse(" tumour |  carcinoma  in situ|tumour ") == Query(
        "tumour", ("tumour", "carcinoma in situ")
    )


@pytest.mark.parametrize("text", ["", "   ", "|", " | | "])
def test_an_empty_text_is_refused(text):
    with pytest.raises(PromptError, match="empty"):
        Query.parse(text)


def test_no_text_and_a_text_twice_are_refused():
    with pytest.raises(PromptError, match="no text"):
        queries([])
    with pytest.raises(PromptError, match="twice"):
        queries(["Tumours", "tumour | cancer"])


def test_the_ensemble_is_the_published_rule():
    query, templates = Query("ab", ("ab", "cde")), ("{}", "a {} b")
    rows = Spelling().embed_texts(["ab", "a ab b", "cde", "a cde b"])
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    mean = rows.mean(axis=0)
    assert np.allclose(ensemble(Spelling(), query, templates), mean / np.linalg.norm(mean))


def test_templates_are_those_published():
    assert len(TEMPLATES["conch"]) == 22
    assert all(template.count("{}") == 1 for group in TEMPLATES.values() for template in group)


def test_templates_do_not_change_what_the_vocabulary_says():
    model = VocabularyScorer(CARD)
    alone = model.embed_texts(["necrosis"])[0]
    for name, templates in TEMPLATES.items():
        found = ensemble(model, Query.parse("necrosis | debris"), templates)
        assert np.allclose(found, alone, atol=1e-6), name


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 9), st.integers(1, 5)),
        elements=st.floats(-1, 1, width=32),
    ),
    st.floats(0.1, 100),
)
def test_probabilities_share_what_contrasts_leave(cosines, scale):
    count = max(1, cosines.shape[1] - 1)
    found = probabilities(cosines.copy(), scale, count)
    assert found.shape == (len(cosines), count)
    assert (found >= 0).all()
    assert (found.sum(axis=1) <= 1 + 1e-5).all()
    whole = np.exp(scale * cosines.astype(np.float64))
    assert np.allclose(found, (whole / whole.sum(axis=1, keepdims=True))[:, :count], atol=1e-4)


def test_a_higher_temperature_softens():
    cosines = np.array([[0.5, 0.1]], np.float32)
    sharp, soft = (probabilities(cosines.copy(), s, 1)[0, 0] for s in (10, 1))
    assert 0.5 < soft < sharp


def test_contrasts_mean_something_else():
    names = [c.name for c in default_contrasts(queries(["carcinoma", "collagen | fibrous tissue"]))]
    assert "tumor" not in names
    assert "connective tissue" not in names
    assert {"necrosis", "lymphocytes"} <= set(names)


def test_words_are_compared_without_case_plural_and_hyphen():
    assert normal("Non-viable Tumours") == normal("non viable tumour")
    assert same_word("Adipocytes") & same_word("fatty tissue")
    assert not same_word("fat") & same_word("gland")
    assert same_word("osteoclast") == {"osteoclast"}
    assert normal("mucus") == "mucus"


def test_texts_are_embedded_once():
    cache, query = TextCache(), Query.parse("tumour")
    assert cache.get("m", query, ("{}",)) is None
    cache.put("m", query, ("{}",), np.ones(3, np.float32))
    assert cache.get("m", query, ("{}",)) is not None
    assert cache.get("other", query, ("{}",)) is None
