"""Tile embeddings on disk: nothing twice, nothing lost, nothing half-true."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from histoprompt.core.errors import ExportError
from histoprompt.pipelines.embedding import embedding_store
from histoprompt.pipelines.embedding.embedding_store import (
    CHUNK,
    EmbeddingStore,
    StoreKey,
    TileVectors,
)

KEY = StoreKey("slide", "model", "sha256:abcdef", 64, 64, 224)
SHAPE = (40, 50)


def places_of(numbers: np.ndarray) -> np.ndarray:
    return np.stack(np.divmod(numbers, SHAPE[1]), axis=1).astype(np.int32)


def vectors_of(places: np.ndarray) -> np.ndarray:
    """Of each place its own, exact in float16."""
    return np.stack([places[:, 0], places[:, 1], np.ones(len(places))], axis=1).astype(np.float32)


def fill(folder: Path, numbers: np.ndarray, batch: int = 32, key: StoreKey = KEY) -> None:
    with EmbeddingStore(folder, key, SHAPE) as store:
        todo = places_of(numbers)
        todo = todo[store.missing(todo)]
        for start in range(0, len(todo), batch):
            part = todo[start : start + batch]
            store.append(part, vectors_of(part))


def loaded(folder: Path, numbers: np.ndarray, **more: int) -> np.ndarray:
    with EmbeddingStore(folder, KEY, SHAPE) as store:
        return store.load(places_of(numbers), **more).take(np.arange(len(numbers)))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**31), parts=st.integers(1, 4), batch=st.sampled_from([1, 7, 256, 300]))
def test_what_was_put_in_comes_out_in_any_order(tmp_path_factory, seed, parts, batch):
    folder = tmp_path_factory.mktemp("store")
    rng = np.random.default_rng(seed)
    numbers = rng.permutation(SHAPE[0] * SHAPE[1])[: rng.integers(1, 600)]
    for part in np.array_split(numbers, parts):
        fill(folder, part, batch)
    wanted = rng.permutation(numbers)
    assert np.array_equal(loaded(folder, wanted), vectors_of(places_of(wanted)))


def test_in_memory_and_on_disk_answer_alike(tmp_path):
    numbers = np.random.default_rng(1).permutation(900)
    fill(tmp_path, numbers)
    texts = np.eye(3, dtype=np.float32)[:2]
    with EmbeddingStore(tmp_path, KEY, SHAPE) as store:
        some = places_of(numbers[::3])
        memory, disk = store.load(some), store.load(some, largest=0)
        assert isinstance(memory.source, np.ndarray)
        assert not isinstance(disk.source, np.ndarray)
        assert np.array_equal(memory.similarities(texts), disk.similarities(texts))
        few = np.array([5, 2, 9])
        assert np.array_equal(memory.take(few), disk.take(few))


def test_similarities_are_those_of_a_plain_product():
    rng = np.random.default_rng(0)
    source = rng.normal(size=(1000, 8)).astype(np.float32)
    texts = rng.normal(size=(3, 8)).astype(np.float32)
    rows = rng.permutation(1000)[:100]
    assert np.allclose(TileVectors(source, rows).similarities(texts), (source @ texts.T)[rows])


def test_a_killed_process_loses_at_most_a_chunk(tmp_path):
    script = f"""
        import os, sys
        sys.path[:0] = [{str(Path(__file__).parent)!r}]
        import numpy as np
        from pathlib import Path
        from test_embedding_store import KEY, SHAPE, places_of, vectors_of
        from histoprompt.pipelines.embedding.embedding_store import EmbeddingStore
        store = EmbeddingStore(Path({str(tmp_path)!r}), KEY, SHAPE)
        for start in range(0, 1000, 50):
            part = places_of(np.arange(start, start + 50))
            store.append(part, vectors_of(part))
        os._exit(9)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == 9
    everything = places_of(np.arange(1000))
    with EmbeddingStore(tmp_path, KEY, SHAPE) as store:
        left = int(store.missing(everything).sum())
        assert 0 < left < CHUNK
        assert len(store) == 1000 - left
    fill(tmp_path, np.arange(1000))
    assert np.array_equal(loaded(tmp_path, np.arange(1000)), vectors_of(everything))


