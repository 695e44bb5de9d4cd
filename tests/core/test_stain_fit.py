"""Dyes fitted to a slide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import immunohistochemistry

from histoprompt.core.formats.open import open_slide
from histoprompt.core.stain.deconvolution import optical_density
from histoprompt.core.stain.fit import StainMatrix, fit_dyes


def degrees(first, second) -> float:
    return float(np.degrees(np.arccos(np.clip(np.dot(first, second), -1, 1))))


def unit(vector) -> np.ndarray:
    return np.asarray(vector, float) / np.linalg.norm(vector)


def stained(first, second, seed=0, noise=0.01, both=True) -> np.ndarray:
    """A (100, 100, 3) image of pixels with random amounts of one or two dyes."""
    rng = np.random.default_rng(seed)
    amounts = rng.gamma(2, 0.2, (10_000, 2)) * rng.integers(0, 2, (10_000, 2))
    if not both:
        amounts[:, 1] = 0
    density = amounts @ np.stack([unit(first), unit(second)]) + rng.normal(0, noise, (10_000, 3))
    value = 256 * 10.0**-density - 1
    return np.rint(value.clip(0, 255)).astype(np.uint8).reshape(100, 100, 3)


@given(st.integers(0, 99), st.sampled_from(["H&E", "H-DAB"]))
@settings(max_examples=15, deadline=None)
def test_dyes_of_another_batch_are_found(seed, stain):
    published = StainMatrix.published(stain)
    rng = np.random.default_rng(seed)
    true = [unit(np.array(d) + rng.uniform(-0.08, 0.08, 3)).clip(0.01)
            for d in (published.haematoxylin, published.other)]  # fmt: skip
    found = fit_dyes(stained(*true, seed), stain)
    assert found.fitted == {"haematoxylin", "eosin" if stain == "H&E" else "dab"}
    assert degrees(found.haematoxylin, unit(true[0])) < 5
    assert degrees(found.other, unit(true[1])) < 5


def test_the_stain_is_told_by_its_brown():
    assert fit_dyes(immunohistochemistry()).stain == "H-DAB"
    pink = stained((0.65, 0.70, 0.29), (0.2, 0.9, 0.3))
    assert fit_dyes(pink).stain == "H&E"


def test_without_pixels_to_fit_dyes_are_the_published_ones():
    white = np.full((64, 64, 3), 250, np.uint8)
    assert fit_dyes(white) == StainMatrix.published("H&E")
    assert fit_dyes(white, "H-DAB") == StainMatrix.published("H-DAB")


def test_a_dye_that_is_not_there_is_not_made_up():
    """Of an immunostain without positive cells only the haematoxylin can be fitted."""
    blue = stained((0.7, 0.65, 0.25), (0, 0, 1), both=False)
    found = fit_dyes(blue, "H-DAB")
    assert found.other == StainMatrix.published("H-DAB").other
    assert found.amounts(optical_density(blue))[..., 2].mean() < 0.05


def test_pixels_of_a_green_pen_do_not_become_a_dye():
    pen = np.full((100, 100, 3), (30, 160, 60), np.uint8)
    pen[:50] = stained((0.65, 0.70, 0.29), (0.2, 0.9, 0.3))[:50]
    found = fit_dyes(pen, "H&E")
    assert degrees(found.haematoxylin, StainMatrix.published("H&E").haematoxylin) <= 25
    assert degrees(found.other, StainMatrix.published("H&E").other) <= 30


def test_amounts_lie_in_the_column_of_their_dye():
    brown = stained((0.65, 0.70, 0.29), (0.27, 0.57, 0.78))
    density = optical_density(brown)
    amounts = fit_dyes(brown, "H-DAB").amounts(density)
    assert amounts.shape == (100, 100, 3)
    assert (amounts[..., 1] == 0).all()
    assert amounts[..., 0].mean() == pytest.approx(0.2, abs=0.03)
    assert amounts[..., 2].mean() == pytest.approx(0.2, abs=0.03)
    assert (fit_dyes(brown, "H&E").amounts(density)[..., 2] == 0).all()


@pytest.mark.shared
def test_real_slides_have_dyes_near_the_published_ones(shared_data):
    names = {"OS-1-detail.ome.tif": "H&E", "OS-2-ndpi.ome.tif": "H-DAB"}
    for name, stain in names.items():
        with open_slide(shared_data / "slides" / name) as slide:
            image, _ = slide.read(slide.box, (400, 400))
        dyes = fit_dyes(image)
        assert dyes.stain == stain
        assert "haematoxylin" in dyes.fitted
