"""Windows on a lattice: the same cells whatever image they are seen in."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage as ndi

from histoprompt.core.errors import Cancelled
from histoprompt.models import registry
from histoprompt.models.cells.windowed import GLASS_CONTRAST, WindowedCells
from histoprompt.models.roles import SteppedSegmenter


def moody(window: np.ndarray) -> np.ndarray:
    """Finds what is darker than the window's mean: the answer depends on the window."""
    plane = window[..., 0].astype(float)
    return ndi.label(plane < plane.mean() - 20)[0].astype(np.int32)


def picture(shape: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng(4)
    seeds = np.ones(shape, bool)
    seeds[rng.integers(0, shape[0], 150), rng.integers(0, shape[1], 150)] = False
    near = ndi.distance_transform_edt(seeds) <= 4
    return np.where(near[..., None], 60, 200).astype(np.uint8).repeat(3, axis=2)


def test_images_a_step_apart_give_the_same_cells():
    image, model = picture((64 + 5 * 48, 64 + 6 * 48)), WindowedCells(moody, 64, 48)
    whole = model.segment(image)
    part = model.segment(image[48 : 48 + 64 + 3 * 48, 96 : 96 + 64 + 4 * 48])
    inner = (slice(20, -20), slice(20, -20))
    a, b = whole[48 : 48 + 208, 96 : 96 + 256][inner], part[inner]
    assert np.array_equal(a > 0, b > 0)
    pairs = np.unique(np.stack([a[a > 0], b[a > 0]]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def test_labels_have_no_gaps_and_no_cell_is_lost():
    image = picture((300, 277))
    model = WindowedCells(lambda w: ndi.label(w[..., 0] < 100)[0].astype(np.int32), 64, 48)
    labels = model.segment(image)
    assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1))
    assert np.array_equal(labels > 0, image[..., 0] < 100)


def test_an_image_smaller_than_a_window_and_an_empty_one():
    model = WindowedCells(moody, 64, 48)
    assert model.segment(np.full((20, 30, 3), 200, np.uint8)).max() == 0
    assert model.segment(np.full((200, 300, 3), 200, np.uint8)).shape == (200, 300)


def test_the_classical_segmenter_of_cells():
    card = registry.card("classical-cells")
    image = np.full((200, 200, 3), (225, 190, 215), np.uint8)
    rows, cols = np.ogrid[:200, :200]
    places = [(40, 50), (40, 120), (110, 60), (150, 150)]
    for r, c in places:
        image[(rows - r) ** 2 + (cols - c) ** 2 <= 11**2] = (95, 55, 140)
    labels = registry.load_model(card, None, "cpu").segment(image)
    assert labels.max() == len(places)
    assert all(labels[p] for p in places)


def test_bare_glass_is_shown_to_nobody():
    image = np.full((150, 70, 3), 235, np.uint8)
    image += np.random.default_rng(0).integers(0, 9, image.shape, np.uint8)
    image[120:130, 20:30] = 120
    model = WindowedCells(lambda w: np.ones(w.shape[:2], np.int32), 64, 48, GLASS_CONTRAST)
    labels = model.segment(image)
    assert labels[:90].max() == 0
    assert labels[120:130, 20:30].min() > 0


def test_it_can_be_stopped_before_each_window():
    image = picture((64 + 3 * 48, 64 + 2 * 48))
    model = WindowedCells(moody, 64, 48)
    seen: list[int] = []

    def stop_at_the_third() -> None:
        seen.append(len(seen))
        if len(seen) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        model.stepping(stop_at_the_third).segment(image)
    assert len(seen) == 3
    counted: list[int] = []
    found = model.stepping(lambda: counted.append(1)).segment(image)
    assert len(counted) == 4 * 3
    assert np.array_equal(found, model.segment(image))
    assert isinstance(model, SteppedSegmenter)
