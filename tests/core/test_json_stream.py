"""JSON read part by part gives what reading it whole gives, wherever the pieces are cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histoprompt.core.errors import LabelError
from histoprompt.core.files import json_stream
from histoprompt.core.files.json_stream import json_head, json_parts

LEAVES = (
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8) | st.floats(0, 9)
)
VALUES = st.recursive(
    LEAVES,
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=4), x, max_size=3),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["a", "b", "long", "table"]), VALUES),
    st.integers(1, 40),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_parts_put_together_are_the_whole(tmp_path_factory, content, piece, ascii_only, indent):
    path = tmp_path_factory.mktemp("json") / "x.json"
    text = json.dumps(content, ensure_ascii=ascii_only, indent=indent)
    path.write_text(text, encoding="utf-8-sig")
    before, json_stream._PIECE = json_stream._PIECE, piece
    try:
        parts = list(json_parts(path, ("long", "table")))
    finally:
        json_stream._PIECE = before
    found: dict[str, object] = {}
    for key, name, value in parts:
        if name is None:
            found[key] = value
        elif isinstance(name, int):
            found.setdefault(key, []).append(value)
        else:
            found.setdefault(key, {})[name] = value
    assert found == content


def test_a_number_that_goes_on_in_the_next_piece_is_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "_PIECE", 1)
    path = tmp_path / "x.json"
    path.write_text("[123456, 7.25]")
    assert [p.value for p in json_parts(path, ())] == [123456, 7.25]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not JSON"),
        ('{"a": [1, 2', "not JSON"),
        ('{"a": [1, 2]} x', "follows its end"),
        ('{"a" 1}', "':' is missing"),
        ("[1, 2}", "',' or ']' is missing"),
        ("[" * 100_000, "not JSON"),
        ('{"a": ' + "9" * 5000 + "}", "not JSON"),
    ],
)
def test_what_is_no_json_is_refused_in_one_line(tmp_path, text, told):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(LabelError, match=told) as caught:
        list(json_parts(path, ("a",)))
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_and_half_characters_are_minded(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(LabelError, match="UTF-8"):
        list(json_parts(path, ()))
    path.write_bytes(b'{"a": ["\\ud800 b"], "c": 2}')
    assert json_head(path, ()) == {"a": ["\ufffd b"], "c": 2}
    with pytest.raises(LabelError, match="cannot be read"):
        list(json_parts(tmp_path / "missing.json", ()))
    with pytest.raises(LabelError, match="no file"):
        list(json_parts(tmp_path, ()))
