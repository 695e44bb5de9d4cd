"""White balance and DAB: what becomes white, what becomes brown."""

from __future__ import annotations

import numpy as np

from histoprompt.training import augment, recolour


def field(glass=1.0):
    """A grey or white field with one nucleus."""
    rows, cols = np.mgrid[:96, :96]
    labels = ((rows - 40) ** 2 + (cols - 40) ** 2 < 12**2).astype(np.int32)
    od = np.where(labels[..., None] > 0, 1.2 * augment.HAEMATOXYLIN, 0.3 * augment.EOSIN)
    od[:20] = 0
    return augment.to_rgb(np.asarray(od - np.log(glass), np.float32)), labels


def test_a_grey_background_becomes_white():
    image, _ = field(glass=160 / 256)
    assert abs(int(image[5, 5, 0]) - 159) <= 1
    whites = [recolour.balanced(image, np.random.default_rng(k))[5, 5].min() for k in range(20)]
    assert max(whites) >= 254
    assert np.median(whites) >= 250
    assert min(whites) >= 158


def test_a_white_background_stays():
    image, _ = field()
    assert recolour.balanced(image, np.random.default_rng(0))[5, 5].min() >= 253


def brownness(rgb):
    """How much more blue than red is absorbed; negative for haematoxylin."""
    od = augment.to_od(rgb)
    return od[..., 2] - od[..., 0]


def test_some_cells_become_brown_in_nucleus_membrane_or_around():
    image, labels = field()
    away = np.hypot(*(np.mgrid[:96, :96] - 40)) - 12
    places = {"inside": away < -2, "ring": (away > 1) & (away < 10)}
    seen = {name: [] for name in places}
    for seed in range(40):
        shown = brownness(recolour.with_dab(image, labels, np.random.default_rng(seed)))
        for name, where in places.items():
            seen[name].append(shown[where].mean())
    assert max(seen["ring"]) > 0.1
    assert min(seen["inside"]) < -0.3  # blue nuclei are left in some
    assert max(seen["inside"]) > -0.1  # and browner ones are in others


def test_what_is_far_from_cells_is_hardly_brown():
    image, labels = field()
    for seed in range(20):
        shown = recolour.with_dab(image, labels, np.random.default_rng(seed))
        assert augment.to_od(shown)[85:, 85:].mean() < 0.25
