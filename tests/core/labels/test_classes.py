"""Classes of objects, and the file they come from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoprompt.core.cell_table import UNSURE
from histoprompt.core.errors import LabelError
from histoprompt.core.labels.classes import Classes, cell_colours, read_classes, write_classes


def read(tmp_path, text: str) -> Classes:
    path = tmp_path / "classes.csv"
    path.write_text(text, encoding="utf-8")
    return read_classes(path)


def test_ids_classes_and_colours_are_read(tmp_path):
    found = read(tmp_path, "\ufeffID,Class,Color\n 1 ,Tumor,#ff8000\n70000, stroma ,\n")
    assert found.names == {1: "Tumor", 70_000: "stroma"}
    assert found.colours == {"Tumor": (255, 128, 0)}
    assert found.of(5) == "nucleus"


def test_what_is_written_is_read_back(tmp_path):
    ids = np.array([1, 2, 2**32 - 1], np.uint32)
    classes = Classes({1: 'a, "b"', 2: "Ümlaut"}, {"Ümlaut": (1, 2, 3)}, default="rest")
    write_classes(tmp_path / "c.csv", classes, ids)
    found = read_classes(tmp_path / "c.csv")
    assert found.names == {1: 'a, "b"', 2: "Ümlaut", 2**32 - 1: "rest"}
    assert found.colours["Ümlaut"] == (1, 2, 3)
    assert found.colours == classes.palette(classes.present(ids))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns none"),
        ("id|class\n1|a\n", r"columns id\|class; it needs id and class"),
        ("label,class\n1,a\n", "it needs id and class"),
        ("id,class\n1,a\n2,b\n1,c\n", "line 4: id 1 has a class already"),
        ("id,class\n0,a\n", "line 2: '0' is not an id"),
        ("id,class\n-1,a\n", "line 2: '-1' is not an id"),
        ("id,class\n1.5,a\n", "line 2: '1.5' is not an id"),
        ("id,class\n4294967296,a\n", "is not an id"),
        ("id,class\n1\n", "line 2: id 1 has no class"),
        ("id,class,colour\n1,a,red\n", "line 2: 'red' is not a colour"),
    ],
)
def test_bad_files_are_refused_with_the_line(tmp_path, text, message):
    with pytest.raises(LabelError, match=message):
        read(tmp_path, text)


def test_a_missing_or_binary_file_is_named(tmp_path):
    with pytest.raises(LabelError, match=r"nothing\.csv"):
        read_classes(tmp_path / "nothing.csv")
    (tmp_path / "b.csv").write_bytes(b"id,class\n1,\xff\xfe\n")
    with pytest.raises(LabelError, match=r"b\.csv"):
        read_classes(tmp_path / "b.csv")


def test_classes_of_objects_that_are_not_there_are_refused():
    classes = Classes(dict.fromkeys(range(1, 10), "a"))
    classes.check(np.arange(1, 20, dtype=np.uint32))
    with pytest.raises(LabelError, match=r"7 ids .* 3, 4, 5, 6, 7 \.\.\."):
        classes.check(np.array([1, 2], np.uint32))


def test_a_class_of_objects_keeps_its_colour_when_others_come():
    """Colours go by the first object of a class, not by the alphabet."""
    names = {3: "tumour", 9: "stroma"}
    before = Classes(names).palette(["stroma", "tumour"])
    assert len(set(before.values())) == 2
    after = Classes({**names, 12: "artefact"}).palette(["artefact", "nucleus", "stroma", "tumour"])
    assert {name: after[name] for name in before} == before
    assert len(set(after.values())) == 4
    alone = Classes().palette(["nucleus"])
    assert after["nucleus"] == alone["nucleus"]
    chosen = Classes(names, {"stroma": before["tumour"]}).palette(["stroma", "tumour"])
    assert chosen["stroma"] == before["tumour"] != chosen["tumour"]


@given(st.permutations(["a", "b", "c", "d", UNSURE]), st.integers(0, 4))
def test_cells_have_the_colour_of_their_class_in_any_order(names, known):
    palette = ("c", "gone", "a", "b", "d")[:known]
    colours = cell_colours(names, palette)
    for name in palette:
        if name in names:
            assert colours[name] == cell_colours([], ("c", "gone", "a", "b", "d"))[name]
    assert colours[UNSURE] == cell_colours([UNSURE])[UNSURE]
    assert len({colours[name] for name in names}) == len(names)
