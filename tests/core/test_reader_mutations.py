"""Damaged files of every kind: whatever a few wrong bytes do, it ends as pixels or as one line.

The damage is drawn from a seeded generator, so that a failure can be made again.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import struct

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from histoprompt.core.errors import SlideError
from histoprompt.core.formats.open import open_slide
from mutations import places

ROUNDS = 40
PICTURE = (
    np.random.default_rng(0).integers(0, 256, (16, 20, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
)
ODD = (0, 1, 2, 7, 255, 256, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def write_tiff(path, codec, **options):
    with tifffile.TiffWriter(path) as tiff:
        options = {"tile": (64, 64), "photometric": "rgb", "compression": codec} | options
        tiff.write(PICTURE, subifds=1, metadata=None, **options)
        tiff.write(PICTURE[::2, ::2], subfiletype=1, metadata=None, **options)


def write_ome(path):
    sizes = {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(path, PICTURE, photometric="rgb", metadata=sizes, tile=(64, 64), ome=True)


def write_svs(path):
    text = "Aperio Image Library v11\r\n160x128|AppMag = 20|MPP = 0.499"
    tifffile.imwrite(
        path, PICTURE, photometric="rgb", tile=(64, 64), compression="jpeg", metadata=None,
        description=text,
    )  # fmt: skip


def write_scn(path):
    xml = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        '<collection><image name="r"><pixels sizeX="160" sizeY="128"><dimension sizeX="160" '
        'sizeY="128" r="0" ifd="0"/></pixels><view sizeX="40000" sizeY="32000"/></image>'
        "</collection></scn>"
    )
    tifffile.imwrite(
        path, PICTURE, photometric="rgb", tile=(64, 64), metadata=None, description=xml,
        software=False,
    )  # fmt: skip


WRITERS = {
    "none.tif": lambda p: write_tiff(p, None),
    "strips.tif": lambda p: tifffile.imwrite(p, PICTURE, photometric="rgb", rowsperstrip=16),
    "deflate.tif": lambda p: write_tiff(p, "deflate"),
    "packbits.tif": lambda p: write_tiff(p, "packbits"),
    "jpeg.tif": lambda p: write_tiff(p, "jpeg"),
    "jp2k.tif": lambda p: write_tiff(p, "jpeg2000"),
    "webp.tif": lambda p: write_tiff(p, "webp"),
    "x.ome.tif": write_ome,
    "x.svs": write_svs,
    "x.scn": write_scn,
    "x.png": lambda p: Image.fromarray(PICTURE).save(p),
    "x.jpg": lambda p: Image.fromarray(PICTURE).save(p),
}


def damaged(chance, data):
    """Some bytes flipped, set to a number that is odd for a header, cut off or repeated."""
    out = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 5])):
        kind = chance.choice(["flip", "number", "number", "short", "cut", "repeat", "zero"])
        # headers lie at either end
        at = chance.choice([chance.randrange(len(out)), chance.randrange(min(len(out), 700))])
        at = chance.choice([at, max(0, len(out) - 1 - chance.randrange(700))])
        if kind == "flip":
            out[at] ^= 1 << chance.randrange(8)
        elif kind == "number":
            out[at : at + 4] = struct.pack("<I", chance.choice(ODD))
        elif kind == "short":
            out[at : at + 2] = struct.pack("<H", chance.choice(ODD) & 0xFFFF)
        elif kind == "cut" and len(out) > 40:
            del out[max(20, at) :]
        elif kind == "repeat":
            out[at:at] = out[at : at + 64]
        else:
            out[at : at + 16] = bytes(len(out[at : at + 16]))
    return bytes(out)


def opened_or_told(path):
    """Open, read all and a corner; anything but pixels or one line is a fault."""
    try:
        with open_slide(path) as slide:
            image, _ = slide.read(slide.box, tuple(min(n, 100) for n in slide.shape))
            assert image.dtype == np.uint8
            assert image.shape[2] == 3
            for level in slide.levels:
                level[0:1, 0:1]
    except SlideError as error:
        told = str(error)
        if "\n" in told or len(told) > 1200:
            pytest.fail(told)
        return False
    return True


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_files_are_shown_or_told(tmp_path, name):
    good = tmp_path / name
    WRITERS[name](good)
    assert opened_or_told(good)
    data = good.read_bytes()
    chance = random.Random(name)
    for number in range(ROUNDS):
        path = tmp_path / f"{number}-{name}"
        path.write_bytes(damaged(chance, data))
        opened_or_told(path)
        path.unlink()


@pytest.mark.parametrize("name", ["none.tif", "deflate.tif", "x.ome.tif"])
def test_every_number_of_the_first_directory_may_be_wrong(tmp_path, name):
    good = tmp_path / name
    WRITERS[name](good)
    data = good.read_bytes()
    with tifffile.TiffFile(good) as tiff:
        tags = [(t.code, t.offset, t.valueoffset) for t in tiff.pages[0].tags]
    for code, offset, value in tags:
        for at, numbers in ((offset + 4, (0, 2, 2**24, 2**32 - 1)), (value, ODD)):
            for odd in numbers:
                path = tmp_path / f"x{code}.tif"
                path.write_bytes(data[:at] + struct.pack("<I", odd) + data[at + 4 :])
                opened_or_told(path)


ODD_JSON = (None, -1, 0, 1.5, 2**64, "", "x", [], {}, [[]], [None], [-1, -1, -1], True, [1e400])


@pytest.mark.parametrize("version", [2, 3])
def test_every_value_of_zarr_metadata_may_be_wrong(tmp_path, version):
    folder = tmp_path / "x.zarr"
    group = zarr.open_group(folder, mode="w", zarr_format=version)
    group.create_array("0", data=PICTURE.transpose(2, 0, 1), chunks=(3, 64, 64))
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "cyx"]
    steps = [{"type": "scale", "scale": [1, 0.5, 0.5]}]
    datasets = [{"path": "0", "coordinateTransformations": steps}]
    image = {"axes": axes, "datasets": datasets, "version": "0.4"}
    group.attrs.update(
        {"multiscales": [image]} if version == 2 else {"ome": {"multiscales": [image]}}
    )
    assert opened_or_told(folder)
    chance = random.Random(version)
    files = [f for f in folder.rglob("*") if f.name in (".zattrs", ".zarray", "zarr.json")]
    for file in files:
        text = file.read_text()
        for at in places(json.loads(text)):
            for odd in chance.sample(ODD_JSON, 2):
                document = json.loads(text)
                if not at:
                    document = odd
                else:
                    holder = document
                    for key in at[:-1]:
                        holder = holder[key]
                    holder[at[-1]] = odd
                file.write_text(json.dumps(document))
                opened_or_told(folder)
        for raw in ("", "{", "[" * 20000, '{"zarr_format": ' + "9" * 5000 + "}"):
            file.write_text(raw)
            opened_or_told(folder)
        file.write_text(text)


@pytest.mark.shared
def test_damaged_dicom_is_shown_or_told(tmp_path, shared_data):
    pytest.importorskip("wsidicom")
    source = sorted((shared_data / "slides" / "odd" / "openslide-python").glob("boxes_*.dcm"))
    folder = tmp_path / "dicom"
    folder.mkdir()
    for file in source:
        shutil.copy(file, folder)
    assert opened_or_told(folder)
    chance = random.Random(5)
    for _ in range(ROUNDS):
        file = chance.choice(source)
        data = bytearray(file.read_bytes())
        for _ in range(chance.choice([1, 3, 10])):
            data[chance.randrange(128, len(data))] ^= 1 << chance.randrange(8)
        (folder / file.name).write_bytes(bytes(data))
        opened_or_told(folder)
        shutil.copy(file, folder)


@pytest.mark.shared
def test_dicom_values_of_an_impossible_length_are_told(tmp_path, shared_data):
    """A value is parsed when it is asked for, long after its file was opened."""
    pytest.importorskip("wsidicom")
    for source in (shared_data / "slides" / "CMU-1-Small-Region-dicom").iterdir():
        shutil.copyfile(source, tmp_path / source.name)
    file = max(tmp_path.iterdir(), key=lambda path: path.stat().st_size)
    data = file.read_bytes()
    numbers = [m.start() for m in re.finditer(rb"UL\x04\0|US\x02\0|FD\x08\0|FL\x04\0", data[:6000])]
    assert len(numbers) > 8
    for at in numbers:
        changed = bytearray(data)
        changed[at + 2] += 2
        file.write_bytes(changed)
        opened_or_told(tmp_path)
