"""Nuclei of a region as masks: none twice, none lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_count import CENTRES, IMAGE, PLAIN, SLIDE, TRUTH, WINDOWED

from five_discs import dark_things
from histoprompt.core.errors import MissingMppError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.manager import ModelManager
from histoprompt.pipelines.find_cells import find_cells
from histoprompt.pipelines.look import Lattice, frame_around, read_frame


@pytest.fixture
def manager() -> ModelManager:
    return ModelManager("cpu", 100.0, load=dark_things)


@pytest.mark.parametrize("card", [WINDOWED, PLAIN], ids=["windows", "plain"])
def test_masks_are_the_nuclei(manager, card):
    seen = np.zeros(SLIDE.shape, int)
    cells = list(find_cells(SLIDE, SLIDE.box, card, manager, Task()))
    for cell in cells:
        seen[cell.mask.frame.box.slices()] += cell.mask.array
    assert len(cells) == len(CENTRES)
    assert np.array_equal(seen, TRUTH > 0)


def test_a_coarser_slide_is_enlarged_for_the_model(manager):
    coarse = Slide.from_arrays("half", [IMAGE[::2, ::2]], mpp=0.5)
    assert len(list(find_cells(coarse, coarse.box, WINDOWED, manager, Task()))) == len(CENTRES)


def test_without_a_pixel_size_it_says_so(manager):
    with pytest.raises(MissingMppError, match="--mpp"):
        list(find_cells(replace(SLIDE, mpp=None), SLIDE.box, PLAIN, manager, Task()))


def test_a_region_off_the_slide_is_refused(manager):
    with pytest.raises(RegionError, match="500 rows"):
        list(find_cells(SLIDE, Box(0, 0, 2000, 10), PLAIN, manager, Task()))


@given(
    r=st.integers(-300, 900), c=st.integers(-300, 900), h=st.integers(1, 500),
    mpp=st.floats(0.1, 1.0),
)  # fmt: skip
def test_frames_are_whole_windows_of_one_lattice(r, c, h, mpp):
    lattice = Lattice.of(WINDOWED, mpp)
    box = Box(r, c, r + h, c + 2 * h)
    frame = lattice.frame(box)
    assert frame.box.covers(box)
    step = lattice.to_level0(48)
    assert frame.box.r0 % step == frame.box.c0 % step == 0
    assert all((n - 64) % 48 == 0 for n in frame.shape)
    ratio = lattice.per / lattice.pixels
    assert np.allclose(frame.scale, ratio)


@pytest.mark.parametrize("mpp", [0.25, 0.5])
def test_a_pixel_is_the_same_in_every_frame(mpp):
    rng = np.random.default_rng(0)
    slide = Slide.from_arrays("noise", [rng.integers(0, 255, (300, 260, 3), np.uint8)], mpp=mpp)
    boxes = [Box(0, 0, 60, 60), Box(10, 20, 200, 100), Box(200, 180, 300, 260)]
    read = {}
    for box in boxes:
        frame = frame_around(box, slide, WINDOWED)
        image = read_frame(slide, frame)
        assert image.shape[:2] == frame.shape
        read[frame] = image
    (a, x), (b, y) = list(read.items())[:2]
    both = a.box.intersection(b.box).intersection(slide.box)
    parts = [f.box_to_array(both).slices() for f in (a, b)]
    assert np.array_equal(x[parts[0]], y[parts[1]])
