"""Slides that only openslide reads, held against our own readers of the same pixels."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from histoprompt.core.errors import SlideError
from histoprompt.core.geometry import Box
from histoprompt.core.readers import openslide_files
from histoprompt.core.readers.open import open_slide
from histoprompt.core.readers.openslide_files import open_with_openslide
from histoprompt.core.slides.limits import Limits

openslide = pytest.importorskip("openslide", reason="the extra `openslide` is not installed")
SLIDES = Path(__file__).resolve().parents[4] / "shared" / "data" / "slides"
SVS = SLIDES / "CMU-1-Small-Region.svs"


@pytest.mark.shared
def test_a_real_slide_is_what_our_own_reader_makes_of_it():
    if not SVS.is_file():
        pytest.skip("no shared slides")
    with open_with_openslide(SVS, Limits()) as theirs, open_slide(SVS) as ours:
        assert "openslide" in theirs.properties["format"]
        assert "openslide" not in ours.properties["format"]  # ours stays first
        assert (theirs.key, theirs.mpp, theirs.shape) == (ours.key, ours.mpp, ours.shape)
        for box in (Box(0, 0, 300, 400), Box(1201, 703, 1500, 1111)):
            a, b = (s.read(box)[0].astype(int) for s in (theirs, ours))
            assert np.abs(a - b).max() <= 2


class Drawn:
    """A slide as openslide hands it out: RGBA, bounded, transparent where nothing was scanned."""

    dimensions = ((400, 300), (200, 150))
    downsamples = (1.0, 2.0)
    properties: ClassVar = {
        "openslide.vendor": "mirax", "openslide.mpp-x": "0.25", "openslide.mpp-y": "0.25",
        "openslide.bounds-x": "100", "openslide.bounds-y": "40",
        "openslide.bounds-width": "200", "openslide.bounds-height": "160",
        "openslide.quickhash-1": "abc",
    }  # fmt: skip

    def __init__(self, _path):
        r, c = np.mgrid[0:300, 0:400]
        self.pixels = np.stack([r % 256, c % 256, (r + c) % 256, 255 + 0 * r], -1).astype(np.uint8)
        self.pixels[60:80] = 0  # transparent

    def read(self, place, level, size):
        step = int(self.downsamples[level])
        (x, y), (w, h) = place, size
        return self.pixels[y : y + h * step : step, x : x + w * step : step]

    def close(self):
        pass


def test_bounds_pixel_size_levels_and_a_white_background(tmp_path, monkeypatch):
    monkeypatch.setattr(openslide_files, "_Opened", Drawn)
    path = tmp_path / "a.mrxs"
    path.write_bytes(b"\xff\xd8\xff a picture to look at")
    slide = open_slide(path)
    assert (slide.shape, slide.mpp, slide.vendor) == ((160, 200), 0.25, "mirax")
    assert [level.shape for level in slide.levels] == [(160, 200, 3), (80, 100, 3)]
    want = Drawn(path).pixels[40:200, 100:300, :3].copy()
    want[20:40] = 255
    np.testing.assert_array_equal(slide.levels[0][...], want)
    np.testing.assert_array_equal(slide.levels[1][...], want[::2, ::2])
    np.testing.assert_array_equal(slide.levels[0][3:90:2, 7], want[3:90:2, 7])
    assert any("scanned part" in note for note in slide.notes)


def test_pixels_in_other_files_count_for_the_key(tmp_path, monkeypatch):
    monkeypatch.setattr(openslide_files, "_Opened", Drawn)
    path = tmp_path / "a.mrxs"
    path.write_bytes(b"\xff\xd8\xff")
    before = open_slide(path).key
    monkeypatch.setitem(Drawn.properties, "openslide.quickhash-1", "def")
    assert open_slide(path).key != before


def test_a_mirax_file_without_its_folder_is_told(tmp_path):
    path = tmp_path / "a.mrxs"
    path.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(SlideError, match=r"a\.mrxs cannot be read by openslide.*folder"):
        open_slide(path)


def test_without_openslide_a_person_is_told_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(openslide_files, "_installed", lambda: False)
    path = tmp_path / "a.mrxs"
    path.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(SlideError, match=r"napari-histoprompt\[openslide\]"):
        open_slide(path)
