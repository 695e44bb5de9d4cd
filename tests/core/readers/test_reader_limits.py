"""Files that lie: sizes nobody believes, tiles that unpack too much, chains without an end.

Each must end as one line that names the file, before the memory it asks for is taken.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from histoprompt.core.errors import SlideError, SlideTooLargeError
from histoprompt.core.readers.bounded_codecs import unpack
from histoprompt.core.readers.codestream import stated_size
from histoprompt.core.readers.open import open_slide
from histoprompt.core.readers.tiff import open_tiff
from histoprompt.core.readers.tiff_directories import check_directories
from histoprompt.core.slides import limits
from histoprompt.core.slides.info import describe
from histoprompt.core.slides.limits import Limits

GREY = np.full((64, 64, 3), (200, 120, 160), np.uint8)


def refused(path, *words, kind=SlideError, **options):
    """Opening and reading end in one line that names the file."""

    def open_and_read():
        with open_slide(path, **options) as slide:
            slide.read(slide.box, tuple(min(n, 256) for n in slide.shape))

    with pytest.raises(kind) as caught:
        open_and_read()
    message = str(caught.value)
    assert "\n" not in message
    assert path.name[:50] in message
    for word in words:
        assert word in message, message
    return message


def write_tiff(path, tags, data=b"", following=0, order="<"):
    """A TIFF of one directory from {tag: (type, values)}; "data" is where `data` lies."""
    codes = {1: "B", 3: "H", 4: "I", 12: "d"}
    body = bytearray(struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 0)) + data
    rows = []
    for tag, (kind, values) in sorted(tags.items()):
        if isinstance(values, bytes):
            raw, count = values, len(values)
        else:
            numbers = [8 if v == "data" else v for v in values]
            raw, count = struct.pack(order + codes[kind] * len(numbers), *numbers), len(numbers)
        if len(raw) > 4:
            body += b"\0" * (len(body) % 2)
            place = struct.pack(order + "I", len(body))
            body += raw
            raw = place
        rows.append(struct.pack(order + "HHI", tag, kind, count) + raw.ljust(4, b"\0"))
    body += b"\0" * (len(body) % 2)
    at = len(body)
    struct.pack_into(order + "I", body, 4, at)
    body += struct.pack(order + "H", len(rows)) + b"".join(rows)
    body += struct.pack(order + "I", at if following == "itself" else following)
    path.write_bytes(bytes(body))
    return path


def tags(rows, cols, side=64, codec=8, count=0, **more):
    tiles = -(-rows // side) * -(-cols // side) if side else 1
    return {
        256: (4, [cols]), 257: (4, [rows]), 258: (3, [8, 8, 8]), 259: (3, [codec]),
        262: (3, [2]), 277: (3, [3]), 322: (4, [side]), 323: (4, [side]),
        324: (4, ["data"] * tiles), 325: (4, [count] * tiles), **more,
    }  # fmt: skip


# --- sizes that are stated --------------------------------------------------------------------


def test_the_limits_stand_in_one_place():
    assert Limits() == Limits(2**20, 2**30, 2**16, 2**23)
    assert limits.GIB == 2**30
    assert Limits.none().piece_bytes == float("inf")


def test_a_small_file_of_a_huge_picture_is_refused(tmp_path):
    path = write_tiff(tmp_path / "x.tif", tags(64, 64) | {256: (4, [2**31]), 257: (4, [2**31])})
    refused(path, "2,147,483,648 x 2,147,483,648", kind=SlideTooLargeError)
    refused(path, "lists 1", trust_size=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({322: (4, [0]), 323: (4, [0])}, ("tiles have 0 x",)),
        ({322: (4, [2**30]), 323: (4, [2**30])}, ("decoded whole",)),
        ({256: (4, [0])}, ("no pixels",)),
        ({256: (4, [1000])}, ("need 16 tiles of 64 x 64", "lists 1")),
        ({258: (3, [17, 17, 17])}, ()),
        ({258: (3, [0, 0, 0])}, ()),
        ({277: (3, [60000])}, ()),
        ({262: (3, [999])}, ("999",)),
        ({259: (3, [12345])}, ("12345", "libvips")),
        ({324: (4, []), 325: (4, [])}, ()),
    ],
)
def test_a_page_that_cannot_be_what_it_says(tmp_path, change, words):
    data = zlib.compress(GREY.tobytes())
    path = write_tiff(tmp_path / "x.tif", tags(64, 64, count=len(data)) | change, data)
    refused(path, *words)


def test_the_page_itself_is_right(tmp_path):
    data = zlib.compress(GREY.tobytes())
    slide = open_slide(write_tiff(tmp_path / "x.tif", tags(64, 64, count=len(data)), data))
    np.testing.assert_array_equal(slide.levels[0][...], GREY)


def test_a_person_may_trust_a_size(tmp_path):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, GREY, photometric="rgb", compression="deflate", tile=(64, 64))
    small = replace(Limits(), piece_bytes=64 * 64 * 3 - 1)
    with pytest.raises(SlideTooLargeError, match="say that you trust its size"):
        open_tiff(path, small)
    with pytest.raises(SlideTooLargeError, match="63 a side"):
        open_tiff(path, replace(Limits(), side=63))
    with open_tiff(path, replace(small, piece_bytes=64 * 64 * 3)) as slide:
        np.testing.assert_array_equal(slide.levels[0][...], GREY)


# --- tiles that are more than they say --------------------------------------------------------

PICTURES = {
    34933: imagecodecs.png_encode,
    50001: lambda a: imagecodecs.webp_encode(a, lossless=True),
    50002: lambda a: imagecodecs.jpegxl_encode(a, effort=1),
    34712: lambda a: imagecodecs.jpeg2k_encode(a, level=0, codecformat="j2k"),
    7: imagecodecs.jpeg8_encode,
    22610: imagecodecs.jpegxr_encode,
}


@pytest.mark.parametrize("codec", PICTURES)
def test_a_tile_that_holds_a_larger_picture_is_not_decoded(tmp_path, codec):
    for shape, good in (((64, 64), True), ((65, 64), False), ((64, 200), False)):
        picture = np.full((*shape, 3), (200, 120, 160), np.uint8)
        data = PICTURES[codec](picture)
        stated = stated_size(data)
        assert (stated.height, stated.width) == shape
        path = tmp_path / f"{codec}-{shape[1]}.tif"
        write_tiff(path, tags(64, 64, codec=codec, count=len(data)), bytes(data))
        if good:
            image = open_slide(path).levels[0][...].astype(int)
            assert np.abs(image - GREY).max() <= 4
        else:
            words = f"a tile of 64 x 64 pixels holds a picture of {shape[0]} x {shape[1]}"
            refused(path, words, trust_size=True)


def test_a_jpeg_tile_whose_header_says_65500_takes_no_memory(tmp_path):
    data = bytearray(imagecodecs.jpeg8_encode(GREY))
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65500, 65500)
    path = tmp_path / "x.tif"
    refused(write_tiff(path, tags(64, 64, codec=7, count=len(data)), bytes(data)), "65500 x 65500")


@pytest.mark.parametrize("kind", ["zlib", "gzip", "bz2", "lzma", "zstd", "lz4", "blosc"])
def test_what_is_packed_is_unpacked_to_so_many_bytes_and_no_more(kind):
    import bz2
    import gzip
    import lzma

    plain = bytes(range(256)) * 400
    pack = {
        "zlib": zlib.compress, "gzip": gzip.compress, "bz2": bz2.compress, "lzma": lzma.compress,
        "zstd": imagecodecs.zstd_encode, "blosc": imagecodecs.blosc_encode,
        "lz4": lambda b: imagecodecs.lz4_encode(b, header=True),
    }[kind]  # fmt: skip
    packed = bytes(pack(plain))
    assert unpack(kind, packed, len(plain)) == plain
    assert unpack(kind, packed, len(plain) + 2**16) == plain
    with pytest.raises((ValueError, RuntimeError)):
        unpack(kind, packed, len(plain) // 2)


def write_zarr(path, array, packed=None, **metadata):
    """A zarr of version 2 with one chunk, by hand."""
    path.mkdir()
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    axes = [{"name": a, "unit": "micrometer"} for a in "cyx"]
    image = {"axes": axes, "datasets": [{"path": "0"}], "version": "0.4"}
    (path / ".zattrs").write_text(json.dumps({"multiscales": [image]}))
    (path / "0").mkdir()
    facts = {
        "zarr_format": 2, "shape": array.shape, "chunks": array.shape, "dtype": "|u1",
        "compressor": {"id": "zlib", "level": 1}, "fill_value": 255, "filters": None,
        "order": "C", "dimension_separator": ".",
    }  # fmt: skip
    (path / "0" / ".zarray").write_text(json.dumps(facts | metadata))
    data = zlib.compress(array.tobytes()) if packed is None else packed
    (path / "0" / "0.0.0").write_bytes(data)
    return path


def test_a_chunk_that_unpacks_to_more_than_it_should_hold(tmp_path):
    array = np.ascontiguousarray(GREY.transpose(2, 0, 1))
    good = open_slide(write_zarr(tmp_path / "good.zarr", array))
    np.testing.assert_array_equal(good.levels[0][...], GREY)
    bomb = zlib.compress(bytes(2**27), 9)
    refused(write_zarr(tmp_path / "bomb.zarr", array, bomb), "unpacks to more than the 12,288")
    refused(write_zarr(tmp_path / "b.zarr", array, bomb), "unpacks", trust_size=True)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"shape": [3, 2**40, 2**40]}, ("1,099,511,627,776",)),
        ({"shape": [3, 10**5, 10**5], "chunks": [3, 10**5, 10**5]}, ("decoded whole",)),
        ({"shape": [3, 10**5, 10**5], "chunks": [3, 1, 1]}, ("chunks of 1 x 1",)),
        ({"shape": [3, 0, 0]}, ("no pixels",)),
        ({"fill_value": -1}, ()),
        ({"compressor": {"id": "delta", "dtype": "|u1"}}, ("delta", "not read")),
        ({"dtype": "|O", "compressor": None, "filters": [{"id": "pickle"}]}, ()),
        ({"dtype": "<c8", "fill_value": [0, 0]}, ("complex",)),
        ({"shape": [3, 64]}, ()),
        ({"shape": None}, ()),
    ],
)
def test_a_zarr_that_cannot_be_what_it_says(tmp_path, metadata, words):
    array = np.ascontiguousarray(GREY.transpose(2, 0, 1))
    refused(write_zarr(tmp_path / "x.zarr", array, **metadata), *words)


def test_a_zarr_may_not_name_an_array_elsewhere(tmp_path):
    array = np.ascontiguousarray(GREY.transpose(2, 0, 1))
    write_zarr(tmp_path / "other.zarr", array)
    path = write_zarr(tmp_path / "x.zarr", array)
    image = {"axes": list("cyx"), "datasets": [{"path": "../other.zarr/0"}]}
    (path / ".zattrs").write_text(json.dumps({"multiscales": [image]}))
    refused(path, "outside its own folder")


@pytest.mark.parametrize("shards", [None, (3, 128, 128)])
def test_zarr_3_is_bounded_too(tmp_path, shards):
    values = np.random.default_rng(0).integers(0, 200, (3, 200, 150), dtype=np.uint8)
    group = zarr.open_group(tmp_path / "x.zarr", mode="w", zarr_format=3)
    group.create_array("0", data=values, chunks=(3, 64, 64), shards=shards)
    image = {"axes": [{"name": a} for a in "cyx"], "datasets": [{"path": "0"}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    slide = open_slide(tmp_path / "x.zarr")
    np.testing.assert_array_equal(slide.levels[0][...], values.transpose(1, 2, 0))
    if shards is None:
        chunk = next(f for f in (tmp_path / "x.zarr" / "0" / "c").rglob("*") if f.is_file())
        chunk.write_bytes(imagecodecs.zstd_encode(bytes(2**26)))
        refused(tmp_path / "x.zarr", "more than the 12,288 bytes")


# --- pictures that are decoded whole ----------------------------------------------------------


def png_of(path, rows, cols, *, depth, kind):
    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", cols, rows, depth, kind, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*p) for p in parts))
    return path


def test_a_png_is_measured_by_the_memory_it_takes(tmp_path):
    # 13,377 x 13,377 x 4 channels x 2 bytes = 1.43e9 bytes
    path = png_of(tmp_path / "deep.png", 13377, 13377, depth=16, kind=6)
    refused(path, "1.3 GiB", "the limit is 1 GiB", kind=SlideTooLargeError)
    # the same pixels in 8 bits and three channels are allowed, and then found to be missing
    refused(png_of(tmp_path / "x.png", 13377, 13377, depth=8, kind=2), "bytes cannot hold them")


def test_a_jpeg_too_short_for_the_picture_it_announces(tmp_path):
    data = bytearray(imagecodecs.jpeg8_encode(GREY))
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 13000, 13000)
    path = tmp_path / "x.jpg"
    path.write_bytes(bytes(data))
    refused(path, "13,000 x 13,000", f"{len(data)} bytes cannot hold them")


def test_the_emptiest_pictures_there_are_can_be_read(tmp_path):
    white = Image.new("L", (2000, 2000), 255)
    white.save(tmp_path / "x.png", optimize=True)
    white.save(tmp_path / "x.jpg", quality=1, optimize=True, progressive=True)
    white.save(tmp_path / "y.jpg", quality=1, optimize=True)
    for name in ("x.png", "x.jpg", "y.jpg"):
        slide = open_slide(tmp_path / name)
        assert (slide.read(slide.box)[0] > 250).all()


# --- chains -----------------------------------------------------------------------------------


def test_directories_in_a_circle(tmp_path):
    data = zlib.compress(GREY.tobytes())
    chain = write_tiff(tmp_path / "x.tif", tags(64, 64, count=len(data)), data, "itself")
    refused(chain, "starts again at byte")


@pytest.mark.parametrize("offset", [8, 20, 1000])
def test_a_chain_into_the_pixels_ends(tmp_path, offset):
    pixels = np.random.default_rng(3).integers(0, 3, (512, 512, 3), dtype=np.uint8)
    data = pixels.tobytes()
    path = write_tiff(
        tmp_path / "x.tif", tags(512, 512, side=512, codec=1, count=len(data)), data, offset
    )
    try:
        slide = open_slide(path)
    except SlideError as error:
        told = str(error)
        if "x.tif" not in told:
            pytest.fail(told)
    else:
        np.testing.assert_array_equal(slide.levels[0][...], pixels)


def test_more_pages_than_anybody_writes(tmp_path):
    page = struct.pack("<HHHII", 1, 256, 4, 1, 16)
    chain = struct.pack("<2sHI", b"II", 42, 8)
    for i in range(40):
        chain += page + struct.pack("<I", 8 + (i + 1) * 18 if i < 39 else 0)
    path = tmp_path / "x.tif"
    path.write_bytes(chain)
    check_directories(path, Limits())
    with pytest.raises(SlideTooLargeError, match="first 31 pages"):
        check_directories(path, replace(Limits(), directories=30))
    with pytest.raises(SlideTooLargeError, match="trust its size"):
        check_directories(path, replace(Limits(), table_values=100))
    check_directories(path, Limits.none())


# --- places -----------------------------------------------------------------------------------


def test_a_pipe_and_a_device_are_no_slides(tmp_path):
    pipe = tmp_path / "pipe.tif"
    os.mkfifo(pipe)
    refused(pipe, "neither a file nor a folder")
    device = tmp_path / "zero.tif"
    device.symlink_to("/dev/zero")
    refused(device, "neither a file nor a folder")
    loop = tmp_path / "loop.tif"
    loop.symlink_to(loop)
    refused(loop)


def test_places_that_cannot_be_looked_at(tmp_path):
    long = tmp_path / ("x" * 300 + ".tif")
    refused(long, "cannot be opened", "too long")
    with pytest.raises(SlideError, match="cannot be opened"):
        open_slide("a\0b.tif")
    below = tmp_path / "file.txt" / "x.tif"
    below.parent.write_text("no folder")
    refused(below, "cannot be opened")


def test_a_place_without_permission(tmp_path):
    """As another user than root, to whom permissions mean nothing."""
    code = (
        "import os, sys\n"
        "from histoprompt.core.readers.open import open_slide, is_zarr, is_dicom\n"
        "from histoprompt.core.errors import SlideError\n"
        "from pathlib import Path\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "for place in sys.argv[1:]:\n"
        "    assert not is_zarr(Path(place)) and not is_dicom(Path(place))\n"
        "    try: open_slide(place)\n"
        "    except SlideError as error: print(error)\n"
    )
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "x.tif").write_bytes(b"II*\0")
    unread = tmp_path / "unread.tif"
    unread.write_bytes(b"II*\0")
    unread.chmod(0)
    closed.chmod(0)
    places = [str(closed), str(closed / "x.tif"), str(unread)]
    run = subprocess.run(
        [sys.executable, "-c", code, *places], capture_output=True, text=True, check=True
    )
    closed.chmod(0o755)
    lines = run.stdout.splitlines()
    assert len(lines) == 3
    for line, place in zip(lines, places, strict=True):
        assert place in line
        assert "Permission denied" in line


def ome(path, inner, **sizes):
    facts = {"SizeX": 64, "SizeY": 64, "SizeC": 3, "SizeZ": 1, "SizeT": 1} | sizes
    stated = " ".join(f'{k}="{v}"' for k, v in facts.items())
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="I"><Pixels ID="P" DimensionOrder="XYCZT" Type="uint8" {stated}>'
        f'<Channel ID="c" SamplesPerPixel="3"/>{inner}</Pixels></Image></OME>'
    )
    tifffile.imwrite(path, GREY, photometric="rgb", metadata=None, description=xml)
    return path


@pytest.mark.parametrize(
    "name", ["../secret.tif", "/etc/hosts", "a/b.tif", "..", "\\\\host\\share\\x.tif", "C:x.tif"]
)
def test_an_ome_tiff_may_not_reach_for_files_elsewhere(tmp_path, name):
    tifffile.imwrite(tmp_path / "secret.tif", GREY, photometric="rgb")
    (tmp_path / "inside").mkdir()
    uuid = f'<TiffData IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:1</UUID></TiffData>'
    refused(ome(tmp_path / "inside" / "x.ome.tif", uuid), "in another place")


def test_an_ome_tiff_may_name_a_file_beside_it_but_no_pipe(tmp_path):
    other = '<TiffData IFD="0" PlaneCount="1"><UUID FileName="b.tif">urn:uuid:1</UUID></TiffData>'
    path = ome(tmp_path / "x.ome.tif", other)
    tifffile.imwrite(tmp_path / "b.tif", GREY // 2, photometric="rgb", metadata=None)
    np.testing.assert_array_equal(open_slide(path).levels[0][...], GREY // 2)
    (tmp_path / "b.tif").unlink()
    os.mkfifo(tmp_path / "b.tif")
    refused(path, "in another place")


@pytest.mark.parametrize(
    ("inner", "sizes"),
    [
        ("", {"SizeZ": 2**31}),
        ("", {"SizeZ": 1000, "SizeT": 1000}),
        ('<TiffData IFD="0" PlaneCount="4000000000"/>', {}),
        ('<TiffData IFD="4000000000" PlaneCount="1"/>', {}),
    ],
)
def test_ome_metadata_that_count_planes_without_end(tmp_path, inner, sizes):
    refused(ome(tmp_path / "x.ome.tif", inner, **sizes), "planes", kind=SlideTooLargeError)


def test_escapes_in_metadata_and_names_do_not_reach_a_terminal(tmp_path):
    path = tmp_path / "x\x1b[31m\u202e.svs"
    text = "Aperio Image Library v1\r\n64x64|ScanScope ID = \x1b]0;owned\x07\x9b2J|MPP = 0.5"
    tifffile.imwrite(
        path, GREY, photometric="rgb", tile=(64, 64), metadata=None,
        description=text.encode("latin1"),
    )  # fmt: skip
    rows = describe(open_slide(path))
    assert dict(rows)["name"] == "x [31m\\u202e"
    assert dict(rows)["scanner"].startswith("\\x1b]0;owned\\x07")
    assert all(c.isprintable() for _, value in rows for c in value)
    german = tmp_path / "Präparat 3 µm 組織.png"
    Image.fromarray(GREY).save(german)
    assert dict(describe(open_slide(german)))["name"] == "Präparat 3 µm 組織"


def test_a_name_that_is_no_utf8_can_be_printed(tmp_path):
    path = os.fsencode(tmp_path) + b"/x\xff.png"
    Path(os.fsdecode(path)).write_bytes(imagecodecs.png_encode(GREY))
    slide = open_slide(os.fsdecode(path))
    for label, value in describe(slide):
        f"{label} {value}".encode()
