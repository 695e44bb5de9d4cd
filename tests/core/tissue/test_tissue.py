"""Tissue is told from glass, ink and blur."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage as ndi

from histoprompt.core.geometry import Box
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.sample import SLIDE, sample_file
from histoprompt.core.slides.slide import Slide
from histoprompt.core.tissue.find import BLUR, GLASS, PEN, find_tissue, holds_specks

SIDE = 800  # pixels of 4 um


def painted() -> np.ndarray:
    """Textured tissue on the left half of a glass slide."""
    rng = np.random.default_rng(0)
    image = np.full((SIDE, SIDE, 3), (243, 242, 244), np.uint8)
    texture = rng.normal(0, 25, (SIDE, SIDE // 2, 1))
    image[:, : SIDE // 2] = (np.array((205, 140, 185)) + texture).clip(0, 255)
    return image


def found(image: np.ndarray):
    return find_tissue(Slide.from_arrays("made", [image], mpp=4.0))


@pytest.mark.parametrize(("cells", "expected"), [(0, False), (1, True)])
def test_a_single_cell_is_no_tissue_but_more_than_glass(cells, expected):
    image = 240 + np.random.default_rng(0).normal(0, 4, (400, 400, 3))
    rows, cols = np.ogrid[:400, :400]
    image[((rows - 200) ** 2 + (cols - 90) ** 2 < 12**2) & bool(cells)] = (120, 80, 150)
    slide = Slide.from_arrays("made", [image.clip(0, 255).astype(np.uint8)], mpp=0.25)
    assert not find_tissue(slide).tissue.any()
    assert holds_specks(slide) is expected


def test_glass_is_not_tissue():
    tissue = found(painted())
    shares = tissue.shares(tissue.frame.box)
    assert shares["tissue"] == pytest.approx(0.5, abs=0.02)
    assert sum(shares.values()) == pytest.approx(1)
    assert tissue.analysed_mm2 == pytest.approx(0.5 * (SIDE * 4e-3) ** 2, rel=0.04)


@pytest.mark.parametrize(
    "ink", [(30, 60, 170), (20, 120, 60), (200, 15, 35), (25, 25, 28)], ids=["b", "g", "r", "k"]
)
def test_pen_marks_are_left_out(ink):
    image = painted()
    image[100:200, 50:700] = ink
    tissue = found(image)
    pen = tissue.excluded[PEN]
    assert pen[105:195, 55:695].all()
    assert not (tissue.tissue & pen).any()
    assert pen.mean() < 0.15


@pytest.mark.parametrize("colour", [(90, 50, 130), (200, 90, 160), (120, 80, 50), (120, 140, 185)])
def test_dyes_are_not_ink(colour):
    image = painted()
    rng = np.random.default_rng(1)
    image[300:500, 100:300] = (np.array(colour) + rng.normal(0, 15, (200, 200, 1))).clip(0, 255)
    tissue = found(image)
    assert not tissue.excluded[PEN].any()
    assert tissue.tissue[310:490, 110:290].all()


def test_blurred_tissue_is_left_out():
    image = painted()
    image[:400] = ndi.gaussian_filter(
        painted().astype(float) + ndi.gaussian_filter(
            np.random.default_rng(2).normal(0, 300, (SIDE, SIDE, 1)), (5, 5, 0)
        ), (4, 4, 0),
    )[:400].clip(0, 255)  # fmt: skip
    tissue = found(image)
    blur = tissue.excluded[BLUR]
    assert blur[50:350, 50:350].mean() > 0.9
    assert blur[450:].mean() < 0.01


def test_the_sample_slide_with_its_pen_mark_and_fat():
    tissue = find_tissue(open_slide(sample_file(SLIDE)))
    shares = tissue.shares(tissue.frame.box)
    assert 0.6 < shares["tissue"] < 0.8
    assert 0.005 < shares[PEN] < 0.05
    assert shares[BLUR] == 0


def test_real_slides_hold_tissue(shared_data):
    slides = {"CMU-1-Small-Region.svs": (0.3, 0.5), "OS-2-vsi.ome.tif": (0.4, 0.9)}
    for name, (low, high) in slides.items():
        slide = open_slide(shared_data / "slides" / name)
        shares = find_tissue(slide).shares(slide.box)
        assert low < shares["tissue"] < high, name
        assert shares[PEN] == shares[BLUR] == 0


def test_a_small_picture_of_tissue_is_tissue():
    rng = np.random.default_rng(0)
    image = (np.array((190, 130, 180)) + rng.normal(0, 25, (200, 200, 1))).clip(0, 255)
    slide = Slide.from_arrays("patch", [image.astype(np.uint8)], mpp=0.25)
    assert find_tissue(slide).shares(slide.box)["tissue"] == 1


@given(
    r0=st.integers(0, 1500), c0=st.integers(0, 1500), h=st.integers(1, 900), w=st.integers(1, 900),
    cut=st.floats(0.1, 0.9),
)  # fmt: skip
def test_areas_add_up(r0, c0, h, w, cut):
    tissue = _SPECKLED
    box = Box(r0, c0, r0 + h, c0 + w)
    at = r0 + max(1, round(cut * h))
    parts = [Box(r0, c0, at, c0 + w)]
    if at < r0 + h:
        parts.append(Box(at, c0, r0 + h, c0 + w))
    assert sum(tissue.area_px(p) for p in parts) == pytest.approx(tissue.area_px(box))
    assert 0 <= tissue.area_px(box) <= box.area + 1e-6


def _speckled():
    image = np.full((2400, 2400, 3), 245, np.uint8)
    image[700:1500, 333:1800] = (180, 120, 170)
    return find_tissue(Slide.from_arrays("speckled", [image], mpp=0.5))


_SPECKLED = _speckled()


def test_nuclei_at_the_rim_are_near():
    tissue = _SPECKLED
    assert tissue.at(tissue.near, [[690, 1000], [1000, 1000], [300, 300]]).tolist() == [
        True, True, False,
    ]  # fmt: skip
    assert tissue.excluded[GLASS].any()
