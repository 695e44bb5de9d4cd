"""What a reader makes of stored values: right colours, right channels, right size, right file.

Every expected value is worked out here from the picture that was written, not by reading it.
"""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from histoprompt.core.errors import SlideError
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide


def picture(height=192, width=256):
    """Pink, purple and glass in blocks that no lossy step moves far."""
    rgb = np.full((height, width, 3), (240, 238, 242), np.uint8)
    rgb[20:150, 30:200] = (225, 150, 190)
    rgb[40:90, 60:120] = (110, 70, 150)
    rgb[100:140, 150:190] = (150, 60, 60)
    return rgb


PICTURE = picture()


def ycbcr(rgb):
    """CCIR 601 by its definition (ITU-T T.871, 7), codes of 8 bits."""
    r, g, b = np.moveaxis(rgb.astype(float), -1, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    cb, cr = 128 + (b - y) / 1.772, 128 + (r - y) / 1.402
    return np.stack([y, cb, cr], -1).round().clip(0, 255).astype(np.uint8)


def pixels(path, **options):
    with open_slide(path, **options) as slide:
        return slide.read(slide.box)[0]


def near(path, expected, most=3):
    difference = np.abs(pixels(path).astype(int) - expected)
    assert difference.max() <= most, difference.max()


# --- luminance and colour differences -------------------------------------------------------


def j2k(codes, **options):
    return imagecodecs.jpeg2k_encode(codes, level=0, codecformat="j2k", reversible=True, **options)


@pytest.mark.parametrize("photometric", ["rgb", "ycbcr"])
def test_aperio_33003_holds_ycbcr_and_33005_rgb(tmp_path, photometric):
    whole = np.full((256, 256, 3), 255, np.uint8)
    whole[:192] = PICTURE
    for kind, codes in ((33003, ycbcr(whole)), (33005, whole)):
        path = tmp_path / f"{kind}.svs"
        with tifffile.TiffWriter(path) as tiff:
            tiff.write(
                iter([j2k(codes, mct=False)]), shape=whole.shape, dtype=np.uint8, tile=(256, 256),
                compression=kind, photometric=photometric, metadata=None,
                description="Aperio Image Library v11\r\n256x256|MPP = 0.5", software=False,
            )  # fmt: skip
        near(path, whole)


def test_jpeg_2000_that_says_ycbcr_is_converted(tmp_path):
    path = tmp_path / "x.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(
            iter([j2k(ycbcr(PICTURE), mct=False)]), shape=PICTURE.shape, dtype=np.uint8,
            tile=(192, 256), compression=34712, photometric="ycbcr", metadata=None,
        )  # fmt: skip
    near(path, PICTURE)


@pytest.mark.parametrize("layout", ["strip", "tiles", "planes"])
@pytest.mark.parametrize("codec", [None, "deflate", "lzw", "zstd", "packbits"])
def test_ycbcr_without_jpeg_is_converted(tmp_path, codec, layout):
    path = tmp_path / "x.tif"
    codes = ycbcr(PICTURE)
    options = {"extratags": [(530, 3, 2, (1, 1), True)], "compression": codec, "metadata": None}
    if layout == "planes":
        options |= {"planarconfig": "separate"}
        codes = codes.transpose(2, 0, 1)
    if layout == "tiles":
        options |= {"tile": (64, 64)}
    tifffile.imwrite(path, codes, photometric="ycbcr", **options)
    near(path, PICTURE)


@pytest.mark.parametrize("codec", ["jpeg", "webp", "png"])
def test_codecs_that_hand_out_rgb_are_not_converted_again(tmp_path, codec):
    path = tmp_path / "x.tif"
    blocks = np.kron(PICTURE[::16, ::16], np.ones((16, 16, 1), np.uint8))
    encode = {
        "jpeg": lambda a: imagecodecs.jpeg8_encode(a, level=98, subsampling=(1, 1)),
        "webp": lambda a: imagecodecs.webp_encode(a, lossless=True),
        "png": imagecodecs.png_encode,
    }[codec]
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(
            iter([encode(blocks)]), shape=blocks.shape, dtype=np.uint8, tile=(192, 256),
            compression=codec, photometric="ycbcr", metadata=None,
        )  # fmt: skip
    near(path, blocks, most=8)


