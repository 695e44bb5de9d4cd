"""Cosines kept: the same numbers, computed once, within a bound."""

from __future__ import annotations

import numpy as np

from histoprompt.pipelines.text.similarity_cache import CosineCache

TILES = np.random.default_rng(1).normal(size=(50, 8)).astype(np.float32)
TEXTS = np.random.default_rng(2).normal(size=(6, 8)).astype(np.float32)
COLUMN = TILES.shape[0] * 4


class Counts:
    """Tells which texts were held against the tiles."""

    def __init__(self) -> None:
        self.computed: list[int] = []

    def __call__(self, texts):
        self.computed.append(len(texts))
        return TILES @ texts.T


def test_only_new_texts_are_held_against_tiles():
    compute = Counts()
    cache = CosineCache(compute)
    assert np.allclose(cache.of(TEXTS[:4]), TILES @ TEXTS[:4].T, atol=1e-6)
    mixed = TEXTS[[5, 1, 2, 1]]
    assert np.allclose(cache.of(mixed), TILES @ mixed.T, atol=1e-6)
    cache.of(TEXTS[[2, 5]])
    assert compute.computed == [4, 1]


def test_no_more_is_kept_than_allowed_but_the_last_question():
    compute = Counts()
    cache = CosineCache(compute, largest=2 * COLUMN)
    cache.of(TEXTS[:4])
    assert cache.n_bytes == 4 * COLUMN
    cache.of(TEXTS[3:5])
    assert cache.n_bytes == 2 * COLUMN
    assert np.allclose(cache.of(TEXTS[:1]), TILES @ TEXTS[:1].T, atol=1e-6)
    assert compute.computed == [4, 1, 1]


def test_what_is_given_out_is_not_what_is_kept():
    cache = CosineCache(Counts())
    first = cache.of(TEXTS[:2])
    first[:] = 9
    assert np.allclose(cache.of(TEXTS[:2]), TILES @ TEXTS[:2].T, atol=1e-6)
