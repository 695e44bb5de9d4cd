"""Fitting images into a network's input, against exact and published arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histoprompt.models.networks import fitting
from histoprompt.models.zoo import litemedsam, medsam, sam


def image_of(h: int, w: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 12), st.integers(1, 12), st.integers(1, 12), st.integers(1, 12), st.integers()
)
def test_area_resize_is_the_mean_of_the_area_covered(
    h: int, w: int, new_h: int, new_w: int, seed: int
) -> None:
    image = image_of(h, w, abs(seed))
    # Each pixel repeated so often that old and new pixels share a grid.
    fine = image.astype(float).repeat(new_h, axis=0).repeat(new_w, axis=1)
    exact = fine.reshape(new_h, h, new_w, w, 3).mean(axis=(1, 3))
    found = fitting.area_resize(image, (new_h, new_w))
    assert found.dtype == np.uint8
    assert np.abs(found - exact).max() <= 0.5 + 1e-6


def test_area_resize_equals_opencv() -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is no dependency; the exact mean is tested")
    for shape in ((300, 200), (700, 512), (100, 120)):
        image = image_of(*shape)
        new = fitting.longest_side(shape, 256)
        theirs = cv2.resize(image, new[::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(fitting.area_resize(image, new).astype(int) - theirs).max() <= 1


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40))
def test_bilinear_matrix_is_torchs_interpolation(n_in: int, n_out: int) -> None:
    import torch
    from torch.nn.functional import interpolate

    eye = torch.eye(n_in)[None]
    theirs = interpolate(eye, size=n_out, mode="linear", align_corners=False)[0].T.numpy()
    assert np.abs(fitting.bilinear_matrix(n_in, n_out).toarray() - theirs).max() < 1e-5


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([16, 64]),
    st.floats(-3, 3),
    st.integers(0, 1000),
)
def test_masks_equal_the_published_chain_of_resizes(
    h: int, w: int, middle: int, offset: float, seed: int
) -> None:
    import torch
    from torch.nn.functional import interpolate

    logits = np.random.default_rng(seed).normal(offset, 1, (16, 16)).astype(np.float32)
    kept = fitting.longest_side((h, w), middle)
    fit = fitting.InputFit((h, w), (1.0, 1.0), middle, kept)
    large = interpolate(torch.from_numpy(logits)[None, None], (middle, middle), mode="bilinear")
    full = interpolate(large[..., : kept[0], : kept[1]], (h, w), mode="bilinear")[0, 0].numpy()
    found = fitting.mask_from_logits(logits, fit)
    assert found.shape == (h, w)
    assert not (found != (full > 0))[np.abs(full) > 1e-5].any()


def test_no_positive_logit_is_an_empty_mask() -> None:
    fit = fitting.InputFit((30, 20), (1.0, 1.0), 16, (16, 11))
    assert not fitting.mask_from_logits(np.full((16, 16), -1, np.float32), fit).any()


def test_a_positive_logit_in_the_padding_is_cut_off() -> None:
    logits = np.full((16, 16), -1, np.float32)
    logits[:, 14:] = 5
    fit = fitting.InputFit((32, 16), (1.0, 1.0), 16, (16, 8))
    assert not fitting.mask_from_logits(logits, fit).any()


@pytest.mark.parametrize("shape", [(128, 128), (90, 128), (300, 77), (2, 400), (5, 5)])
def test_sam_prepares_as_segment_anything_does(shape: tuple[int, int]) -> None:
    import torch
    from segment_anything.utils.transforms import ResizeLongestSide

    from tiny_sam import SIDE, build_tiny_sam

    image = image_of(*shape)
    resized = ResizeLongestSide(SIDE).apply_image(image)
    theirs = build_tiny_sam().preprocess(torch.as_tensor(resized).permute(2, 0, 1)[None])[0]
    array, fit = sam.prepare(image, SIDE)
    assert np.abs(array - theirs.numpy()).max() < 1e-5
    assert fit.kept == resized.shape[:2]


def test_litemedsam_prepares_as_published() -> None:
    image = np.full((300, 200, 3), 90, np.uint8)
    image[:150] = 40
    image[0, 0] = 240
    array, fit = litemedsam.prepare(image, 256)
    assert array.shape == (3, 256, 256)
    assert fit.kept == (256, 171)
    assert fit.scale == (256 / 300, 256 / 300)
    assert array.min() == 0
    assert array.max() == 1, "stretched by the extremes of the resized image"
    assert not array[:, :, 171:].any(), "padded with zeros"


def test_litemedsam_survives_an_image_of_one_colour() -> None:
    array, _ = litemedsam.prepare(np.full((50, 60, 3), 255, np.uint8), 256)
    assert np.isfinite(array).all()


def test_medsam_prepares_as_published() -> None:
    from skimage.transform import resize

    image = image_of(60, 90)
    image[..., 1] //= 2  # each channel with extremes of its own, which cubic overshoots
    square = resize(image, (64, 64), order=3, preserve_range=True, anti_aliasing=True)
    square = square.astype(np.uint8)
    theirs = (square - square.min()) / np.clip(square.max() - square.min(), 1e-8, None)
    array, fit = medsam.prepare(image, 64)
    assert np.abs(array - theirs.transpose(2, 0, 1)).max() < 1e-6
    assert array.flags.c_contiguous
    assert fit == fitting.InputFit((60, 90), (64 / 60, 64 / 90), 16, (16, 16))
