"""A slide in other colours or another light is told; real H&E and H-DAB are not."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from skimage.data import immunohistochemistry

from histoprompt.core.slides.slide import Slide
from histoprompt.core.stain.look import EXCHANGED, FLUORESCENCE, doubts_of, look_at


def stained(first, second, seed=0, side=400):
    """Discs of one dye on a ground of another, by Beer and Lambert."""
    rng = np.random.default_rng(seed)
    r, c = np.mgrid[0:side, 0:side]
    amount = np.zeros((side, side))
    for row, col in rng.integers(0, side, (120, 2)):
        amount = np.maximum(amount, ((r - row) ** 2 + (c - col) ** 2 < 9**2) * 1.0)
    ground = 0.5 + 0.2 * np.sin(r / 17) * np.cos(c / 23)
    ground[:, : side // 5] = 0
    amount[:, : side // 5] = 0
    density = amount[..., None] * np.array(first) + (ground * (1 - amount))[..., None] * second
    light = 240 * 10.0**-density + rng.normal(0, 2, density.shape)
    return light.clip(0, 255).astype(np.uint8)


# Ruifrok and Johnston
HAEMATOXYLIN, EOSIN, DAB = (0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78)


@pytest.mark.parametrize("seed", range(3))
def test_haematoxylin_and_eosin_with_red_and_blue_exchanged(seed):
    image = stained(HAEMATOXYLIN, np.array(EOSIN), seed)
    assert doubts_of(image) == ()
    assert doubts_of(np.ascontiguousarray(image[..., ::-1])) == (EXCHANGED,)


def test_an_immunostain_is_not_taken_for_an_exchanged_picture():
    assert doubts_of(immunohistochemistry()) == ()
    assert doubts_of(stained(DAB, 0.5 * np.array(HAEMATOXYLIN))) == ()


def test_fluorescence_is_told():
    image = 255 - stained(HAEMATOXYLIN, np.array(EOSIN))
    dark = (image * np.array([0.1, 0.1, 1.0])).astype(np.uint8)
    dark[dark.max(axis=2) < 120] = 5
    assert doubts_of(dark) == (FLUORESCENCE,)


@pytest.mark.parametrize("value", [255, 243, 128])
def test_glass_and_grey_tell_nothing(value):
    assert doubts_of(np.full((100, 100, 3), value, np.uint8)) == ()
    ramp = np.repeat(np.linspace(70, 255, 200).astype(np.uint8)[None, :, None], 100, 0)
    assert doubts_of(np.repeat(ramp, 3, axis=2)) == ()


def test_a_slide_is_looked_at_cheaply():
    image = stained(HAEMATOXYLIN, np.array(EOSIN))[..., ::-1]
    small = Slide.from_arrays("x", [np.ascontiguousarray(image)], mpp=0.5)
    assert look_at(small) == (EXCHANGED,)

    class Huge:
        shape, dtype, read = (200_000, 200_000, 3), np.dtype(np.uint8), 0

        def __getitem__(self, key):
            rows, cols, _ = key
            h, w = rows.stop - rows.start, cols.stop - cols.start
            Huge.read += h * w
            return np.tile(image, (h // 400 + 1, w // 400 + 1, 1))[:h, :w]

    assert look_at(Slide.from_arrays("x", [Huge()], mpp=0.5, key="k")) == (EXCHANGED,)
    assert Huge.read < 2**22


@pytest.mark.shared
def test_real_slides_raise_no_doubt_and_exchanged_they_do(shared_data):
    for name in ("CMU-1-Small-Region.svs", "OS-1-detail.ome.tif"):
        with tifffile.TiffFile(shared_data / "slides" / name) as tiff:
            image = np.ascontiguousarray(tiff.series[0].levels[0].asarray()[::4, ::4])
        assert doubts_of(image) == ()
        assert doubts_of(np.ascontiguousarray(image[..., ::-1])) == (EXCHANGED,)
    for name in ("OS-2-ndpi.ome.tif", "OS-2-vsi.ome.tif"):
        with tifffile.TiffFile(shared_data / "slides" / name) as tiff:
            image = np.ascontiguousarray(tiff.series[0].levels[0].asarray()[::4, ::4])
        assert doubts_of(image) == ()
