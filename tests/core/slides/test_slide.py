"""Reading regions: the same picture at every resolution, from any kind of array."""

from __future__ import annotations

import threading

import dask.array
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from histoprompt.core.errors import RegionError, SlideError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.info import describe
from histoprompt.core.slides.levels import PixelRule, RgbLevel
from histoprompt.core.slides.resample import read_resampled
from histoprompt.core.slides.slide import Slide

SIZE = (600, 803)


def scene(rows, cols):
    """A smooth picture in level-0 coordinates; each channel varies otherwise."""
    r, c = np.asarray(rows, float), np.asarray(cols, float)
    red = 128 + 80 * np.sin(r / 60) * np.cos(c / 75)
    green = 128 + 70 * np.cos((r + c) / 90)
    blue = 40 + 0.15 * r + 0.1 * c
    return np.stack([red, green, blue], axis=-1)


def level_of(downsample, rounding):
    """A level whose pixel i covers level-0 pixels i*d ... i*d + d - 1, cut or filled to whole."""
    h, w = (int(rounding(n / downsample)) for n in SIZE)
    rows = (np.arange(h) + 0.5) * downsample - 0.5
    cols = (np.arange(w) + 0.5) * downsample - 0.5
    return np.rint(scene(*np.meshgrid(rows, cols, indexing="ij"))).astype(np.uint8)


def pyramid(rounding=np.floor):
    return Slide.from_arrays("smooth", [level_of(d, rounding) for d in (1, 2, 4, 8)], mpp=0.5)


SMOOTH = {np.floor: pyramid(np.floor), np.ceil: pyramid(np.ceil)}


@st.composite
def regions(draw):
    r0 = draw(st.integers(0, SIZE[0] - 60))
    c0 = draw(st.integers(0, SIZE[1] - 60))
    h = draw(st.integers(60, SIZE[0] - r0))
    w = draw(st.integers(60, SIZE[1] - c0))
    shape = draw(st.integers(8, 200)), draw(st.integers(8, 200))
    return Box(r0, c0, r0 + h, c0 + w), shape