def test_a_row_without_a_place_does_not_count(tmp_path):
    fill(tmp_path, np.arange(300))
    group = zarr.open_group(KEY.folder(tmp_path), mode="a")
    group["places"][290:300] = -1  # as if killed between the vectors and their places
    with EmbeddingStore(tmp_path, KEY, SHAPE) as store:
        assert store.missing(places_of(np.arange(300))).nonzero()[0].tolist() == [*range(290, 300)]
    fill(tmp_path, np.arange(300))
    assert np.array_equal(loaded(tmp_path, np.arange(300)), vectors_of(places_of(np.arange(300))))


def test_another_model_grid_or_weights_is_another_store(tmp_path):
    fill(tmp_path, np.arange(10))
    for changed in (
        replace(KEY, model="other"),
        replace(KEY, weights="sha256:fedcba"),
        replace(KEY, step=32),
        replace(KEY, side=128),
        replace(KEY, slide="another"),
    ):
        with EmbeddingStore(tmp_path, changed, SHAPE) as store:
            assert store.missing(places_of(np.arange(10))).all(), changed


def test_the_same_name_with_other_content_is_refused(tmp_path):
    fill(tmp_path, np.arange(10))
    longer = replace(KEY, weights=KEY.weights + "0")
    group = zarr.open_group(KEY.folder(tmp_path), mode="a")
    group.attrs["weights"] = longer.weights
    with pytest.raises(ExportError, match="something else"), EmbeddingStore(tmp_path, KEY, SHAPE):
        pass


def test_two_writers_are_kept_apart(tmp_path):
    with EmbeddingStore(tmp_path, KEY, SHAPE), pytest.raises(ExportError, match="another job"):
        EmbeddingStore(tmp_path, KEY, SHAPE)
    fill(tmp_path, np.arange(3))  # the lock is free again


def test_a_full_disk_keeps_what_was_there(tmp_path, monkeypatch):
    fill(tmp_path, np.arange(600))
    whole = embedding_store._array

    class Full:
        def __init__(self, inner):
            self.inner = inner

        shape = property(lambda self: self.inner.shape)

        def __getitem__(self, key):
            return self.inner[key]

        def __setitem__(self, key, value):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(embedding_store, "_array", lambda *a: Full(whole(*a)))
    with pytest.raises(ExportError, match="no room"):
        fill(tmp_path, np.arange(600, 1200))
    monkeypatch.undo()
    assert np.array_equal(loaded(tmp_path, np.arange(600)), vectors_of(places_of(np.arange(600))))
    fill(tmp_path, np.arange(1200))
    assert np.array_equal(loaded(tmp_path, np.arange(1200)), vectors_of(places_of(np.arange(1200))))


def test_it_takes_two_bytes_a_number(tmp_path):
    fill(tmp_path, np.arange(2 * CHUNK))
    with EmbeddingStore(tmp_path, KEY, SHAPE) as store:
        vectors = 2 * CHUNK * 3 * 2
        assert vectors < store.n_bytes < vectors + 10_000


@pytest.mark.parametrize("content", [b"", b"short", None])
@pytest.mark.parametrize(
    "name", ["vectors/c/0/0", "places/c/0/0", "vectors/zarr.json", "zarr.json"]
)
def test_damaged_embeddings_are_seen_as_missing_and_made_again(tmp_path, name, content):
    places = np.array([[0, 1], [2, 3]], np.int32)
    vectors = np.eye(2, 8, dtype=np.float32)
    for _ in range(2):
        with EmbeddingStore(tmp_path, KEY, SHAPE) as store:
            missing = places[store.missing(places)]
            if len(missing):
                store.append(missing, vectors[store.missing(places)])
            assert np.allclose(store.load(places).take(np.arange(2)), vectors)
        path = KEY.folder(tmp_path) / name
        path.unlink() if content is None else path.write_bytes(content)


def test_a_power_cut_loses_no_whole_chunk(tmp_path, disk):
    places = np.argwhere(np.ones(SHAPE, bool))[:CHUNK].astype(np.int32)
    vectors = np.random.default_rng(0).normal(size=(len(places), 8)).astype(np.float32)
    with EmbeddingStore(tmp_path / "disk", KEY, SHAPE) as store:
        store.append(places, vectors)
        store.load(places)  # writes what is in hand
        with EmbeddingStore(disk.cut(tmp_path / "left"), KEY, SHAPE) as found:
            assert not found.missing(places).any()
            assert np.allclose(found.load(places).take(np.arange(len(places))), vectors, atol=1e-2)
