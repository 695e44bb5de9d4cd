"""Features of cells."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import disk

from histoprompt.core.stain.fit import StainMatrix, fit_dyes
from histoprompt.pipelines.cells.features import FEATURE_NAMES, measure

HE = StainMatrix.published("H&E")


def column(features: np.ndarray, name: str) -> np.ndarray:
    return features[:, FEATURE_NAMES.index(name)]


def painted(*cells: tuple[float, float, int, float], shape=(80, 120)) -> tuple:
    """A pink field with discs of (row, col, radius, haematoxylin)."""
    amounts = np.zeros((*shape, 2))
    amounts[..., 1] = 0.15
    labels = np.zeros(shape, np.int32)
    for i, (r, c, radius, haematoxylin) in enumerate(cells, start=1):
        where = disk((r, c), radius, shape=shape)
        labels[where] = i
        amounts[where] = (haematoxylin, 0.05)
    density = amounts @ np.stack([HE.haematoxylin, HE.other])
    return np.rint((256 * 10**-density - 1).clip(0, 255)).astype(np.uint8), labels


def test_lengths_are_microns_and_dyes_are_densities():
    image, labels = painted((40, 30, 12, 0.8), (40, 80, 8, 0.3))
    found = measure(image, labels, 0.5, HE)
    assert found.shape == (2, len(FEATURE_NAMES))
    assert found.dtype == np.float32
    assert column(found, "mask_um2") == pytest.approx((labels == [[[1]], [[2]]]).sum((1, 2)) / 4)
    assert column(found, "major_um") == pytest.approx([12, 8], rel=0.03)
    assert column(found, "perimeter_um") == pytest.approx([np.pi * 12, np.pi * 8], rel=0.1)
    assert column(found, "haematoxylin_mean") == pytest.approx([0.8, 0.3], abs=0.02)
    assert column(found, "eosin_mean") == pytest.approx([0.05, 0.05], abs=0.02)
    assert column(found, "eosin_ring") == pytest.approx([0.15, 0.15], abs=0.02)
    assert column(found, "dab_mean").tolist() == [0, 0]


def test_features_do_not_depend_on_where_a_cell_lies_or_on_its_number():
    image, labels = painted((30, 30, 9, 0.6))
    moved = np.roll(image, (17, 40), (0, 1)), np.roll(labels, (17, 40), (0, 1)) * 3
    found = measure(*moved, 0.25, HE)
    assert np.isnan(found[:2]).all()
    assert found[2] == pytest.approx(measure(image, labels, 0.25, HE)[0], rel=1e-4, abs=1e-5)


def test_a_ring_holds_no_other_cell():
    image, labels = painted((40, 40, 10, 0.8), (40, 61, 10, 0.8))
    found = measure(image, labels, 0.5, HE)
    assert column(found, "haematoxylin_ring") == pytest.approx([0, 0], abs=0.02)


def test_a_cell_without_room_has_no_ring():
    labels = np.ones((20, 20), np.int32)
    image, _ = painted((10, 10, 30, 0.5), shape=(20, 20))
    found = measure(image, labels, 0.5, HE)
    missing = [n for n, v in zip(FEATURE_NAMES, found[0], strict=True) if np.isnan(v)]
    assert missing == ["haematoxylin_ring", "eosin_ring", "dab_ring"]


def test_texture_tells_smooth_from_coarse_chromatin():
    image, labels = painted((40, 30, 12, 0.5), (40, 80, 12, 0.5))
    rough = np.random.default_rng(0).integers(-40, 40, image.shape[:2])
    rough[labels != 2] = 0
    image = (image.astype(int) + rough[..., None]).clip(0, 255).astype(np.uint8)
    found = measure(image, labels, 0.25, HE)
    for name in ("density_contrast", "density_grain", "density_entropy"):
        smooth, coarse = column(found, name)
        assert coarse > 2 * smooth, name
    assert column(found, "density_p10")[1] < column(found, "density_p90")[1]


def test_without_dyes_those_of_the_image_are_taken():
    image, labels = painted((40, 30, 12, 0.8), (40, 80, 8, 0.4))
    own = measure(image, labels, 0.5)
    assert own == pytest.approx(measure(image, labels, 0.5, fit_dyes(image)))


def test_no_cells_have_no_features():
    image, labels = painted()
    assert measure(image, labels, 0.5).shape == (0, len(FEATURE_NAMES))


def test_names_are_unlike_the_other_columns_of_a_table():
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)
    assert not {"id", "row", "col", "area_um2", "class", "score"} & set(FEATURE_NAMES)
