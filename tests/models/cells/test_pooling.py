"""Embeddings under masks, and pictures of cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histoprompt.models.cells.pooling import crops, pool


@given(st.integers(0, 10_000), st.sampled_from([1, 2, 4]))
@settings(max_examples=20, deadline=None)
def test_pooling_is_the_mean_over_the_pixels_of_a_cell(seed, stride):
    rng = np.random.default_rng(seed)
    embedding = rng.normal(size=(5, 6, 7)).astype(np.float32)
    shape = (int(rng.integers(1, 6 * stride + 1)), int(rng.integers(1, 7 * stride + 1)))
    labels = rng.integers(0, 4, shape).astype(np.int32)
    found = pool(embedding, labels, stride)
    large = embedding.repeat(stride, 1).repeat(stride, 2)[:, : shape[0], : shape[1]]
    assert found.shape == (labels.max(), 5)
    for i, row in enumerate(found):
        inside = labels == i + 1
        if inside.any():
            assert row == pytest.approx(large[:, inside].mean(axis=1), abs=1e-5)
        else:
            assert np.isnan(row).all()


def test_nothing_is_pooled_without_cells():
    assert pool(np.zeros((3, 2, 2)), np.zeros((4, 4), np.int32), 2).shape == (0, 3)


def test_labels_beyond_the_embedding_are_refused():
    with pytest.raises(ValueError, match="outside"):
        pool(np.zeros((3, 2, 2)), np.zeros((9, 8), np.int32), 4)


def test_crops_hold_the_cell_in_their_middle():
    image = np.zeros((60, 80, 3), np.uint8)
    labels = np.zeros((60, 80), np.int32)
    labels[20:30, 40:50] = 7
    image[20:30, 40:50] = (200, 10, 90)
    (same,) = crops(image, labels, np.array([7]), margin=2, size=20)
    assert same.shape == (20, 20, 3)
    assert (same[5:15, 5:15] == (200, 10, 90)).all()
    assert same.sum() == image.sum()
    (large,) = crops(image, labels, np.array([7]), margin=2, size=40)
    assert large.mean() == pytest.approx(same.mean(), rel=0.1)


def test_crops_at_the_edge_are_mirrored():
    image = np.full((30, 30, 3), 50, np.uint8)
    labels = np.zeros((30, 30), np.int32)
    labels[0:4, 26:30] = 1
    (found,) = crops(image, labels, np.array([1]), margin=3, size=12)
    assert (found == 50).all()
    image[:, 29] = 90
    (found,) = crops(image, labels, np.array([1]), margin=3, size=12)
    assert (found[:, 7] == 90).all()
    assert (found[:, 8] == 90).all()
    assert (found[:, 6] == 50).all()


def test_a_cell_larger_than_the_image_has_a_crop():
    labels = np.ones((5, 9), np.int32)
    assert crops(np.zeros((5, 9, 3), np.uint8), labels, np.array([1]), 8, 16).shape == (
        1,
        16,
        16,
        3,
    )


@pytest.mark.parametrize("name", [0, 2, 9])
def test_a_crop_of_no_cell_is_refused(name):
    labels = np.array([[0, 1], [3, 3]], np.int32)
    with pytest.raises(ValueError, match=str(name)):
        crops(np.zeros((2, 2, 3), np.uint8), labels, np.array([name]), 2, 8)
