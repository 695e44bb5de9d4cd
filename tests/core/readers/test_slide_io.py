"""Opening files of every kind, good and bad."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import threading
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from histoprompt.core.errors import SlideError
from histoprompt.core.geometry import Box
from histoprompt.core.readers.open import open_slide

RNG = np.random.default_rng(0)


def picture(height=300, width=420):
    """Smooth colours, so that lossy codecs come close, with a mark that fixes the orientation."""
    r, c = np.mgrid[0:height, 0:width]
    rgb = np.stack([120 + 0.3 * r, 90 + 0.2 * c, 200 - 0.15 * (r + c)], -1).astype(np.uint8)
    rgb[40:90, 250:330] = (150, 30, 120)
    return rgb


PICTURE = picture()


def halves(image, count):
    """`image` and its means over 2 x 2, 4 x 4 ... pixels, cut to whole ones."""
    levels = [image]
    for _ in range(count - 1):
        last = levels[-1]
        h, w = last.shape[0] // 2 * 2, last.shape[1] // 2 * 2
        mean = last[:h, :w].reshape(h // 2, 2, w // 2, 2, 3).mean(axis=(1, 3))
        levels.append(np.rint(mean).astype(np.uint8))
    return levels


def write_pyramid(path, levels, subifds=True, **options):
    options = {"photometric": "rgb", "tile": (64, 64), "compression": "deflate"} | options
    with tifffile.TiffWriter(path, ome=options.pop("ome", False)) as tiff:
        tiff.write(
            levels[0],
            subifds=len(levels) - 1 if subifds else None,
            resolution=options.pop("resolution", None),
            resolutionunit=options.pop("resolutionunit", None),
            metadata=options.pop("metadata", None),
            description=options.pop("description", None),
            extratags=options.pop("extratags", ()),
            **options,
        )
        for level in levels[1:]:
            tiff.write(level, subfiletype=1, metadata=None, **options)
    return path


def everything(slide, level=0):
    return slide.levels[level][...]


LOSSLESS = ["none", "lzw", "deflate", "zstd", "packbits"]
LOSSY = ["jpeg", "jpeg2000", "webp"]


@pytest.mark.parametrize("layout", ["tiles", "strips", "one strip"])
@pytest.mark.parametrize("codec", LOSSLESS)
def test_lossless_tiff_of_every_layout_gives_its_pixels(tmp_path, codec, layout):
    shape = {"tiles": {"tile": (64, 80)}, "strips": {"rowsperstrip": 17}, "one strip": {}}[layout]
    path = tmp_path / "x.tif"
    options = {} if codec == "none" else {"compression": codec}
    tifffile.imwrite(path, PICTURE, photometric="rgb", metadata=None, **options, **shape)
    slide = open_slide(path)
    np.testing.assert_array_equal(everything(slide), PICTURE)
    np.testing.assert_array_equal(slide.read(Box(30, 60, 200, 333))[0], PICTURE[30:200, 60:333])


@pytest.mark.parametrize("codec", LOSSY)
def test_lossy_tiles_are_decoded_in_the_right_colours(tmp_path, codec):
    path = tmp_path / "x.tif"
    options = {"compression": codec, "compressionargs": {"level": 90}}
    tifffile.imwrite(path, PICTURE, photometric="rgb", tile=(64, 64), **options)
    difference = np.abs(everything(open_slide(path)).astype(int) - PICTURE)
    assert difference.mean() < 4


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_predictors_and_both_byte_orders(tmp_path, predictor, byteorder):
    path = tmp_path / "x.tif"
    tifffile.imwrite(
        path, PICTURE, photometric="rgb", compression="lzw", predictor=predictor,
        byteorder=byteorder, tile=(64, 64), bigtiff=True,
    )  # fmt: skip
    np.testing.assert_array_equal(everything(open_slide(path)), PICTURE)


@pytest.mark.parametrize("codec", [None, "deflate"])
@pytest.mark.parametrize("tile", [None, (64, 64)])
def test_separate_colour_planes(tmp_path, codec, tile):
    path = tmp_path / "planes.tif"
    tifffile.imwrite(
        path, PICTURE.transpose(2, 0, 1), photometric="rgb", planarconfig="separate",
        compression=codec, tile=tile,
    )  # fmt: skip
    np.testing.assert_array_equal(everything(open_slide(path)), PICTURE)


@pytest.mark.parametrize("codec", [None, "deflate"])
def test_colours_on_pages_of_their_own(tmp_path, codec):
    path = tmp_path / "channels.ome.tif"
    tifffile.imwrite(
        path, PICTURE.transpose(2, 0, 1), photometric="minisblack", metadata={"axes": "CYX"},
        compression=codec,
    )  # fmt: skip
    np.testing.assert_array_equal(everything(open_slide(path)), PICTURE)


@pytest.mark.parametrize("codec", [None, "deflate"])
def test_of_several_planes_the_first_is_shown_and_said_so(tmp_path, codec):
    path = tmp_path / "stack.ome.tif"
    stack = np.stack([PICTURE[..., 0], PICTURE[..., 1], PICTURE[..., 2]])
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX"}, compression=codec)
    slide = open_slide(path)
    np.testing.assert_array_equal(everything(slide)[..., 0], PICTURE[..., 0])
    assert "the first of 3 planes along Z is shown" in slide.notes


def test_grey_inverted_grey_sixteen_bits_and_transparency(tmp_path):
    path = tmp_path / "x.tif"
    grey = PICTURE[..., 0]
    tifffile.imwrite(path, grey, photometric="minisblack", tile=(64, 64))
    np.testing.assert_array_equal(everything(open_slide(path))[..., 2], grey)
    tifffile.imwrite(path, grey, photometric="miniswhite", compression="lzw")
    np.testing.assert_array_equal(everything(open_slide(path))[..., 0], 255 - grey)
    tifffile.imwrite(path, PICTURE.astype(np.uint16) * 257, photometric="rgb", tile=(64, 64))
    deep = open_slide(path)
    np.testing.assert_array_equal(everything(deep), PICTURE)
    assert any("uint16" in n for n in deep.notes)
    alpha = np.dstack([PICTURE, np.full(grey.shape, 255, np.uint8)])
    alpha[:100, :, 3] = 0
    tifffile.imwrite(path, alpha, photometric="rgb", extrasamples=["unassalpha"], tile=(64, 64))
    clear = everything(open_slide(path))
    assert (clear[:100] == 255).all()
    np.testing.assert_array_equal(clear[100:], PICTURE[100:])


@pytest.mark.parametrize(("subifds", "ome"), [(True, True), (True, False), (False, False)])
def test_pyramids_in_subifds_and_on_pages(tmp_path, subifds, ome):
    levels = halves(PICTURE, 3)
    path = write_pyramid(tmp_path / "p.ome.tif", levels, subifds=subifds, ome=ome)
    slide = open_slide(path)
    assert slide.downsamples == (1, 2, 4)
    for i, level in enumerate(levels):
        np.testing.assert_array_equal(everything(slide, i), level)


def test_undeclared_and_unsorted_reductions_are_levels_and_a_thumbnail_is_not(tmp_path):
    full, eighth = picture(640, 800), picture(640, 800)[::8, ::8]
    path = tmp_path / "pages.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(eighth, photometric="rgb", tile=(64, 64), metadata=None)
        tiff.write(full, photometric="rgb", tile=(64, 64), metadata=None)
        tiff.write(full[:64, :100], photometric="rgb", metadata=None)
    slide = open_slide(path)
    assert [a.shape for a in slide.levels] == [(640, 800, 3), (80, 100, 3)]
    np.testing.assert_array_equal(everything(slide, 1), eighth)


APERIO = "Aperio Image Library v11\r\n420x300 (64x64) JPEG Q=90|AppMag = 20|MPP = 0.4990"


def write_svs(path, description=APERIO):
    """The order of a real file: baseline, strip thumbnail, reduced level, label, macro."""
    levels = halves(PICTURE, 3)
    tiles = {"photometric": "rgb", "tile": (64, 64), "metadata": None}
    strips = {"photometric": "rgb", "metadata": None, "compression": "lzw"}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(levels[0], description=description, compression="deflate", **tiles)
        tiff.write(levels[1], description="Aperio thumbnail", **strips)
        tiff.write(levels[2], description=description, compression="deflate", **tiles)
        tiff.write(levels[2], description="Aperio\r\nlabel 105x75", subfiletype=1, **strips)
        tiff.write(picture(500, 900), description="Aperio\r\nmacro", subfiletype=9, **strips)
    return path


def test_an_svs_gives_the_slide_not_its_label_macro_or_thumbnail(tmp_path):
    slide = open_slide(write_svs(tmp_path / "a.svs"))
    assert [a.shape[:2] for a in slide.levels] == [(300, 420), (75, 105)]
    assert (slide.mpp, slide.mpp_source, slide.vendor) == (0.499, "file", "Aperio")
    assert slide.properties["objective"] == "20"
    assert slide.notes == ()


def test_an_svs_without_a_pixel_size_says_what_to_do(tmp_path):
    slide = open_slide(write_svs(tmp_path / "a.svs", APERIO.partition("|")[0]))
    assert slide.mpp is None
    assert slide.mpp_source is None
    assert "told the microns per pixel" in slide.notes[0]


def test_a_typed_pixel_size_wins_and_is_recorded_as_typed(tmp_path):
    path = write_svs(tmp_path / "a.svs")
    slide = open_slide(path, mpp=0.25)
    assert (slide.mpp, slide.mpp_source) == (0.25, "typed")
    assert "the file says 0.499 um a pixel; 0.25 was typed and is used" in slide.notes
    bare = open_slide(write_svs(path, APERIO.partition("|")[0]), mpp=0.5)
    assert (bare.mpp, bare.notes) == (0.5, ())
    with pytest.raises(SlideError, match="cannot be right"):
        open_slide(path, mpp=0)


def write_ndpi(path, images):
    """A little-endian TIFF with 64-bit directory offsets, a JPEG strip a page: Hamamatsu's own.

    After each directory's 12-byte entries and the next offset come the high words of the values.
    """
    with path.open("wb") as file:
        file.write(struct.pack("<2sHQ", b"II", 42, 0))
        link = 4
        for image, lens in images:
            strip = imagecodecs.jpeg8_encode(image, level=95)
            places = {"strip": _put(file, strip), "bits": _put(file, struct.pack("<3H", 8, 8, 8))}
            places["maker"] = _put(file, b"Hamamatsu\0")
            places["resolution"] = _put(file, struct.pack("<2I", 222222, 10))
            height, width = image.shape[:2]
            entries = [
                (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, places["bits"]),
                (259, 3, 1, 7), (262, 3, 1, 6), (271, 2, 10, places["maker"]),
                (273, 4, 1, places["strip"]), (277, 3, 1, 3), (278, 4, 1, height),
                (279, 4, 1, len(strip)), (282, 5, 1, places["resolution"]),
                (283, 5, 1, places["resolution"]), (296, 3, 1, 3), (65420, 4, 1, 1),
                (65421, 11, 1, struct.unpack("<I", struct.pack("<f", lens))[0]),
            ]  # fmt: skip
            rows = b"".join(struct.pack("<HHII", *entry) for entry in entries)
            directory = struct.pack("<H", len(entries)) + rows + b"\0" * (8 + 4 * len(entries))
            start = _put(file, directory)
            end = file.tell()
            file.seek(link)
            file.write(struct.pack("<Q", start))
            file.seek(end)
            link = start + 2 + len(rows)
    return path


def _put(file, data):
    """Append on an even offset, and tell where."""
    file.write(b"\0" * (file.tell() % 2))
    start = file.tell()
    file.write(data)
    return start


def test_ndpi(tmp_path):
    levels = halves(PICTURE, 2)
    macro = (picture(700, 900), -1.0)
    path = write_ndpi(tmp_path / "x.ndpi", [(levels[0], 20.0), (levels[1], 10.0), macro])
    slide = open_slide(path)
    assert slide.vendor == "Hamamatsu"
    assert slide.mpp == pytest.approx(0.45, rel=1e-4)
    assert slide.properties["objective"] == "20"
    assert [a.shape[:2] for a in slide.levels] == [(300, 420), (150, 210)]
    assert np.abs(everything(slide).astype(int) - PICTURE).mean() < 2


SCN = """<?xml version="1.0"?>
<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">
 <collection name="c" sizeX="26000000" sizeY="76000000">
  <image name="macro"><pixels sizeX="105" sizeY="75">
    <dimension sizeX="105" sizeY="75" r="0" ifd="0"/></pixels>
    <view sizeX="26000000" sizeY="76000000" offsetX="0" offsetY="0"/></image>
  <image name="region"><pixels sizeX="420" sizeY="300">
    <dimension sizeX="420" sizeY="300" r="0" ifd="1"/>
    <dimension sizeX="210" sizeY="150" r="1" ifd="2"/></pixels>
    <view sizeX="105000" sizeY="75000" offsetX="1000" offsetY="1000"/>
    <scanSettings><objectiveSettings><objective>40</objective></objectiveSettings></scanSettings>
  </image>
 </collection></scn>"""


def test_scn(tmp_path):
    levels = halves(PICTURE, 3)
    path = tmp_path / "x.scn"
    with tifffile.TiffWriter(path) as tiff:
        for i, image in enumerate([levels[2], levels[0], levels[1]]):
            tiff.write(
                image, photometric="rgb", tile=(64, 64), metadata=None,
                description=SCN if i == 0 else None, software=False,
            )  # fmt: skip
    slide = open_slide(path)
    assert slide.vendor == "Leica"
    assert [a.shape[:2] for a in slide.levels] == [(300, 420), (150, 210)]
    assert slide.mpp == pytest.approx(0.25)
    assert slide.properties["objective"] == "40"


@pytest.mark.parametrize(
    ("resolution", "unit", "mpp"),
    [
        ((40000, 40000), "CENTIMETER", 0.25),
        ((50800, 50800), "INCH", 0.5),
        ((96, 96), "INCH", None),
        ((300, 300), "INCH", None),
        ((1, 1), "NONE", None),
        (None, None, None),
    ],
)
def test_resolution_tags_are_believed_where_they_can_be_true(tmp_path, resolution, unit, mpp):
    path = write_pyramid(tmp_path / "x.tif", [PICTURE], resolution=resolution, resolutionunit=unit)
    slide = open_slide(path)
    assert slide.mpp == (None if mpp is None else pytest.approx(mpp))
    assert any("told the microns per pixel" in n for n in slide.notes) == (mpp is None)
    assert any("printer" in n for n in slide.notes) == (unit == "INCH" and mpp is None)


def test_ome_and_imagej_sizes(tmp_path):
    ome = tmp_path / "x.ome.tif"
    sizes = {"PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.25}
    tifffile.imwrite(ome, PICTURE, metadata={"axes": "YXS"} | sizes, photometric="rgb")
    assert open_slide(ome).mpp == pytest.approx(0.25)
    fiji = tmp_path / "fiji.tif"
    tifffile.imwrite(fiji, PICTURE, imagej=True, resolution=(4, 4), metadata={"unit": "um"})
    slide = open_slide(fiji)
    assert slide.mpp == pytest.approx(0.25)
    np.testing.assert_array_equal(everything(slide), PICTURE)


def test_pixels_that_are_not_square_are_said_so(tmp_path):
    path = tmp_path / "x.ome.tif"
    sizes = {"PhysicalSizeX": 0.2, "PhysicalSizeY": 0.3}
    tifffile.imwrite(path, PICTURE, metadata={"axes": "YXS"} | sizes, photometric="rgb")
    slide = open_slide(path)
    assert slide.mpp == pytest.approx(0.25)
    assert "not square" in slide.notes[0]


def write_ome_zarr(path, levels, version, axes="yxc", *, unit="micrometer", scale=0.5):
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    datasets = []
    for i, level in enumerate(levels):
        array = level if axes == "yxc" else level.transpose(2, 0, 1)
        if axes == "tczyx":
            array = array[None, :, None]
        chunks = tuple(min(64, n) for n in array.shape)
        group.create_array(str(i), data=array, chunks=chunks)
        factors = [scale * 2**i if a in "yx" else 1.0 for a in axes]
        steps = [{"type": "scale", "scale": factors}]
        datasets.append({"path": str(i), "coordinateTransformations": steps})
    kinds = {"t": "time", "c": "channel"}
    named = [{"name": a, "type": kinds.get(a, "space")} for a in axes]
    for axis in named:
        if unit and axis["name"] in "yx":
            axis["unit"] = unit
    image = {"axes": named, "datasets": datasets}
    if version == "0.5":
        group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    else:
        group.attrs["multiscales"] = [image | {"version": "0.4"}]
    return path


@pytest.mark.parametrize("axes", ["yxc", "cyx", "tczyx"])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(tmp_path, version, axes):
    levels = halves(PICTURE, 3)
    slide = open_slide(write_ome_zarr(tmp_path / "x.ome.zarr", levels, version, axes))
    assert (slide.mpp, slide.mpp_source) == (0.5, "file")
    assert slide.properties["format"] == f"OME-Zarr {version}"
    for i, level in enumerate(levels):
        np.testing.assert_array_equal(everything(slide, i), level)
    np.testing.assert_array_equal(slide.read(Box(9, 8, 77, 66))[0], PICTURE[9:77, 8:66])


def test_ome_zarr_without_units_has_no_pixel_size_and_nanometres_are_converted(tmp_path):
    bare = open_slide(write_ome_zarr(tmp_path / "a.zarr", [PICTURE], "0.4", unit=None))
    assert bare.mpp is None
    assert "told the microns per pixel" in bare.notes[0]
    path = write_ome_zarr(tmp_path / "b.zarr", [PICTURE], "0.5", unit="nanometer", scale=250)
    assert open_slide(path).mpp == pytest.approx(0.25)


def test_ome_zarr_in_the_layout_of_bioformats2raw(tmp_path):
    outer = zarr.open_group(tmp_path / "x.zarr", mode="w", zarr_format=2)
    outer.attrs["bioformats2raw.layout"] = 3
    write_ome_zarr(tmp_path / "x.zarr" / "0", [PICTURE], "0.4")
    np.testing.assert_array_equal(everything(open_slide(tmp_path / "x.zarr")), PICTURE)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "I;16", "1", "CMYK"])
def test_png_and_jpeg(tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    path = tmp_path / f"x.{suffix}"
    deep = PICTURE[..., 0].astype(np.uint16) * 257
    image = Image.fromarray(deep) if mode == "I;16" else Image.fromarray(PICTURE).convert(mode)
    image.save(path)
    slide = open_slide(path)
    assert slide.shape == PICTURE.shape[:2]
    with Image.open(path) as opened:
        expected = np.asarray(opened if mode == "I;16" else opened.convert("RGB"))
    if mode == "I;16":
        expected = np.repeat((expected // 257)[..., None], 3, axis=2)
    np.testing.assert_array_equal(everything(slide), expected)
    assert slide.mpp is None


def test_a_missing_tile_of_a_sparse_file_is_glass(tmp_path):
    path = tmp_path / "sparse.tif"
    tiles = [np.full((64, 64, 3), 77, np.uint8), None, None, np.full((64, 64, 3), 99, np.uint8)]
    tifffile.imwrite(
        path, iter(tiles), shape=(128, 128, 3), dtype=np.uint8, tile=(64, 64), photometric="rgb",
        compression="deflate",
    )  # fmt: skip
    image = everything(open_slide(path))
    assert image[5, 5, 0] == 77
    assert image[100, 100, 0] == 99
    assert (image[:64, 64:] == 255).all()


# --- keys ---------------------------------------------------------------------------------


def test_a_moved_file_keeps_its_key_and_an_overwritten_one_does_not(tmp_path):
    first = write_svs(tmp_path / "a.svs")
    key = open_slide(first).key
    moved = tmp_path / "elsewhere" / "b.svs"
    moved.parent.mkdir()
    shutil.copy(first, moved)
    assert open_slide(moved).key == key
    write_pyramid(first, [255 - PICTURE])
    assert open_slide(first).key != key


# --- bad input ----------------------------------------------------------------------------


def assert_told(path, *words):
    def open_and_read():
        slide = open_slide(path)
        slide.read(slide.box)

    with pytest.raises(SlideError) as caught:
        open_and_read()
    message = str(caught.value)
    assert path.name in message
    for word in words:
        assert word in message
    assert "\n" not in message


def test_a_missing_file(tmp_path):
    assert_told(tmp_path / "gone.svs", "does not exist", "Check the path")


@pytest.mark.parametrize("kept", [0, 3, 8, 200])
def test_a_tiff_whose_directory_is_cut(tmp_path, kept):
    path = write_svs(tmp_path / "a.svs")
    path.write_bytes(path.read_bytes()[:kept])
    assert_told(path, "empty" if kept == 0 else "known kind" if kept == 3 else "Copy or download")


@pytest.mark.parametrize("codec", [None, "jpeg", "deflate", "lzw"])
def test_a_tiff_whose_tiles_are_cut_reads_what_is_there_and_names_what_is_not(tmp_path, codec):
    path = tmp_path / "cut.tif"
    noise = RNG.integers(0, 256, (300, 420, 3), dtype=np.uint8)
    tifffile.imwrite(path, noise, photometric="rgb", tile=(64, 64), compression=codec)
    whole = everything(open_slide(path))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 6 // 10)
    assert_told(path, "columns", "the file ends", "copy or download it again")
    np.testing.assert_array_equal(open_slide(path).levels[0][:64], whole[:64])


def test_a_plain_tiff_whose_only_strip_is_cut(tmp_path):
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, PICTURE, photometric="rgb")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    assert_told(path, "ownload it again")


def test_tiles_that_are_garbage(tmp_path):
    path = tmp_path / "bad.tif"
    tifffile.imwrite(path, PICTURE, photometric="rgb", tile=(64, 64), compression="deflate")
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages[0].dataoffsets[3], tiff.pages[0].databytecounts[3]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\x07" * count)
    assert_told(path, "rows 0 to 299", "damaged")


def test_a_compression_nobody_can_decode(tmp_path):
    path = tmp_path / "odd.tif"
    tifffile.imwrite(path, PICTURE, photometric="rgb", tile=(64, 64), compression="deflate")
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages[0].tags["Compression"].valueoffset
    with path.open("r+b") as file:
        file.seek(at)
        file.write((34661).to_bytes(2, "little"))
    assert_told(path, "JBIG", "libvips")


def test_a_zero_size_tiff(tmp_path):
    path = tmp_path / "zero.tif"
    tifffile.imwrite(path, PICTURE, photometric="rgb", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages[0].tags["ImageWidth"].valueoffset
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\0\0\0\0")
    with pytest.raises(SlideError, match=r"image of size .300, 0.: there are no pixels"):
        open_slide(path)


def test_channels_that_are_not_colours(tmp_path):
    cmyk = tmp_path / "cmyk.tif"
    tifffile.imwrite(cmyk, np.zeros((64, 64, 4), np.uint8), photometric="separated")
    assert_told(cmyk, "SEPARATED")


def test_a_folder_that_is_no_slide(tmp_path):
    folder = tmp_path / "holiday"
    folder.mkdir()
    (folder / "notes.txt").write_text("no slide")
    assert_told(folder, "neither an OME-Zarr image", "nor a folder of DICOM")


def test_a_zarr_that_is_no_image(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w")
    assert_told(tmp_path / "a.zarr", "multiscales", "missing")
    path = write_ome_zarr(tmp_path / "b.zarr", [PICTURE], "0.4")
    shutil.rmtree(path / "0")
    assert_told(path, "missing")


def test_a_zarr_with_a_damaged_chunk(tmp_path):
    path = write_ome_zarr(tmp_path / "b.zarr", [PICTURE], "0.5")
    chunk = next(f for f in (path / "0" / "c").rglob("*") if f.is_file())
    chunk.write_bytes(chunk.read_bytes()[:20])
    assert_told(path, "damaged")


@pytest.mark.parametrize(("name", "content"), [("readme.txt", b"hello"), ("x.svs", b"nope")])
def test_a_file_that_is_not_an_image(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert_told(path, "known kind", "OME-TIFF")
    assert_told(path.rename(path.with_suffix(".isyntax")), "Philips iSyntax", "isyntax2raw")


def test_a_damaged_png(tmp_path):
    path = tmp_path / "x.png"
    Image.fromarray(RNG.integers(0, 256, (200, 200, 3), dtype=np.uint8)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert_told(path, "opy or download it again")
    path.write_bytes(data[:20])
    assert_told(path, "Copy or download it again")


def test_a_png_too_large_to_decode_whole(tmp_path):
    path = tmp_path / "huge.png"
    Image.new("RGB", (8, 8)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 20_000, 20_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    path.write_bytes(data)
    assert_told(path, "20000 x 20000", "1.5 GiB", "libvips")


def test_a_huge_single_strip_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "huge.tif"
    tifffile.imwrite(path, PICTURE, photometric="rgb", compression="deflate", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages[0].tags
        places = [tags[n].valueoffset for n in ("ImageWidth", "ImageLength", "RowsPerStrip")]
        sizes = [tags[n].dtype for n in ("ImageWidth", "ImageLength", "RowsPerStrip")]
    with path.open("r+b") as file:
        for at, kind in zip(places, sizes, strict=True):
            file.seek(at)
            file.write((60_000).to_bytes(2 if kind == 3 else 4, "little"))
    assert_told(path, "60000 x 60000", "libvips")


def test_dicom_without_its_package_names_the_command(tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"\0" * 128 + b"DICM")
    code = (
        "import sys; sys.modules['wsidicom'] = None\n"
        "from histoprompt.core.readers.open import open_slide\n"
        "from histoprompt.core.errors import SlideError\n"
        "try: open_slide(sys.argv[1])\n"
        "except SlideError as e: print(e)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "pip install napari-histoprompt[dicom]" in run.stdout


def test_a_folder_of_damaged_dicom(tmp_path):
    pytest.importorskip("wsidicom")
    (tmp_path / "a.dcm").write_bytes(b"\0" * 128 + b"DICM")
    assert_told(tmp_path, "no readable DICOM")


# --- many threads, and real files ---------------------------------------------------------


def test_threads_share_one_file(tmp_path):
    levels = halves(picture(700, 900), 2)
    slide = open_slide(write_pyramid(tmp_path / "x.tif", levels, compression="jpeg"))
    boxes = [Box(30 * i, 40 * i, 30 * i + 220, 40 * i + 220) for i in range(16)]
    expected = [slide.read(b, (100, 100))[0] for b in boxes]
    wrong = []

    def work(start):
        order = [i % 16 for i in range(start, start + 16)]
        read = {i: slide.read(boxes[i], (100, 100))[0] for i in order}
        wrong.extend(i for i in order if not np.array_equal(read[i], expected[i]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("damage", [False, True])
def test_a_read_of_many_tiles_is_one_read(tmp_path, damage):
    image = RNG.integers(0, 256, (500, 700, 3), dtype=np.uint8)
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, image, photometric="rgb", tile=(64, 64), compression="deflate")
    if damage:
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
        assert_told(path, "the file ends")
    else:
        np.testing.assert_array_equal(open_slide(path).levels[0][7:493, 3:699], image[7:493, 3:699])


def test_a_closed_slide_opens_again_when_read(tmp_path):
    with open_slide(write_svs(tmp_path / "a.svs")) as slide:
        before = everything(slide)
    np.testing.assert_array_equal(everything(slide), before)
    slide.close()


REAL = {
    "CMU-1-Small-Region.svs": ((2967, 2220), (1,), 0.499, "Aperio"),
    "tcga-cr-7395-01a-01-ts1.svs": ((3567, 4443), (1, 2), None, "Aperio"),
    "OS-1-detail.ome.tif": ((1101, 1101), (1,), 0.2271, None),
    "OS-2-ndpi.ome.tif": ((2202, 2202), (1,), 0.2271, None),
    "OS-2-vsi.ome.tif": ((1445, 1445), (1,), 0.3461, None),
}


@pytest.mark.shared
@pytest.mark.parametrize("name", REAL)
def test_real_slides_equal_what_tifffile_reads(shared_data, name):
    path = shared_data / "slides" / name
    shape, downsamples, mpp, vendor = REAL[name]
    slide = open_slide(path)
    assert (slide.shape, slide.downsamples, slide.vendor) == (shape, downsamples, vendor)
    assert slide.mpp == (None if mpp is None else pytest.approx(mpp, rel=1e-3))
    r, c = shape[0] // 3, shape[1] // 2
    box = Box(r, c, r + 300, c + 257)
    with tifffile.TiffFile(path) as tiff:
        expected = tiff.series[0].levels[0].asarray()[box.slices()]
    np.testing.assert_array_equal(slide.read(box)[0], expected)


@pytest.mark.shared
def test_the_levels_of_a_real_pyramid_lie_on_each_other(shared_data):
    slide = open_slide(shared_data / "slides" / "tcga-cr-7395-01a-01-ts1.svs")
    box = Box(1200, 1600, 1712, 2112)
    fine = slide.read(box)[0].reshape(256, 2, 256, 2, 3).mean(axis=(1, 3))
    coarse = slide.read(box, (256, 256))[0].astype(float)
    here = np.abs(fine - coarse).mean()
    moved = [np.abs(np.roll(fine, s, axis=a) - coarse).mean() for s in (-1, 1) for a in (0, 1)]
    assert here < 0.7 * min(moved)


@pytest.mark.shared
def test_a_real_dicom_slide_shows_what_its_svs_shows(shared_data):
    pytest.importorskip("wsidicom")
    dicom = open_slide(shared_data / "slides" / "CMU-1-Small-Region-dicom")
    svs = open_slide(shared_data / "slides" / "CMU-1-Small-Region.svs")
    assert (dicom.shape, dicom.mpp) == (svs.shape, pytest.approx(svs.mpp))
    box = Box(700, 500, 1300, 1100)
    ours, theirs = dicom.read(box)[0].astype(float), svs.read(box)[0].astype(float)
    # the DICOM copy was compressed once more, with halved colour, so it is not bit for bit equal
    here = np.abs(ours - theirs).mean()
    moved = [np.abs(np.roll(ours, s, axis=a) - theirs).mean() for s in (-1, 1) for a in (0, 1)]
    assert here < 5
    assert here < 0.7 * min(moved)
    file = next((shared_data / "slides" / "CMU-1-Small-Region-dicom").iterdir())
    assert open_slide(file).key == dicom.key
