"""Made levels: equal to the means of the finest one, made once, and never the whole at a time."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import tifffile

from histoprompt.core.geometry import Box
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides import overview
from histoprompt.core.slides.overview import NOTE, MadeLevel, with_overviews
from histoprompt.core.slides.slide import Slide


class Watched:
    """Pixels that count how many of them were read, and the most at once."""

    def __init__(self, pixels):
        self._pixels, self.shape, self.dtype, self.ndim = pixels, pixels.shape, pixels.dtype, 3
        self.total, self.largest = 0, 0

    def __getitem__(self, key):
        part = self._pixels[key]
        count = part.shape[0] * part.shape[1]
        self.total, self.largest = self.total + count, max(self.largest, count)
        return part


@pytest.fixture
def watched():
    rng = np.random.default_rng(0)
    return Watched(rng.integers(0, 256, (2100, 3001, 3), dtype=np.uint8))


def test_a_made_level_is_the_mean_of_the_pixels_below(watched):
    level = MadeLevel(watched, 4)
    assert level.shape == (525, 751, 3)
    mean = watched[:, :3000].reshape(525, 4, 750, 4, 3).mean(axis=(1, 3))
    ours = level[0:525, 0:750, slice(None)]
    assert np.abs(ours - mean).max() <= 1.01
    last = level[0:525, 750:751, slice(None)][:, 0]
    assert np.abs(last - watched[:, 3000].reshape(525, 4, 3).mean(axis=1)).max() <= 1.01


def test_blocks_are_made_once_and_only_where_looked_at(watched):
    level = MadeLevel(watched, 4)
    level[0:100, 0:100, slice(None)]
    first = watched.total
    assert first < 1100 * 1100
    level[50:256, 20:256, slice(None)]
    assert watched.total == first


def test_a_level_too_large_to_keep_is_made_again(watched, monkeypatch):
    kept = MadeLevel(watched, 4)
    monkeypatch.setattr(overview, "_KEPT_BYTES", 1000)
    fresh = MadeLevel(watched, 4)
    key = (slice(30, 400, 2), slice(11, 301), slice(0, 2))
    assert np.abs(fresh[key].astype(int) - kept[key]).max() <= 1
    before = watched.total
    fresh[key]
    assert watched.total > before


def test_levels_are_added_until_the_coarsest_is_small(watched):
    slide = Slide.from_arrays("flat", [watched], key="k")
    made = with_overviews(slide, largest=200)
    assert [a.shape[:2] for a in made.levels] == [(2100, 3001), (525, 751), (132, 188)]
    assert made.downsamples == (1, 4, 16)
    assert NOTE in made.notes
    assert with_overviews(slide) is slide
    before = watched.total
    image, _ = made.read(made.box, (131, 187))
    assert abs(image.mean() - 127.5) < 1
    assert watched.total - before < 1.2 * 2100 * 3001
    made.read(made.box, (131, 187))
    assert watched.total - before < 1.2 * 2100 * 3001


def test_threads_make_the_same_level(watched):
    level, expected = MadeLevel(watched, 4), MadeLevel(watched, 4)
    whole = (slice(0, 525), slice(0, 751), slice(None))
    found = []
    threads = [threading.Thread(target=lambda: found.append(level[whole])) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(f, expected[whole]) for f in found)
    assert len(found) == 6


def test_a_large_flat_tiff_opens_with_overviews_and_reads_little(tmp_path):
    path = tmp_path / "flat.tif"
    tile = np.full((256, 256, 3), (200, 120, 160), np.uint8)
    tifffile.imwrite(
        path, (tile for _ in range(40 * 40)), shape=(10_240, 10_240, 3), dtype=np.uint8,
        tile=(256, 256), photometric="rgb", compression="jpeg",
    )  # fmt: skip
    slide = open_slide(path)
    assert slide.downsamples == (1, 4)
    image, _ = slide.read(Box(0, 0, 4096, 4096), (64, 64))
    assert np.abs(image.astype(int) - (200, 120, 160)).max() < 6