@settings(max_examples=50, deadline=None)
@given(regions(), st.sampled_from([np.floor, np.ceil]))
def test_every_resolution_shows_the_same_picture_where_the_frame_says(region, rounding):
    box, shape = region
    image, frame = SMOOTH[rounding].read(box, shape)
    assert image.shape == (*shape, 3)
    assert frame.box == box
    at = np.stack(np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij"), -1)
    where = frame.to_slide(at.reshape(-1, 2)).reshape(*shape, 2)
    step = max(frame.scale)
    # three roundings (the level's, and one for each pass of the resampling) and a little
    # flattening of the waves; a shift by half a pixel of level 2 is more (see the next test)
    tolerance = 2 if step <= 8 else 2 + 0.02 * step**2
    error = np.abs(image - scene(where[..., 0], where[..., 1]))
    inside = error[1:-1, 1:-1]
    assert inside.max() < tolerance


def test_a_shift_of_half_a_coarse_pixel_would_be_seen():
    image, frame = SMOOTH[np.floor].read(Box(0, 0, 480, 480), (120, 120))
    at = np.stack(np.meshgrid(np.arange(120), np.arange(120), indexing="ij"), -1).reshape(-1, 2)
    where = frame.to_slide(at) + np.array([frame.scale[0] / 2, 0])
    shifted = scene(*where.T).reshape(120, 120, 3)
    assert np.abs(image - shifted).max() > 2


def test_a_region_at_its_own_size_is_the_pixels_themselves():
    pixels = np.random.default_rng(1).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    image, frame = Slide.from_arrays("noise", [pixels]).read(Box(3, 5, 40, 66))
    np.testing.assert_array_equal(image, pixels[3:40, 5:66])
    assert frame.scale == (1, 1)


def test_shrinking_by_a_whole_factor_is_the_mean_of_the_pixels():
    pixels = np.random.default_rng(2).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    image, _ = Slide.from_arrays("noise", [pixels]).read(Box(0, 32, 64, 96), (16, 16))
    mean = pixels[:, 32:].reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(image - mean).max() <= 1


@given(st.floats(1.5, 9), st.integers(5, 30), st.integers(5, 30))
@settings(max_examples=40, deadline=None)
def test_shrinking_keeps_the_mean_brightness(factor, rows, cols):
    pixels = np.random.default_rng(3).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    box = Box(0, 0, min(300, round(rows * factor)), min(300, round(cols * factor)))
    image, _ = Slide.from_arrays("noise", [pixels]).read(box, (rows, cols))
    assert abs(image.mean() - pixels[box.slices()].mean()) < 12


def test_a_large_region_is_read_in_bands_with_the_same_result():
    rng = np.random.default_rng(4)
    pixels = np.kron(rng.integers(0, 256, (60, 50, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    counted = Counting(pixels)
    box = Box(2.5, 3.25, 470.25, 390.0)
    whole = read_resampled(RgbLevel(pixels, "YXS", "x"), box, (61, 47))
    banded = read_resampled(RgbLevel(counted, "YXS", "x"), box, (61, 47), band_pixels=20_000)
    np.testing.assert_allclose(banded.astype(int), whole, atol=1)
    assert counted.largest < 70_000
    assert counted.reads >= 8


class Counting:
    """An array that remembers how it was read."""

    def __init__(self, pixels):
        self._pixels, self.shape, self.dtype = pixels, pixels.shape, pixels.dtype
        self.reads, self.largest = 0, 0

    def __getitem__(self, key):
        part = self._pixels[key]
        self.reads += 1
        self.largest = max(self.largest, part.shape[0] * part.shape[1])
        return part


def test_the_level_read_is_the_coarsest_that_is_fine_enough():
    counted = [Counting(level_of(d, np.floor)) for d in (1, 2, 4, 8)]
    slide = Slide.from_arrays("smooth", counted, key="k")
    before = [c.reads for c in counted]
    slide.read(Box(0, 0, 400, 400), (100, 100))
    assert [c.reads - b for c, b in zip(counted, before, strict=True)] == [0, 0, 1, 0]


def test_downsamples_are_whole_where_the_last_pixel_was_cut():
    shapes = [(3567, 4443), (1783, 2221), (892, 1111), (300, 373)]
    levels = [np.broadcast_to(np.uint8(0), (*s, 3)) for s in shapes]
    down = Slide.from_arrays("cut", levels, key="k").downsamples
    assert down[:3] == (1, 2, 4)
    assert down[3] == pytest.approx(3567 / 300, rel=0.01)


@pytest.mark.parametrize("box", [Box(-1, 0, 5, 5), Box(0, 0, 51, 5), Box(0, 100, 5, 171)])
def test_a_region_outside_the_slide_is_refused_with_the_numbers(box):
    slide = Slide.from_arrays("small", [np.zeros((50, 170, 3), np.uint8)])
    with pytest.raises(RegionError, match=r"small, which has 50 rows and 170 columns"):
        slide.read(box)


def test_a_zero_size_image_is_refused():
    with pytest.raises(SlideError, match="no pixels"):
        Slide.from_arrays("nothing", [np.zeros((0, 10, 3), np.uint8)])
    with pytest.raises(SlideError, match="no pixels"):
        Slide.from_arrays("nothing", [])


@pytest.mark.parametrize("mpp", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_pixel_size_is_refused(mpp):
    with pytest.raises(SlideError, match="not possible"):
        Slide.from_arrays("x", [np.zeros((5, 5, 3), np.uint8)], mpp=mpp)


def test_arrays_of_other_forms_are_refused():
    with pytest.raises(SlideError, match=r"\(4, 10, 10\)"):
        Slide.from_arrays("stack", [np.zeros((4, 10, 10), np.uint8)])


def test_numpy_zarr_and_dask_give_the_same_slide():
    pixels = level_of(1, np.floor)
    stored = zarr.array(pixels, chunks=(128, 128, 3))
    lazy = dask.array.from_array(pixels, chunks=(200, 200, 3))
    slides = [Slide.from_arrays("x", [a], mpp=0.5) for a in (pixels, stored, lazy)]
    assert len({s.key for s in slides}) == 1
    views = [s.read(Box(10, 20, 310, 420), (75, 100))[0] for s in slides]
    np.testing.assert_array_equal(views[0], views[1])
    np.testing.assert_array_equal(views[0], views[2])
    assert slides[0].mpp_source == "typed"


def test_other_pixels_have_another_key():
    pixels = level_of(1, np.floor)
    changed = pixels.copy()
    changed[-1, -1, 2] += 1
    keys = {Slide.from_arrays("x", [a]).key for a in (pixels, changed, pixels[:-1])}
    assert len(keys) == 3


def test_grey_becomes_three_equal_channels():
    grey = np.arange(120, dtype=np.uint8).reshape(10, 12)
    slide = Slide.from_arrays("grey", [grey])
    assert slide.levels[0].shape == (10, 12, 3)
    np.testing.assert_array_equal(slide.read(slide.box)[0], np.repeat(grey[..., None], 3, 2))


def test_transparent_pixels_become_white():
    rgba = np.zeros((4, 6, 4), np.uint8)
    rgba[:2, :, :3], rgba[:, 3:, 3] = 200, 255
    image, _ = Slide.from_arrays("rgba", [rgba]).read(Box(0, 0, 4, 6))
    assert (image[:, :3] == 255).all()
    assert (image[:2, 3:] == 200).all()
    assert (image[2:, 3:] == 0).all()


def test_premultiplied_and_ignored_alpha():
    pixel = np.array([[[100, 50, 0, 128]]], np.uint8)
    assert PixelRule(alpha="premultiplied").apply(pixel).tolist() == [[[227, 177, 127]]]
    assert PixelRule(alpha="ignored").apply(pixel).tolist() == [[[100, 50, 0]]]


@pytest.mark.parametrize(
    ("array", "expected", "peak"),
    [
        (np.array([[0, 2048, 4095]], np.uint16), [0, 128, 255], "4095"),
        (np.array([[0, 100, 255]], np.uint16), [0, 100, 255], "255"),
        (np.array([[0.0, 0.5, 1.0]]), [0, 128, 255], "1"),
        (np.array([[0.0, 300.0, 600.0]], np.float32), [0, 128, 255], "600"),
    ],
)
def test_deeper_values_are_scaled_and_said_so(array, expected, peak):
    slide = Slide.from_arrays("deep", [array])
    image, _ = slide.read(slide.box)
    assert image[0, :, 0].tolist() == expected
    assert f"with {peak} as white" in slide.notes[0]


def test_a_level_is_indexed_like_an_array():
    pixels = np.random.default_rng(5).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    level = RgbLevel(pixels, "YXS", "x", chunks=(16, 16))
    keys = [
        5, -1, slice(3, 9), (slice(2, 20, 3), slice(None)), (Ellipsis, 1), (4, 5), (4, 5, 2),
        (slice(0, 5), -2, slice(0, 2)), Ellipsis, (slice(0, 5), Ellipsis, 0), slice(7, 7),
        (slice(-5, None), slice(-5, None)),
    ]  # fmt: skip
    for key in keys:
        np.testing.assert_array_equal(level[key], pixels[key], err_msg=str(key))
    np.testing.assert_array_equal(np.asarray(level), pixels)
    assert (level.size, level.nbytes, level.ndim, len(level)) == (3600, 3600, 3, 30)
    for bad in ((30,), (slice(None, None, -1),), (0, 0, 0, 0)):
        with pytest.raises(IndexError):
            level[bad]


def test_eight_threads_read_what_one_reads():
    slide = SMOOTH[np.floor]
    boxes = [Box(i * 20, i * 30, i * 20 + 200, i * 30 + 200) for i in range(16)]
    expected = [slide.read(b, (64, 64))[0] for b in boxes]
    wrong = []

    def work(offset):
        for i in range(len(boxes)):
            at = (i + offset) % len(boxes)
            if not np.array_equal(slide.read(boxes[at], (64, 64))[0], expected[at]):
                wrong.append(at)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_slide_in_words():
    rows = dict(describe(SMOOTH[np.floor]))
    assert rows["size"] == "600 x 803 pixels (rows x columns)"
    assert rows["physical size"] == "0.30 x 0.40 mm"
    assert rows["pixel size"] == "0.5 um a pixel (typed by the user)"
    assert rows["level 2"] == "150 x 200, downsample 4"
    bare = dict(describe(Slide.from_arrays("bare", [np.zeros((4, 4), np.uint16)])))
    assert bare["pixel size"] == "unknown"
    assert "uint16" in bare["missing or assumed"]


def test_closing_releases_the_file():
    closed = []
    levels = SMOOTH[np.floor].levels
    with Slide("x", "k", levels, release=lambda: closed.append(1)) as slide:
        assert slide.name == "x"
    assert closed == [1]
