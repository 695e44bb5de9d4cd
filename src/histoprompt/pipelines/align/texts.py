"""Sentences as vectors: by an encoder, or by their words alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import LabelError, ModelError
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.zoo.aligned_file import Adapter, TfIdf, words_of
from histoprompt.pipelines.align.pairs import Pair
from histoprompt.pipelines.align.params import Text

Float = NDArray[np.float32]
Double = NDArray[np.float64]
# Directions that counts of words are brought down to.
_DIRECTIONS: Final = 128
# Words that are asked for, and in how many of the pairs one must stand, and not stand.
WORDS: Final = 8
_SHARE, _FEW = 0.05, 5
_COMMON: Final = frozenset(
    [
        *("the", "and", "with", "without", "from", "this", "that", "are", "was", "were", "has"),
        *("have", "some", "many", "few", "very", "not", "for", "its", "into", "near", "around"),
        *("within", "between", "along", "showing", "shows", "show", "seen", "area", "areas"),
        *("tissue", "cells", "cell", "image", "tile", "slide", "region", "field", "here", "there"),
        *("which", "than", "more", "less", "mostly", "large", "small"),
    ]
)


@dataclass(frozen=True, eq=False)
class SentenceVectors:
    """The sentences of pairs as vectors.

    Attributes
    ----------
    vectors : (n, t) float64
        Of each pair the mean of its sentences.
    said : (n,) int64
        Pairs that say the same have the same number.
    words : tuple of str
        Words that are asked for by themselves.
    word_vectors : (w, t) float64
    holds : (n, w) bool
        Which pairs say which word.
    tfidf : TfIdf or None
        Where words are all there is.
    down : (v, t) float64 or None
        What brings counts of words down.
    """

    vectors: Double
    said: NDArray[np.int64]
    words: tuple[str, ...]
    word_vectors: Double
    holds: NDArray[np.bool_]
    tfidf: TfIdf | None = None
    down: Double | None = None

    def whole(self, adapter: Adapter, sentences: Sequence[str]) -> Adapter:
        """An adapter of these vectors as one of what a text is at first."""
        if self.tfidf is None or self.down is None:
            return adapter
        mean = self.tfidf.embed(sentences).mean(axis=0)
        down = np.asarray(self.down, np.float32)
        return Adapter(
            adapter.image_mean, adapter.image_scale, adapter.image_map, adapter.image_bias,
            mean, down @ adapter.text_map, adapter.image_second,
        )  # fmt: skip


def texts_of(
    pairs: Sequence[Pair], kind: Text, manager: ModelManager, task: Task
) -> SentenceVectors:
    """Read all sentences.

    Raises
    ------
    ModelError
        If the encoder is not installed.
    LabelError
        If the sentences hold no words.
    """
    flat = [sentence for pair in pairs for sentence in pair.sentences]
    of = np.repeat(np.arange(len(pairs)), [len(pair.sentences) for pair in pairs])
    names = {said: n for n, said in enumerate(dict.fromkeys(pair.sentences for pair in pairs))}
    said = np.array([names[pair.sentences] for pair in pairs], np.int64)
    words = chosen_words(pairs)
    holds = np.array([[w in _held(pair) for w in words] for pair in pairs], bool)
    if kind == "tfidf":
        tfidf = TfIdf.of(flat)
        if not tfidf.words:
            raise LabelError("The sentences hold no words.")
        counts = np.asarray(tfidf.embed(flat), np.float64)
        down = _down(counts)
        single, asked = counts @ down, np.asarray(tfidf.embed(words), np.float64) @ down
        return SentenceVectors(_means(single, of), said, words, asked, holds, tfidf, down)
    card = registry.card(kind)
    if card.missing:
        raise ModelError(
            f"{card.title} is not installed: pip install '{card.missing}'. Or let the words of the "
            "sentences do (tfidf)."
        )
    with manager.lease(card, task) as model:
        single = np.asarray(model.embed_texts(flat), np.float64)
        asked = np.asarray(model.embed_texts(words), np.float64) if words else single[:0]
    return SentenceVectors(_means(single, of), said, words, asked, holds)


def chosen_words(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Words that some pairs of several patients say and others do not, the most even ones first."""
    n, seen = len(pairs), dict[str, set[str]]()
    counts: dict[str, int] = {}
    for pair in pairs:
        for word in _held(pair):
            counts[word] = counts.get(word, 0) + 1
            seen.setdefault(word, set()).add(pair.patient)
    least = max(_FEW, round(_SHARE * n))
    fit = [
        w for w, c in counts.items()
        if least <= c <= n - least and len(seen[w]) > 1 and w not in _COMMON and len(w) > 2
    ]  # fmt: skip
    return tuple(sorted(fit, key=lambda w: (abs(counts[w] / n - 0.5), w))[:WORDS])


def _held(pair: Pair) -> set[str]:
    return {word for sentence in pair.sentences for word in words_of(sentence)}


def _down(counts: Double) -> Double:
    """(v, t) directions of most variance."""
    _, s, v = np.linalg.svd(counts - counts.mean(axis=0), full_matrices=False)
    kept = max(1, min(_DIRECTIONS, int((s > 1e-8 * max(float(s[0]), 1e-12)).sum())))
    return np.asarray(v[:kept].T, np.float64)


def _means(single: Double, of: NDArray[np.int64]) -> Double:
    sums = np.zeros((int(of.max()) + 1, single.shape[1]))
    np.add.at(sums, of, single)
    return sums / np.bincount(of)[:, None]
