"""A piece that must be decoded whole takes the memory that the limit counts, and not twice that."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image, ImageOps

from histoprompt.core.errors import SlideTooLargeError
from histoprompt.core.readers.open import open_slide
from histoprompt.core.readers.tiff import open_tiff
from histoprompt.core.readers.ycbcr import YCbCr
from histoprompt.core.slides.limits import Limits

SIDE = 5000
MB = SIDE * SIDE * 3 / 1e6  # of the picture

# Opens and reads each file; prints by how much memory rose, in MB.
MEASURE = """
import sys
import imagecodecs, numpy, tifffile, zarr, PIL.Image
import histoprompt.core.readers.ome_zarr, histoprompt.core.readers.plain
from histoprompt.core.readers.open import open_slide
def now(what):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) * 1024 / 1e6
for path in sys.argv[1:]:
    open("/proc/self/clear_refs", "w").write("5")
    before = now("VmRSS")
    with open_slide(path) as slide:
        assert slide.levels[0][100:200, 300:400].shape == (100, 100, 3)
    del slide
    print(now("VmHWM") - before)
"""


def picture():
    """Something that changes from place to place, and packs well."""
    rows, cols = np.arange(SIDE) % 251, np.arange(SIDE) % 241
    out = np.empty((SIDE, SIDE, 3), np.uint8)
    out[..., 0], out[..., 1], out[..., 2] = rows[:, None], cols, 7
    return out


def write_zarr(path, pixels):
    group = zarr.open_group(path, mode="w", zarr_format=3)
    axes = [{"name": "c", "type": "channel"}, *({"name": n, "type": "space"} for n in "yx")]
    scale = [{"type": "scale", "scale": [1, 1, 1]}]
    one = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [one]}
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    group.create_array("0", shape=planes.shape, chunks=planes.shape, dtype="u1")[...] = planes


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """Files of one piece, and how many bytes each may take for a byte of the picture."""
    folder, pixels = tmp_path_factory.mktemp("pieces"), picture()
    strip = {"rowsperstrip": SIDE, "photometric": "rgb"}
    tifffile.imwrite(folder / "strip.tif", pixels, compression="zlib", **strip)
    tifffile.imwrite(folder / "predicted.tif", pixels, compression="lzw", predictor=True, **strip)
    tifffile.imwrite(folder / "tile.tif", pixels, compression="zstd", tile=(5008, 5008))
    tifffile.imwrite(folder / "colours.tif", pixels, compression="zstd", rowsperstrip=SIDE,
                     photometric="ycbcr", subsampling=(1, 1))  # fmt: skip
    Image.fromarray(pixels).save(folder / "picture.png", compress_level=1)
    Image.fromarray(pixels).save(folder / "picture.jpg")
    write_zarr(folder / "chunk.ome.zarr", pixels)
    # Pillow holds four bytes a pixel; YCbCr is converted beside; zarr decodes a chunk beside
    share = {"picture.png": 4 / 3, "picture.jpg": 4 / 3, "colours.tif": 2, "chunk.ome.zarr": 2}
    return pixels, {p: share.get(p.name, 1) for p in sorted(folder.iterdir())}


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read where Linux tells it")
def test_no_piece_is_held_more_often_than_the_limit_counts(pieces):
    _, files = pieces
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, files)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    peaks = [float(line) for line in done.stdout.split()]
    over = {p.name: round(peak / MB, 2)
            for (p, share), peak in zip(files.items(), peaks, strict=True)
            if peak > 1.15 * share * MB + 20}  # fmt: skip
    assert over == {}


def test_what_is_read_is_what_was_written(pieces):
    pixels, files = pieces
    window = slice(4000, 4990, 7), slice(3, 4999, 11)
    seen = set()
    for path in files:
        if path.suffix != ".jpg" and path.name != "colours.tif":
            with open_slide(path) as slide:
                assert np.array_equal(slide.levels[0][window], pixels[window]), path.name
                assert np.array_equal(slide.levels[0][-1], pixels[-1]), path.name
            seen.add(path.name)
    assert len(seen) == 5


def test_what_takes_more_to_decode_is_counted_so(tmp_path):
    """OpenJPEG takes six times the bytes of a tile; a predictor of floats takes them twice."""
    grey = np.zeros((1024, 1024, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", grey, tile=(1024, 1024), compression="jpeg2000")
    tifffile.imwrite(tmp_path / "b.tif", grey.astype(np.float32), rowsperstrip=1024,
                     compression="zlib", predictor=True, photometric="rgb")  # fmt: skip
    for name, times in (("a.tif", 6 * 3), ("b.tif", 2 * 12)):
        at = times * 2**20
        open_tiff(tmp_path / name, Limits(piece_bytes=at)).close()
        with pytest.raises(SlideTooLargeError, match="must be decoded whole"):
            open_tiff(tmp_path / name, Limits(piece_bytes=at - 1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_window_of_a_turned_picture(tmp_path, orientation):
    rng = np.random.default_rng(orientation)
    image = Image.fromarray(rng.integers(0, 256, (37, 53, 3)).astype(np.uint8))
    exif = Image.Exif()
    exif[0x112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as stored:
        upright = np.asarray(ImageOps.exif_transpose(stored))
    with open_slide(tmp_path / "a.png") as slide:
        level = slide.levels[0]
        assert level.shape == upright.shape
        for part in np.s_[:, :], np.s_[3:30, 5:17], np.s_[2:35:4, 1:36:3], np.s_[-1], np.s_[:, 7]:
            assert np.array_equal(level[part], upright[part])


def test_colours_are_converted_in_bands_to_the_same_values(monkeypatch):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (130, 90, 3)).astype(np.uint8)
    whole = YCbCr().to_rgb(codes)
    y, cb, cr = (codes[..., i].astype(float) for i in range(3))
    # ITU-T T.871
    blue = np.clip(y + 1.772 * (cb - 128), 0, 255)
    red = np.clip(y + 1.402 * (cr - 128), 0, 255)
    assert np.abs(whole[..., 2] - blue).max() <= 1
    assert np.abs(whole[..., 0] - red).max() <= 1
    monkeypatch.setattr("histoprompt.core.readers.ycbcr._BAND_PIXELS", 7 * 90)
    assert np.array_equal(YCbCr().to_rgb(codes), whole)
