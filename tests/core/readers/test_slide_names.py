"""Names of slides: cut at the suffix of the format and nowhere else."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histoprompt.cli import main
from histoprompt.core.errors import SlideError
from histoprompt.core.readers.naming import result_name, slide_name
from histoprompt.core.readers.open import open_slide


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("S24-1.8_ROI1.tif", "S24-1.8_ROI1"),
        ("a.b.c.svs", "a.b.c"),
        ("x.ome.tif", "x"),
        ("x.OME.TIFF", "x"),
        ("1.8.ome.zarr", "1.8"),
        ("1.2.840.113.dcm", "1.2.840.113"),
        ("case 1.5", "case 1.5"),
        ("S24-1.8", "S24-1.8"),
        ("x.Tif", "x"),
        (".hidden.svs", ".hidden"),
        (".svs", ".svs"),
    ],
)
def test_a_name_loses_its_suffix_only(file, name):
    assert slide_name(Path("folder.v1.2") / file) == name


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (".hidden.svs", "hidden"),
        ("a:b?.tif", "a_b_"),
        ("x\x1b[31m.tif", "x_[31m"),
        ("name. .tif", "name"),
        ("...", "slide"),
    ],
)
def test_results_never_go_to_a_hidden_or_another_place(file, name):
    assert result_name(Path(file)) == name


def test_the_folder_itself_is_named_where_the_path_ends_in_dots(tmp_path, monkeypatch):
    (tmp_path / "case 1.5" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "case 1.5" / "inner")
    assert result_name(Path(".")) == "inner"
    assert result_name(Path("..")) == "case 1.5"


def tissue(seed):
    rng = np.random.default_rng(seed)
    image = np.full((256, 256, 3), (225, 165, 195), np.uint8)
    r, c = np.mgrid[0:256, 0:256]
    for row, col in rng.integers(20, 236, (40, 2)):
        image[(r - row) ** 2 + (c - col) ** 2 < 8**2] = (100, 70, 150)
    image[:, :40] = 245
    return image


@pytest.fixture
def rois(tmp_path):
    for i in (1, 2):
        Image.fromarray(tissue(i)).save(tmp_path / f"S24-1.8_ROI{i}.png", dpi=(50800, 50800))
    return [str(tmp_path / f"S24-1.8_ROI{i}.png") for i in (1, 2)]


def test_counts_of_regions_of_one_slide_lie_in_folders_of_their_own_name(tmp_path, rois):
    out = tmp_path / "out"
    command = ["count", *rois, "--out", str(out), "--segmenter", "classical-cells"]
    assert main([*command, "--device", "cpu"]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["S24-1.8_ROI1", "S24-1.8_ROI2"]


def test_a_count_of_exchanged_colours_says_so(tmp_path, capsys):
    path = tmp_path / "x.png"
    Image.fromarray(np.ascontiguousarray(tissue(1)[..., ::-1])).save(path, dpi=(50800, 50800))
    command = ["count", str(path), "--out", str(tmp_path / "out"), "--segmenter"]
    assert main([*command, "classical-cells", "--device", "cpu"]) == 0
    assert "Red and blue look exchanged" in capsys.readouterr().err
    assert "ed and blue look exchanged" in (tmp_path / "out" / "x" / "count.json").read_text()
    assert main(["info", str(path)]) == 0
    assert "red and blue look exchanged" in capsys.readouterr().out


def test_the_option_to_trust_a_size_is_named_where_it_helps(tmp_path, capsys):
    path = tmp_path / "x.png"
    Image.new("RGB", (8, 8)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = (40_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    path.write_bytes(bytes(data))
    assert main(["info", str(path)]) == 1
    assert "(--trust-size)" in capsys.readouterr().err
    assert main(["info", str(path), "--trust-size"]) == 1
    assert "cannot hold them" in capsys.readouterr().err


@pytest.mark.shared
def test_the_dicom_file_that_is_named_is_opened(tmp_path, shared_data):
    pydicom = pytest.importorskip("pydicom")
    pytest.importorskip("wsidicom")
    from pydicom.uid import generate_uid

    new = {}
    for source in sorted((shared_data / "slides" / "CMU-1-Small-Region-dicom").iterdir()):
        shutil.copy(source, tmp_path / f"a_{source.name}")
        ds = pydicom.dcmread(source)
        for key in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
            setattr(ds, key, new.setdefault(getattr(ds, key), generate_uid()))
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        shared = ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        shared.PixelSpacing = [0.00025, 0.00025]
        ds.save_as(tmp_path / f"b_{source.name}")
    keys = set()
    for file in sorted(tmp_path.iterdir()):
        with open_slide(file) as slide:
            keys.add((file.name[0], slide.key))
            assert slide.mpp == pytest.approx(0.499 if file.name[0] == "a" else 0.25)
            assert slide.name == file.name.removesuffix(".dcm")
    assert len(keys) == 2
    with pytest.raises(SlideError, match=r"holds 2 slides.*a_.*b_"):
        open_slide(tmp_path)
