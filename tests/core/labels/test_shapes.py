"""Shapes of objects against scikit-image, which measures them one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as ndi
from skimage.draw import ellipse
from skimage.measure import regionprops_table
from skimage.segmentation import expand_labels

from histoprompt.core.labels.shapes import shapes


def blobs(seed: int) -> np.ndarray:
    """Touching and separate objects of all sizes, some at the edge."""
    rng = np.random.default_rng(seed)
    noise = ndi.gaussian_filter(rng.normal(size=(60, 80)), 2)
    labels, _ = ndi.label(noise > 0.05)
    return expand_labels(labels, 2).astype(np.int32)


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_shapes_are_those_of_regionprops(seed):
    labels = blobs(seed)
    found = shapes(labels)
    names = ("area", "perimeter", "axis_major_length", "axis_minor_length")
    true = regionprops_table(labels, properties=names)
    assert found.area.tolist() == true["area"].tolist()
    assert found.perimeter == pytest.approx(true["perimeter"])
    # A pixel counts as a square here and as a point there.
    assert (found.major >= true["axis_major_length"]).all()
    assert found.major**2 == pytest.approx(true["axis_major_length"] ** 2 + 4 / 3)
    assert found.minor**2 == pytest.approx(true["axis_minor_length"] ** 2 + 4 / 3)


def test_solidity_tells_a_disc_from_a_crescent():
    labels = np.zeros((60, 120), np.int32)
    labels[ellipse(30, 30, 20, 20)] = 1
    labels[ellipse(30, 85, 20, 20)] = 2
    labels[ellipse(30, 97, 20, 20)] = 0
    found = shapes(labels)
    hulls = regionprops_table(labels, properties=("solidity", "feret_diameter_max"))
    assert found.solidity == pytest.approx(hulls["solidity"], abs=0.02)
    assert found.feret == pytest.approx(hulls["feret_diameter_max"], abs=1)
    assert found.solidity[0] > 0.97
    assert found.solidity[1] < 0.75
    assert found.eccentricity[0] < 0.1 < found.eccentricity[1]


def test_a_missing_label_has_no_shape():
    labels = np.zeros((10, 10), np.int32)
    labels[2:5, 2:5] = 3
    found = shapes(labels)
    for name in ("area", "perimeter", "major", "solidity", "feret", "eccentricity"):
        assert np.isnan(getattr(found, name)).tolist() == [True, True, False]
    assert found.area[2] == 9


def test_no_objects_have_no_shapes():
    assert shapes(np.zeros((5, 5), np.int32)).area.shape == (0,)


def test_a_single_pixel_is_round():
    labels = np.zeros((5, 5), np.int32)
    labels[2, 2] = 1
    found = shapes(labels)
    assert found.eccentricity[0] == 0
    assert found.solidity[0] == 1
    assert found.feret[0] == pytest.approx(1)
