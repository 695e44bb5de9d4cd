"""Sixty free phrases: those that mean a tissue word are understood, the others refused."""

import numpy as np
import pytest

from histoprompt.cli import main
from histoprompt.core.errors import RefusedTextError
from histoprompt.core.task import Task
from histoprompt.models import registry, weights
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.zoo.vocabulary import word_in
from histoprompt.pipelines.text.phrases import (
    ENCODER,
    Phrases,
    Refused,
    Understood,
    understood_all,
)

# Written once and looked at after the lists and the threshold had been chosen on other phrases.
MEANT = {
    "sheets of tumour cells": "tumour",
    "malignant epithelial proliferation": "tumour",
    "high grade carcinoma": "tumour",
    "metastatic adenocarcinoma": "tumour",
    "cancerous lesion": "tumour",
    "dense fibrous stroma": "stroma",
    "bundles of collagen": "stroma",
    "desmoplasia around tumour": "stroma",
    "fibroblasts": "stroma",
    "scar tissue": "stroma",
    "smooth muscle bundles": "muscle",
    "skeletal muscle fibers": "muscle",
    "muscularis propria": "muscle",
    "TILs": "lymphocyte",
    "tumor-infiltrating lymphocytes": "lymphocyte",
    "lymphoid aggregates": "lymphocyte",
    "chronic inflammatory cells": "lymphocyte",
    "T cells": "lymphocyte",
    "immune cell infiltrate": "lymphocyte",
    "areas of necrosis": "necrosis",
    "necrotic debris": "necrosis",
    "dead cells": "necrosis",
    "non-viable tumour": "necrosis",
    "adipose tissue": "fat",
    "fat cells": "fat",
    "fatty infiltration": "fat",
    "colonic glands": "gland",
    "glandular epithelium": "gland",
    "ductal structures": "gland",
    "trabecular bone": "bone",
    "bony tissue": "bone",
    "pools of mucin": "mucus",
    "extracellular mucus": "mucus",
    "erythrocytes": "blood",
    "red blood cells": "blood",
    "haemorrhage": "blood",
    "DAB-positive nuclei": "brown",
    "marker pen": "pen",
    "empty glass": "glass",
    "crowded nuclei": "nucleus",
}
NOT_MEANT = (
    "cartilage", "peripheral nerve", "blood vessels", "mitoses", "keratin pearls", "melanin",
    "giant cells", "neutrophils", "hair follicles", "hepatocytes", "cats", "a red bicycle",
    "the weather tomorrow", "bone china", "wine glass", "no necrosis", "without lymphocytes",
    "qwertyuiop", "microcalcifications", "stock prices",
)  # fmt: skip
WORDS = registry.card("vocabulary").words


@pytest.fixture(scope="module")
def phrases():
    card = registry.card(ENCODER)
    if card.missing:
        pytest.skip("the sentence encoder is not installed")
    return Phrases(WORDS, registry.load_model(card, weights.resolve(card), "cpu"))


def test_sixty_phrases(phrases):
    assert len(MEANT) + len(NOT_MEANT) == 60
    found = {phrase: phrases.understand(phrase) for phrase in (*MEANT, *NOT_MEANT)}
    right = [p for p, word in MEANT.items() if getattr(found[p], "word", None) == word]
    wrong = [p for p in MEANT if isinstance(found[p], Understood) and found[p].word != MEANT[p]]
    refused = [p for p in NOT_MEANT if isinstance(found[p], Refused)]
    assert len(right) >= 38, set(MEANT) - set(right)
    assert not wrong, [found[p].told for p in wrong]
    assert len(refused) >= 19, [found[p].told for p in set(NOT_MEANT) - set(refused)]


def test_what_is_understood_is_told_with_its_similarity(phrases):
    found = phrases.understand("areas where cells have died")
    assert found.told.startswith("'areas where cells have died' understood as necrosis, .")
    assert 0.5 <= found.similarity < 1


def test_every_word_of_the_list_and_its_synonyms_stay_what_they_are():
    plain = Phrases(WORDS)
    for word in WORDS:
        found = plain.understand(word)
        assert (found.word, found.how) == (word, "known")
    for phrase in ("viable tumour", "brown nuclei", "smooth muscle"):
        assert plain.understand(phrase).word == word_in(phrase)


def test_without_the_encoder_synonyms_are_understood_and_the_rest_is_refused():
    plain = Phrases(WORDS)
    assert plain.understand("TILs").word == "lymphocyte"
    assert isinstance(plain.understand("areas where cells have died"), Refused)


def test_a_higher_threshold_refuses_more(phrases):
    strict = Phrases(WORDS, phrases._encoder, least=0.99)
    assert isinstance(strict.understand("areas where cells have died"), Refused)


def test_names_of_all_senses_are_embedded_once(tmp_path):
    """The encoder needs seconds for the names, and each command and each search asks anew."""
    texts = []

    class Encoder:
        def embed_texts(self, given):
            texts.append(len(given))
            away = 599 if len(given) == 1 else 0  # a phrase is like no name
            return np.eye(len(given), 600, k=away, dtype=np.float32)

    for phrase in ("giraffe", "zebra"):
        assert isinstance(Phrases(WORDS, Encoder(), kept=tmp_path).understand(phrase), Refused)
    assert texts[0] > 300
    assert texts[1:] == [1, 1]


def test_a_refused_text_is_told_with_the_error():
    manager, card = ModelManager(device="cpu"), registry.card("vocabulary")
    with pytest.raises(RefusedTextError, match="weather") as refused:
        understood_all(("tumour", "fat | the weather tomorrow"), card, manager, Task())
    assert refused.value.texts == ("fat | the weather tomorrow",)


def test_score_says_what_it_understood_and_can_be_told_not_to(tmp_path, sample_slide, capsys):
    argv = ["score", str(sample_slide), "--region", "0,0,800,800", "--device", "cpu"]
    assert main([*argv, "--out", str(tmp_path / "a"), "--text", "lymphoid aggregates"]) == 0
    assert "understood as lymphocyte" in capsys.readouterr().err
    assert 'texts = [\n    "lymphocyte",\n]' in (tmp_path / "a" / "recipe.toml").read_text()
    argv += ["--out", str(tmp_path / "b"), "--text", "lymphoid aggregates", "--literal"]
    assert main(argv) == 1
    assert "does not know" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