def test_a_tile_that_is_left_out_is_white_whatever_the_colours_are_stored_as(tmp_path):
    tile = np.full((64, 64, 3), (120, 60, 140), np.uint8)
    cases = {
        "ycbcr": (ycbcr(tile), {"extratags": [(530, 3, 2, (1, 1), True)]}),
        "miniswhite": (255 - tile[..., 0], {}),
        "rgb": (tile.astype(np.float32), {}),
    }
    for photometric, (stored, more) in cases.items():
        path = tmp_path / f"{photometric}.tif"
        shape = (64, 128, *stored.shape[2:])
        tifffile.imwrite(
            path, iter([stored, None]), shape=shape, dtype=stored.dtype, tile=(64, 64),
            photometric=photometric, compression="deflate", metadata=None, **more,
        )  # fmt: skip
        image = pixels(path)
        grey = photometric == "miniswhite"
        assert np.abs(image[5, 5].astype(int) - (120 if grey else (120, 60, 140))).max() <= 2
        assert (image[:, 64:] == 255).all(), photometric


# --- channels -----------------------------------------------------------------------------


def test_separate_channels_are_no_grey_with_alpha_and_no_rgba(tmp_path):
    for count in (2, 4, 5):
        stack = np.stack([PICTURE[..., i % 3] for i in range(count)])
        ome = tmp_path / f"{count}.ome.tif"
        tifffile.imwrite(ome, stack, photometric="minisblack", metadata={"axes": "CYX"})
        side = tmp_path / f"{count}.tif"
        tifffile.imwrite(
            side, np.moveaxis(stack, 0, -1), photometric="minisblack", planarconfig="contig",
            metadata=None, extrasamples=[0] * (count - 1),
        )  # fmt: skip
        fiji = tmp_path / f"{count}-fiji.tif"
        tifffile.imwrite(fiji, stack, imagej=True, metadata={"axes": "CYX"})
        group = zarr.open_group(tmp_path / f"{count}.zarr", mode="w", zarr_format=2)
        group.create_array("0", data=stack, chunks=(1, 64, 64))
        axes = [{"name": a} for a in "cyx"]
        group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
        for path in (ome, side, fiji, tmp_path / f"{count}.zarr"):
            channels = open_slide(path).channels
            assert len(channels) == count
            for channel, plane in zip(channels, stack, strict=True):
                np.testing.assert_array_equal(channel.levels[0][:], plane)
    with pytest.raises(SlideError, match=r"\(20, 20, 2\)"):
        Slide.from_arrays("two", [np.zeros((20, 20, 2), np.uint8)])


def test_grey_with_alpha_and_rgba_stay_what_they_say(tmp_path):
    clear = np.full((64, 64, 1), 0, np.uint8)
    grey = np.dstack([PICTURE[:64, :64, :1], clear])
    path = tmp_path / "x.tif"
    tifffile.imwrite(
        path, grey, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"],
        metadata=None,
    )  # fmt: skip
    assert (pixels(path) == 255).all()
    tifffile.imwrite(
        path, np.dstack([PICTURE[:64, :64], clear]), photometric="rgb", metadata=None,
        extrasamples=["unspecified"],
    )  # fmt: skip
    np.testing.assert_array_equal(pixels(path), PICTURE[:64, :64])


def test_three_channels_named_for_dyes_are_no_red_green_and_blue(tmp_path):
    stack = PICTURE.transpose(2, 0, 1)
    path = tmp_path / "x.ome.tif"
    names = {"Channel": {"Name": ["DAPI", "FITC", "Cy3"]}}
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "CYX"} | names)
    group = zarr.open_group(tmp_path / "x.zarr", mode="w", zarr_format=2)
    group.create_array("0", data=stack, chunks=(1, 64, 64))
    axes = [{"name": a} for a in "cyx"]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
    group.attrs["omero"] = {"channels": [{"label": "DAPI"}, {"label": "CD3"}, {"label": "Ki67"}]}
    found = [open_slide(path), open_slide(tmp_path / "x.zarr")]
    assert [c.name for c in found[0].channels] == ["DAPI", "FITC", "Cy3"]
    assert [c.name for c in found[1].channels] == ["DAPI", "CD3", "Ki67"]
    for slide in found:  # the nuclei of one channel as they would be in grey, and no colours
        shown = slide.levels[0][:]
        assert (shown == shown[..., :1]).all()
    names = {"Channel": {"Name": ["Red", "Green", "Blue"]}}
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "CYX"} | names)
    np.testing.assert_array_equal(pixels(path), PICTURE)
    assert any("taken for red, green and blue" in n for n in open_slide(path).notes)


