"""Names of people and files, fit for lines, tables and folders."""

from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoprompt.core.readers.naming import result_name, without_suffix
from histoprompt.core.strings.names import guarded, plain, tidy


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("S24-1.8_ROI1.tif", "S24-1.8_ROI1"),
        ("S24-1.8_ROI2.tif", "S24-1.8_ROI2"),
        ("slide.ome.tif", "slide"),
        ("slide.OME.TIFF", "slide"),
        ("a.b.svs", "a.b"),
        ("plate.ome.zarr", "plate"),
        ("1.2.840.10008.5", "1.2.840.10008.5"),
        ("series.1", "series.1"),
        (".hidden.svs", "hidden"),
        ("..evil.ome.tif", "evil"),
        ("...ome.tif", "slide"),
        (" .ome.tif", "slide"),
        ("CON.ome.tif", "_CON"),
        ("nul.1.tif", "_nul.1"),
        ("a:b?.tif", "a_b_"),
        ("new\nline\x1b[31m.tif", "new_line_[31m"),
        ("\u202egnp.ome.tif", "_gnp"),
        ("漢字 é.ome.tif", "漢字 é"),
        (os.fsdecode(b"bad\xff\xfe.ome.tif"), "bad__"),
    ],
)
def test_results_of_a_file_lie_in_a_folder_of_its_name(file, folder):
    assert result_name(f"/data/{file}") == folder


def test_long_names_are_cut_and_stay_apart(tmp_path):
    names = [result_name(f"{'x' * 240}{i}.ome.tif") for i in range(2)]
    names += [result_name(f"{'漢' * 80}{i}.svs") for i in range(2)]
    assert len(set(names)) == 4
    for name in names:
        (tmp_path / f"{name}-2").mkdir()


@given(st.text(max_size=300))
def test_any_name_gives_one_folder_below_its_parent(text):
    name = result_name(text)
    assert name
    assert "/" not in name
    assert "\\" not in name
    assert not name.startswith(".")
    assert len(name.encode()) < 220
    assert all(unicodedata.category(c) != "Cc" for c in name)


def test_only_endings_of_formats_are_cut():
    assert without_suffix("a.tif.bak") == "a.tif.bak"
    assert without_suffix(".tif") == ".tif"


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"), ("\r=1", "'\r=1"), ("'=1", "''=1"), ("it's", "it's"), ("'a'", "'a'"),
        ("tumour", "tumour"), ("a=b", "a=b"), ("", ""),
    ],
)  # fmt: skip
def test_no_cell_is_a_formula_and_each_name_comes_back(name, cell):
    assert guarded(name) == cell
    assert plain(cell) == name


@given(st.text())
def test_every_name_comes_back_from_its_cell(name):
    assert plain(guarded(name)) == name
    assert guarded(name)[:1] not in set("=+-@\t\r")


def test_a_name_is_one_line_of_bounded_length():
    assert tidy(" a\nb\tc\0d\u2028e ") == "a b c d e"
    assert tidy("a  b é\u0301 漢") == "a  b é\u0301 漢"
    assert tidy("a\ud800") == "a"
    assert len(tidy("x" * 20_000_000)) == 500
