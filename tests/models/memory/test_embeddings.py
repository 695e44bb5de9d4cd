"""The embedding cache: bounded, each made once, safe between threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoprompt.core.errors import Cancelled
from histoprompt.core.geometry import Box
from histoprompt.models.memory.embeddings import EmbeddingCache, EmbeddingKey
from histoprompt.models.roles import Embedding


def key(i=0, slide="s", model="m", shape=(8, 8)):
    return EmbeddingKey(slide, model, Box(0, i, 8, i + 8), shape)


def embedding(n_bytes=10, data=None):
    return Embedding("m", (8, 8), data, n_bytes)


def test_a_second_request_is_served_from_the_cache():
    cache = EmbeddingCache(100)
    first = cache.get_or_compute(key(), embedding)
    assert cache.get_or_compute(key(), lambda: pytest.fail("made twice")) is first
    assert key() in cache
    assert (len(cache), cache.n_bytes) == (1, 10)


def test_every_part_of_the_key_counts():
    cache = EmbeddingCache(100)
    keys = [key(), key(1), key(slide="t"), key(model="n"), key(shape=(4, 4))]
    made = [cache.get_or_compute(k, embedding) for k in keys]
    assert len({id(e) for e in made}) == 5


def test_the_least_recently_used_goes_first():
    cache = EmbeddingCache(30)
    for i in (1, 2, 3, 1, 4):
        cache.get_or_compute(key(i), embedding)
    assert [i for i in (1, 2, 3, 4) if key(i) in cache] == [1, 3, 4]


def test_one_too_large_is_made_but_not_kept():
    cache = EmbeddingCache(30)
    cache.get_or_compute(key(1), embedding)
    assert cache.get_or_compute(key(2), lambda: embedding(31)).n_bytes == 31
    assert key(2) not in cache
    assert cache.n_bytes <= 30


def test_a_lower_bound_takes_effect_at_once():
    cache = EmbeddingCache(30)
    for i in range(3):
        cache.get_or_compute(key(i), embedding)
    cache.max_bytes = 15
    assert (len(cache), cache.n_bytes, cache.max_bytes) == (1, 10, 15)
    cache.clear()
    assert (len(cache), cache.n_bytes) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60)), max_size=60))
def test_never_above_the_bound_and_always_right(requests):
    cache, sizes = EmbeddingCache(100), {}
    for i, n_bytes in requests:
        found = cache.get_or_compute(key(i), lambda i=i, n=n_bytes: embedding(n, data=i))
        assert found.data == i
        sizes[i] = found.n_bytes
        assert cache.n_bytes == sum(sizes[j] for j in range(10) if key(j) in cache) <= 100


def test_threads_that_ask_at_once_make_it_once():
    cache, made, entered = EmbeddingCache(100), [], threading.Event()

    def compute():
        made.append(threading.get_ident())
        entered.set()
        release.wait()
        return embedding()

    release = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(cache.get_or_compute, key(), compute) for _ in range(8)]
        entered.wait()
        release.set()
        found = {id(f.result()) for f in futures}
    assert len(made) == len(found) == 1


def test_different_keys_do_not_wait_for_each_other():
    cache, both = EmbeddingCache(100), threading.Barrier(2)

    def compute():
        both.wait()  # passes only if both are being made at the same time
        return embedding()

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(cache.get_or_compute, key(i), compute) for i in range(2)]
        assert all(f.result() for f in futures)


@pytest.mark.parametrize("error", [Cancelled(), MemoryError()])
def test_if_making_fails_the_one_who_waits_makes_it(error):
    cache, entered, release = EmbeddingCache(100), threading.Event(), threading.Event()

    def failing():
        entered.set()
        release.wait()
        raise error

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get_or_compute, key(), failing)
        entered.wait()
        second = pool.submit(cache.get_or_compute, key(), embedding)
        release.set()
        assert second.result().n_bytes == 10
        with pytest.raises(type(error)):
            first.result()
    assert key() in cache


def test_many_threads_and_keys():
    cache = EmbeddingCache(45)

    def ask(k):
        for i in range(200):
            n = (i * 7 + k) % 12
            assert cache.get_or_compute(key(n), lambda n=n: embedding(10, data=n)).data == n

    with ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(ask, k) for k in range(6)]:
            future.result()
    assert cache.n_bytes == 10 * len(cache) <= 45
