"""Of a slide that is slow to read whole only the surroundings of a region are looked at."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import tifffile

from histoprompt.core.formats.open import open_slide
from histoprompt.core.geometry import Box
from histoprompt.core.slides.overview import with_overviews
from histoprompt.core.slides.slide import Slide
from histoprompt.core.tissue import find as tissue
from histoprompt.core.tissue.find import find_tissue
from histoprompt.pipelines.count.region import count_region
from histoprompt.pipelines.formats.regions import Region


class Painted:
    """Glass with one square of tissue, made where it is read."""

    dtype = np.dtype(np.uint8)

    def __init__(self, side, place):
        self.shape, self._place, self.read = (side, side, 3), place, 0

    def __getitem__(self, key):
        rows, cols, channels = key
        r, c = np.arange(rows.start, rows.stop), np.arange(cols.start, cols.stop)
        self.read += len(r) * len(c)
        out = np.full((len(r), len(c), 3), 245, np.uint8)
        inside = np.outer(
            (r >= self._place.r0) & (r < self._place.r1),
            (c >= self._place.c0) & (c < self._place.c1),
        )
        texture = (r[:, None] * 7 + c[None] * 13) % 37
        out[inside] = np.stack([170 + texture, 90 + texture, 150 + texture], -1)[inside]
        return out[:: rows.step or 1, :: cols.step or 1, channels]


@pytest.fixture
def large(monkeypatch):
    """4,000 x 4,000 pixels in one level, of which 600 x 600 may be read to look for tissue.

    There is tissue from (1800, 1800) to (2200, 2400).
    """
    monkeypatch.setattr(tissue, "MOST_READ", 600**2)
    monkeypatch.setattr(tissue, "RIM_PIXELS", 100)
    source = Painted(4_000, Box(1800, 1800, 2200, 2400))
    slide = with_overviews(Slide.from_arrays("large", [source], mpp=0.5, key="k"), largest=1000)
    return source, slide


def test_only_the_surroundings_are_read(large):
    source, slide = large
    region = Box(2000, 2000, 2100, 2100)
    before = source.read
    found = find_tissue(slide, region)
    assert source.read - before < slide.box.area / 2
    assert found.frame.box.covers(region.pad(100))
    assert found.frame.box.area < 700**2
    assert found.area_px(region) == pytest.approx(100 * 100)


def test_a_region_is_counted_on_the_same_ground_as_with_the_whole_slide(large):
    _, slide = large
    region, ring = Box(1700, 1700, 2150, 2250), shapely.box(1700, 1750, 2250, 2100)
    near = count_region(slide, region)
    drawn = count_region(slide, regions=[Region("r", ring)])
    whole = count_region(slide, region, tissue=find_tissue(slide))
    assert near.tissue.frame.box != whole.tissue.frame.box == slide.box
    # tissue covers rows 1800 to 2150 and columns 1800 to 2250 of the region, smoothed by 16 pixels
    true = 350 * 450 * 0.25e-6
    assert near.analysed_mm2() == pytest.approx(true, rel=0.08)
    assert whole.analysed_mm2() == pytest.approx(true, rel=0.08)
    # of the drawn region rows 1800 to 2100 and columns 1800 to 2250
    assert drawn.analysed_mm2("r") == pytest.approx(300 * 450 * 0.25e-6, rel=0.1)


def test_tissue_that_was_looked_for_elsewhere_is_looked_for_again(large):
    _, slide = large
    elsewhere = find_tissue(slide, Box(0, 0, 100, 100))
    region = Box(2000, 2000, 2100, 2100)
    assert not elsewhere.frame.box.covers(region)
    assert count_region(slide, region, tissue=elsewhere).tissue.frame.box.covers(region)


def test_a_slide_with_coarse_levels_is_looked_at_whole():
    pixels = np.full((2000, 2000, 3), 240, np.uint8)
    pixels[500:900, 500:900] = (170, 90, 150)
    slide = Slide.from_arrays("x", [pixels, pixels[::2, ::2], pixels[::8, ::8]], mpp=0.5)
    assert find_tissue(slide, Box(0, 0, 100, 100)).frame.box == slide.box


def test_what_a_sparse_file_leaves_out_is_not_read(tmp_path):
    path = tmp_path / "sparse.tif"
    tile = np.full((256, 256, 3), (170, 90, 150), np.uint8)
    tiles = [tile, *[None] * (64 * 64 - 1)]
    tifffile.imwrite(
        path, iter(tiles), shape=(16_384, 16_384, 3), dtype=np.uint8, tile=(256, 256),
        photometric="rgb", compression="deflate",
    )  # fmt: skip
    slide = open_slide(path)
    finest = slide.levels[0]
    assert finest.is_blank(slice(256, 16_384), slice(0, 16_384))
    assert finest.is_blank(slice(0, 256), slice(256, 512))
    assert not finest.is_blank(slice(255, 257), slice(255, 513))
    image, _ = slide.read(slide.box, (64, 64))
    assert image[0, 0].tolist() == [170, 90, 150]
    assert (image.reshape(-1, 3)[1:] == 255).all()
