"""QuPath's list of classes, of its present and its older versions."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoprompt.annotations.class_list import ObjectClass
from histoprompt.core.errors import LabelError
from histoprompt.pipelines.formats.qupath_classes import read_class_list, write_class_list

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=9)


def test_both_ways_of_writing_colours_are_read(tmp_path):
    path = tmp_path / "classes.json"
    rows = [
        {"name": "Tumor", "color": [200, 0, 0]},
        {"name": "Stroma", "colorRGB": -6895466},  # 0xff96c896: 150, 200, 150
        {"name": "Immune cells: Positive", "color": -6332986},  # 0xff9f5dc6
        {"name": "Ignore*", "color": [180, 180, 180]},
        {"name": "Odd", "color": [1, 2, 999]},
        {"name": "Unclassified"},
        {"name": None},
        {"name": "Tumor", "color": [1, 1, 1]},
    ]
    path.write_text("\ufeff" + json.dumps({"pathClasses": rows}), encoding="utf-8")
    found = read_class_list(path)
    assert found[:4] == (
        ObjectClass("Tumor", (200, 0, 0)),
        ObjectClass("Stroma", (150, 200, 150)),
        ObjectClass("Immune cells: Positive", (159, 93, 198)),
        ObjectClass("Ignore*", (180, 180, 180)),
    )
    assert [item.ignored for item in found] == [False, False, False, True, False]
    assert found[4].name == "Odd"
    assert found[4].colour not in {item.colour for item in found[:4]}


@given(st.dictionaries(NAMES, st.tuples(*[st.integers(0, 255)] * 3), max_size=6))
def test_what_is_written_is_read(tmp_path_factory, classes):
    path = tmp_path_factory.mktemp("classes") / "classes.json"
    wanted = tuple(ObjectClass(n, c) for n, c in classes.items() if n != "Unclassified")
    write_class_list(path, wanted)
    assert read_class_list(path) == wanted
    path.unlink()


@pytest.mark.parametrize("text", ["", "{}", '{"pathClasses": 3}', "[1]", "null"])
def test_what_is_no_list_is_refused(tmp_path, text):
    path = tmp_path / "classes.json"
    path.write_text(text)
    with pytest.raises(LabelError):
        read_class_list(path)
