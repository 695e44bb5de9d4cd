"""Vectors of a list of texts are made once, and never taken for those of another list."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.pipelines.text.kept_vectors import kept_vectors

TEXTS = ("tumour", "stroma", "fat")


@pytest.fixture
def asked():
    return []


@pytest.fixture
def embed(asked):
    """The length of each text and of the list it came in."""

    def vectors(texts):
        asked.append(tuple(texts))
        return np.array([[len(text), len(texts)] for text in texts], np.float32)

    return vectors


def test_they_are_made_once_for_a_list(tmp_path, embed, asked):
    first = kept_vectors(tmp_path / "a", TEXTS, embed)
    again = kept_vectors(tmp_path / "a", TEXTS, embed)
    assert first.tolist() == again.tolist() == [[6, 3], [6, 3], [3, 3]]
    assert again.dtype == np.float32
    assert asked == [TEXTS]
    assert kept_vectors(tmp_path / "a", TEXTS[:2], embed).shape == (2, 2)
    assert kept_vectors(tmp_path / "a", TEXTS[::-1], embed)[0].tolist() == [3, 3]
    kept_vectors(tmp_path / "other encoder", TEXTS, embed)
    assert len(asked) == 4


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\x93NUMPY",
        "cut",
        np.zeros((3, 2)),
        np.zeros((2, 2), np.float32),
        np.zeros(3, np.float32),
        np.full((3, 2), np.nan, np.float32),
        np.array([[{}], [1], [2]], object),
    ],
    ids=["empty", "a head", "cut", "float64", "two rows", "flat", "no numbers", "a pickle"],
)
def test_a_damaged_file_is_made_anew(tmp_path, embed, asked, damage):
    whole = kept_vectors(tmp_path, TEXTS, embed)
    (path,) = tmp_path.glob("*.npy")
    if isinstance(damage, np.ndarray):
        np.save(path, damage, allow_pickle=True)
    else:
        path.write_bytes(path.read_bytes()[:-5] if damage == "cut" else damage)
    assert np.array_equal(kept_vectors(tmp_path, TEXTS, embed), whole)
    assert len(asked) == 2
    kept_vectors(tmp_path, TEXTS, embed)
    assert len(asked) == 2


def test_where_nothing_can_be_kept_they_are_made_each_time(tmp_path, embed, asked):
    (tmp_path / "a").write_text("a file, where a folder should be")
    for _ in range(2):
        assert len(kept_vectors(tmp_path / "a", TEXTS, embed)) == 3
    assert len(asked) == 2