# --- values -------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_png_of_16_bits_is_read_as_the_tiff_of_the_same_values(tmp_path, channels):
    deep = np.dstack([PICTURE.astype(np.uint16) * 16, np.full(PICTURE.shape[:2], 4095, "u2")])
    chosen = {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]
    values = np.ascontiguousarray(deep[..., chosen])
    png = tmp_path / "x.png"
    png.write_bytes(imagecodecs.png_encode(values.squeeze()))
    # 12 bits in 16: white is 4095
    colours = values[..., : 1 if channels < 3 else 3]
    expected = np.rint(colours * (255 / 4095)).astype(int)
    difference = np.abs(pixels(png).astype(int) - expected)
    assert difference.max() <= 1
    notes = open_slide(png).notes
    assert "values are uint16, shown as 8 bits with 4095 as white" in notes
    if channels == 3:
        tiff = tmp_path / "x.tif"
        tifffile.imwrite(tiff, values, photometric="rgb")
        np.testing.assert_array_equal(pixels(tiff), pixels(png))
        assert "values are uint16, shown as 8 bits with 4095 as white" in open_slide(tiff).notes


@pytest.mark.parametrize("odd", [np.nan, 1.0001, 300.0, np.inf, -np.inf, -5.0])
@pytest.mark.parametrize("scale", [1, 255])
def test_one_odd_value_of_floating_point_does_not_turn_the_picture_black(tmp_path, odd, scale):
    values = (PICTURE / 255 * scale).astype(np.float32)
    values[0, 0] = odd
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, values, photometric="rgb")
    image = pixels(path)
    assert np.abs(image[1:].astype(int) - PICTURE[1:]).max() <= 1
    if np.isnan(odd):
        assert image[0, 0].tolist() == [255, 255, 255]


def test_one_hot_pixel_does_not_darken_a_picture_of_12_bits(tmp_path):
    values = PICTURE.astype(np.uint16) * 16
    values[5, 5] = 65535
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, values, photometric="rgb")
    expected = np.rint(np.minimum(values, 4095) * (255 / 4095)).astype(int)
    assert np.abs(pixels(path).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("bits", [1, 2, 4, 12])
def test_few_bits_are_scaled_by_what_the_file_states(tmp_path, bits):
    grey = (np.arange(64 * 64).reshape(64, 64) % 2**bits).astype("u2" if bits > 8 else "u1")
    path = tmp_path / "x.tif"
    write_packed(path, grey, bits)
    expected = np.rint(grey.astype(float) * 255 / (2**bits - 1)).astype(int)
    assert np.abs(pixels(path)[..., 0].astype(int) - expected).max() <= 1


def write_packed(path, grey, bits):
    """An uncompressed TIFF of one strip whose values are packed, by hand."""
    rows, cols = grey.shape
    flat = np.unpackbits(grey.astype(">u2").view("u1").reshape(-1, 2), axis=1)[:, 16 - bits :]
    data = np.packbits(flat).tobytes()
    entries = [
        (256, 4, 1, cols), (257, 4, 1, rows), (258, 3, 1, bits), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, rows), (279, 4, 1, len(data)),
    ]  # fmt: skip
    at = 8 + len(data) + len(data) % 2
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", *entry) for entry in entries
    )
    head = struct.pack("<2sHI", b"II", 42, at)
    path.write_bytes((head + data).ljust(at, b"\0") + directory + struct.pack("<I", 0))


def test_values_that_are_no_numbers_are_refused(tmp_path):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.ones((32, 32), np.complex64))
    with pytest.raises(SlideError, match="complex"):
        open_slide(path)


# --- orientation --------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_shown_as_every_viewer_shows_it(tmp_path, orientation, suffix):
    # EXIF 2.3, 4.6.4 A: where row 0 and column 0 of what is stored lie in what is seen
    seen = {
        1: PICTURE, 2: PICTURE[:, ::-1], 3: PICTURE[::-1, ::-1], 4: PICTURE[::-1],
        5: PICTURE.transpose(1, 0, 2), 6: np.rot90(PICTURE, -1), 8: np.rot90(PICTURE),
        7: np.rot90(PICTURE[:, ::-1], -1)[:, :],
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x112] = orientation
    path = tmp_path / f"x.{suffix}"
    options = {"quality": 98, "subsampling": 0} if suffix == "jpg" else {}
    Image.fromarray(PICTURE).save(path, exif=exif, **options)
    slide = open_slide(path)
    assert slide.shape == seen.shape[:2]
    difference = np.abs(slide.read(slide.box)[0].astype(int) - seen)
    assert np.percentile(difference, 99) <= 12
    assert ("turned as its EXIF orientation says" in slide.notes) == (orientation != 1)


# --- levels -------------------------------------------------------------------------------


