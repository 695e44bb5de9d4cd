"""Nuclei of a region as masks: none twice, none lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_count import CENTRES, IMAGE, PLAIN, SLIDE, TRUTH, WINDOWED

from five_discs import dark_things
from histoprompt.core.errors import MissingMppError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells import find as finding
from histoprompt.pipelines.cells.find import ModelCells, find_cells
from histoprompt.pipelines.cells.tile_context import WindowGrid, frame_around, read_frame


@pytest.fixture
def manager() -> ModelManager:
    return ModelManager("cpu", 100.0, load=dark_things)


@pytest.fixture(scope="session")
def monkeypatch_view() -> Callable[[float], AbstractContextManager[None]]:
    """Sets the side in microns of the tiles that a view is cut into."""

    @contextmanager
    def of_size(um: float) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(finding, "VIEW_UM", um)
            yield

    return of_size


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
    lattice = WindowGrid.of(WINDOWED, mpp)
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


def touching_the_edges(mpp: float) -> tuple[Slide, np.ndarray]:
    """Discs of 6 um cut at every edge of a picture and at two corners, and their numbers."""
    shape, radius = (round(60 / mpp), round(72 / mpp)), 3.0 / mpp
    places = [(0.3, 20), (0, 40), (60, 30), (59.5, 50), (25, 0.6), (40, 71.8), (0, 0), (60, 72)]
    places += [(30, 30), (1.7, 60), (45, 2.4)]
    rows, cols = np.indices(shape)
    truth = np.zeros(shape, int)
    for value, (r, c) in enumerate(places, start=1):
        truth[(rows - r / mpp) ** 2 + (cols - c / mpp) ** 2 <= radius**2] = value
    image = np.where(truth[..., None] > 0, (90, 50, 130), (235, 205, 220)).astype(np.uint8)
    return Slide.from_arrays("cut", [image], mpp=mpp), truth


@pytest.mark.parametrize("mpp", [0.25, 0.5])
@pytest.mark.parametrize("card", [WINDOWED, PLAIN], ids=["windows", "plain"])
def test_a_cell_at_the_edge_is_what_the_picture_shows_of_it(manager, card, mpp):
    slide, truth = touching_the_edges(mpp)
    values = range(1, truth.max() + 1)
    middles = np.array([np.argwhere(truth == v).mean(axis=0) for v in values])
    areas = np.bincount(truth.ravel())[1:]
    cells = list(find_cells(slide, slide.box, card, manager, Task()))
    assert len(cells) == len(areas)
    for cell in cells:
        assert slide.box.contains(cell.row, cell.col)
        assert slide.box.covers(cell.mask.frame.box)
        far = np.abs(middles - (cell.row, cell.col)).max(axis=1)
        assert far.min() < 0.35
        area = areas[far.argmin()]
        assert abs(int(cell.mask.array.sum()) - area) <= 0.06 * area + 1
    assert len({np.abs(middles - (c.row, c.col)).sum(axis=1).argmin() for c in cells}) == len(areas)


@pytest.mark.parametrize("mpp", [0.25, 0.5])
def test_mirror_images_are_not_measured(manager, mpp):
    """What lies beyond the picture is neither in the pixels that are measured nor in the cells."""
    slide, truth = touching_the_edges(mpp)
    found = ModelCells(WINDOWED, manager).find(slide, slide.box, Task())
    assert found.image.shape[:2] == found.labels.shape == found.frame.shape
    corners = found.frame.to_slide([(0, 0), np.array(found.frame.shape) - 1])
    assert all(slide.box.contains(*at) for at in corners)
    areas = np.sort(np.bincount(found.labels.ravel())[1:] * found.scale**2)
    assert np.allclose(areas, np.sort(np.bincount(truth.ravel())[1:]), rtol=0.12, atol=3)


@given(
    corner=st.tuples(st.integers(0, 150), st.integers(0, 150)),
    shape=st.tuples(st.integers(60, 350), st.integers(60, 350)),
    card=st.sampled_from([WINDOWED, PLAIN]), view=st.sampled_from([20.0, 33.0, 512.0]),
)  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_the_same_nuclei_whatever_the_view(monkeypatch_view, corner, shape, card, view):
    """Tiles smaller than three nuclei, and views that begin anywhere."""
    manager = ModelManager("cpu", 100.0, load=dark_things)
    (r, c), (h, w) = corner, shape
    box = Box(r, c, r + h, c + w)
    with monkeypatch_view(view):
        cells = {
            (round(x.row, 6), round(x.col, 6)): x
            for x in find_cells(SLIDE, box, card, manager, Task())
        }
    expected = {(round(y, 6), round(x, 6)) for y, x in CENTRES if box.contains(y, x)}
    assert set(cells) == expected
    for (row, col), cell in cells.items():
        value = TRUTH[round(row), round(col)]
        part = TRUTH[cell.mask.frame.box.slices()]
        assert np.array_equal(part == value, cell.mask.array)
