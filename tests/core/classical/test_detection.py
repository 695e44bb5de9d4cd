"""Nuclei of a whole field without a network."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from painted_field import field
from skimage.io import imread

from histoprompt.core.classical.detection import find_nuclei, nucleus_radius
from histoprompt.core.metrics import iou
from histoprompt.core.stain.deconvolution import nucleus_stain, optical_density


@pytest.mark.parametrize("kind", ["he", "dab", "grey", "dark"])
def test_every_nucleus_is_found_once_and_touching_ones_apart(kind):
    image, truth = field(kind)
    found = find_nuclei(image)
    assert found.dtype == np.int32
    assert sorted(np.unique(found)) == list(range(len(np.unique(truth))))
    for value in range(1, truth.max() + 1):
        best = np.bincount(found[truth == value]).argmax()
        assert iou(found == best, truth == value) > 0.7


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_size_of_nuclei_is_read_from_the_image(scale):
    image, truth = field(scale=scale)
    radius = nucleus_radius(nucleus_stain(optical_density(image)))
    assert radius == pytest.approx(10 * scale, rel=0.3)
    assert find_nuclei(image).max() == truth.max()


def test_blue_and_brown_nuclei_are_both_found():
    image, truth = field("dab")
    blue = np.isin(truth, (1, 2))
    image[blue] = (120, 130, 180)
    found = find_nuclei(image)
    hit = [np.bincount(found[truth == v]).argmax() for v in range(1, truth.max() + 1)]
    assert 0 not in hit
    assert len(set(hit)) == len(hit)


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("shape", [(1, 1), (2, 40), (64, 64)])
def test_flat_images_hold_no_nuclei(value, shape):
    image = np.full((*shape, 3), value, np.uint8)
    found = find_nuclei(image)
    assert found.shape == shape
    assert not found.any()


def test_on_real_tiles_more_than_half_is_right(shared_data):
    folder = shared_data / "nuclei" / "dsb2018" / "stained"
    hits = predicted = real = 0
    for path in sorted((folder / "images").glob("*.png"))[:10]:
        truth = tifffile.imread(folder / "labels" / f"{path.stem}.tif")
        found = find_nuclei(imread(path)[..., :3])
        values = np.unique(truth[truth > 0])
        best = [np.bincount(found[truth == v]).argmax() for v in values]
        hits += sum(
            b > 0 and iou(found == b, truth == v) > 0.5 for b, v in zip(best, values, strict=True)
        )
        predicted, real = predicted + int(found.max()), real + len(values)
    assert 2 * hits / (predicted + real) > 0.5