def write_pages(path, *pages, **options):
    with tifffile.TiffWriter(path) as tiff:
        for page in pages:
            tiff.write(
                page, photometric="rgb", tile=(128, 128), compression="deflate", metadata=None,
                resolution=(20000, 20000), resolutionunit="CENTIMETER", **options,
            )  # fmt: skip
    return path


def tissue(seed, side=512):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(90, 245, (side // 16, side // 16, 3))
    return np.kron(coarse, np.ones((16, 16, 1))).astype(np.uint8)


@pytest.mark.parametrize("other", ["flat", "tissue", "negative", "upside down"])
def test_a_page_of_another_picture_is_no_level(tmp_path, other):
    full = tissue(1)
    small = {
        "flat": np.full((256, 256, 3), 250, np.uint8),
        "tissue": tissue(2)[::2, ::2],
        "negative": 255 - full[::2, ::2],
        "upside down": full[::-2, ::-2],
    }[other]
    slide = open_slide(write_pages(tmp_path / "x.tif", full, small))
    assert [level.shape[:2] for level in slide.levels] == [(512, 512)]
    assert "a page of 256 x 256 pixels is another picture and was left out" in slide.notes
    assert slide.mpp == pytest.approx(0.5)


@pytest.mark.parametrize("step", [2, 4, 8])
def test_a_page_of_the_same_picture_is_a_level(tmp_path, step):
    full = tissue(1)
    mean = full.reshape(512 // step, step, 512 // step, step, 3).mean((1, 3)).astype(np.uint8)
    slide = open_slide(write_pages(tmp_path / "x.tif", full, mean))
    assert slide.downsamples == (1, step)
    np.testing.assert_array_equal(slide.levels[1][...], mean)


def test_pages_of_plain_glass_are_levels_of_each_other(tmp_path):
    full = np.full((512, 512, 3), 243, np.uint8)
    assert open_slide(write_pages(tmp_path / "x.tif", full, full[::2, ::2])).downsamples == (1, 2)


# --- pixel size ---------------------------------------------------------------------------


def test_one_micron_a_pixel_is_a_size_like_any_other(tmp_path):
    fiji = tmp_path / "fiji.tif"
    tifffile.imwrite(fiji, PICTURE, imagej=True, resolution=(1, 1), metadata={"unit": "um"})
    plain = tmp_path / "plain.tif"
    tifffile.imwrite(plain, PICTURE, resolution=(1, 1), resolutionunit="MICROMETER", metadata=None)
    ome = tmp_path / "x.ome.tif"
    sizes = {"PhysicalSizeX": 1, "PhysicalSizeY": 1, "axes": "YXS"}
    tifffile.imwrite(ome, PICTURE, metadata=sizes, photometric="rgb")
    png = tmp_path / "x.png"
    Image.fromarray(PICTURE).save(png, dpi=(25400, 25400))
    for path in (fiji, plain, ome, png):
        assert open_slide(path).mpp == pytest.approx(1.0, rel=1e-4), path


@pytest.mark.parametrize("stated", ["1e300", "0.000000001", "-0.5", "nan", "0", "500"])
def test_a_size_that_no_microscope_gives_is_not_believed(tmp_path, stated):
    svs = tmp_path / "x.svs"
    text = f"Aperio Image Library v11\r\n256x192|AppMag = 20|MPP = {stated}"
    tifffile.imwrite(
        svs, PICTURE, tile=(64, 64), photometric="rgb", description=text, metadata=None
    )
    slide = open_slide(svs)
    assert slide.mpp is None
    assert any("no pixel size" in n for n in slide.notes)
    assert any("no light microscope gives" in n for n in slide.notes) == (stated != "0")


@pytest.mark.parametrize("typed", [1e300, 1e-9, 0.0, -1.0, float("nan"), float("inf"), 1000.0])
def test_a_typed_size_that_no_microscope_gives_is_refused(tmp_path, typed):
    path = tmp_path / "x.png"
    Image.fromarray(PICTURE).save(path)
    with pytest.raises(SlideError, match=r"cannot be right.*0\.05 to 10 µm"):
        open_slide(path, mpp=typed)


def test_metadata_kept_in_another_file_are_said_so(tmp_path):
    path = tmp_path / "x.ome.tif"
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<BinaryOnly MetadataFile="a.companion.ome" UUID="urn:uuid:1"/></OME>'
    )
    tifffile.imwrite(path, PICTURE, photometric="rgb", metadata=None, description=xml)
    slide = open_slide(path)
    np.testing.assert_array_equal(slide.read(slide.box)[0], PICTURE)
    assert slide.mpp is None
    assert any("a.companion.ome" in n for n in slide.notes)
