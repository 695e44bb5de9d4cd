"""What a model that was not aligned finds with the same places and sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import HistopromptError, PromptError
from histoprompt.core.task import Task
from histoprompt.core.tissue.words import normal
from histoprompt.core.vectors import unit_rows
from histoprompt.models import registry, weights
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.roles import TextScorer
from histoprompt.models.zoo.aligned_file import words_of
from histoprompt.pipelines.align.pairs import Pair
from histoprompt.pipelines.align.params import AlignParams

Double = NDArray[np.float64]
_LONGEST = 3


def plain_card(params: AlignParams) -> ModelCard:
    """The model to compare with: the one that is named, else the best that is here."""
    if params.plain:
        return registry.card(params.plain)
    if params.text == "biomedclip":
        card = registry.card("biomedclip")
        try:
            weights.resolve(card)
        except HistopromptError:
            pass
        else:
            return card
    return registry.card(registry.DEFAULT_WORDS)


def plain_texts(
    pairs: Sequence[Pair], words: Sequence[str], card: ModelCard, manager: ModelManager, task: Task
) -> tuple[Double, Double]:
    """Unit vectors (n, d) of the sentences of each pair, and (w, d) of words.

    Of a model with a fixed list the words of a sentence that it knows count; a sentence without any
    is zeros, which is as near to all images.
    """
    with manager.lease(card, task) as model:
        sides = {text: _embedded(text, model, card)
                 for pair in pairs for text in pair.sentences}  # fmt: skip
        asked = [_embedded(word, model, card) for word in words]
    said = [np.mean([sides[text] for text in pair.sentences], axis=0) for pair in pairs]
    width = said[0].shape[0]
    rows = np.asarray(unit_rows(np.asarray(said, np.float32)), np.float64)
    return rows, np.asarray(asked, np.float64).reshape(len(words), width)


def _embedded(text: str, model: TextScorer, card: ModelCard) -> Double:
    if not card.words:
        return np.asarray(model.embed_texts([text])[0], np.float64)
    found = [model.embed_texts([one])[0] for one in _known(text, model)]
    if not found:
        return np.zeros(model.embed_texts([card.words[0]]).shape[1])
    return np.asarray(np.mean(found, axis=0), np.float64)


def _known(text: str, model: TextScorer) -> list[str]:
    """The names in a sentence that a model with a fixed list knows, longest first."""
    parts, found = words_of(normal(text)), []
    i = 0
    while i < len(parts):
        for size in range(_LONGEST, 0, -1):
            name = " ".join(parts[i : i + size])
            if i + size <= len(parts) and _knows(name, model):
                found.append(name)
                i += size - 1
                break
        i += 1
    return found


def _knows(name: str, model: TextScorer) -> bool:
    try:
        model.embed_texts([name])
    except PromptError:
        return False
    return True
