"""What every JSON file is held to before anything believes it."""

from __future__ import annotations

import os
from typing import Annotated

import pytest
from pydantic import Field
from typing_extensions import TypedDict

from histoprompt.core.errors import LabelError, PromptError
from histoprompt.core.files.documents import DEEPEST, Shape, parse_json, read_json, read_text


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        (b"\xef\xbb\xbf[1]", [1]),
        (b"[9223372036854775807, -9223372036854775808]", [2**63 - 1, -(2**63)]),
        (b"0.12345678901234567890123", 0.12345678901234568),
        (b'["[[[[[[", "\\\\\\"[[["]', ["[[[[[[", '\\"[[[']),
        (rb'["\ud83d\ude00", "a\ud800b", "\\ud800"]', ["\U0001f600", "a\ufffdb", r"\ud800"]),
        (b"[" * DEEPEST + b"]" * DEEPEST, None),
    ],
)
def test_what_is_sound_is_read(raw, value):
    assert parse_json(raw, "f") == value or value is None


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), f"nests {DEEPEST + 1} lists deep"),
        (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, "nests 200000 lists deep"),
        (b"[18446744073709551616]", "of 20 digits is too large"),
        (b"9" * 5000, "of 5000 digits is too large"),
        ("[1]".encode("utf-16"), "is UTF-16"),
        (b'["\xff"]', "is not UTF-8"),
    ],
)
def test_what_would_break_later_is_refused_at_once(raw, says):
    with pytest.raises(LabelError, match=says):
        parse_json(raw, "f.json")


def test_brackets_are_counted_across_pieces_of_a_long_text():
    text = b'{"a": "' + b"[" * (1 << 24) + b'", "b": ' + b"[" * 70 + b"]" * 70 + b"}"
    with pytest.raises(LabelError, match="nests 71 lists deep"):
        parse_json(text, "f.json")


def test_a_file_is_named_with_what_the_system_said(tmp_path):
    with pytest.raises(PromptError, match=r"gone\.json cannot be read: No such file"):
        read_json(tmp_path / "gone.json", PromptError)
    with pytest.raises(PromptError, match="its name is too long"):
        read_json(tmp_path / ("x" * 300), PromptError)
    with pytest.raises(PromptError, match="is no file that can be read"):
        read_json(tmp_path, PromptError)
    with pytest.raises(PromptError, match="is no name of a file"):
        read_json(tmp_path / "a\0b", PromptError)
    os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    with pytest.raises(PromptError, match="pipe is no file"):
        read_text(tmp_path / "pipe", PromptError)


def test_no_more_than_a_limit_is_read(tmp_path):
    path = tmp_path / "f.json"
    path.write_bytes(b" " * (2 << 20))
    assert read_text(path, PromptError, 2 << 20) == " " * (2 << 20)
    with pytest.raises(PromptError, match="more than 1 MB"):
        read_text(path, PromptError, 1 << 20)


class Item(TypedDict):
    boxes: list[Annotated[list[int], Field(min_length=2, max_length=2)]]
    name: str


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (5, "the whole should be a valid dictionary, but is 5"),
        ({"boxes": []}, "it lacks name"),
        ({"boxes": [[1, 2], [1, "2"]], "name": "a"}, r"boxes\[1\]\[1\] should be a valid integer"),
        ({"boxes": [[1, True]], "name": "a"}, r"boxes\[0\]\[1\] should be a valid integer"),
        ({"boxes": [[1]], "name": "a"}, r"boxes\[0\] .*at least 2"),
        ({"boxes": [], "name": None}, "name should be a valid string, but is None"),
    ],
)
def test_the_first_wrong_value_is_named_with_its_place(value, says):
    with pytest.raises(LabelError, match=rf"^f\.json is damaged: {says}.*\. Do it again\.$"):
        Shape(Item).of(value, "f.json", advice="Do it again.")
