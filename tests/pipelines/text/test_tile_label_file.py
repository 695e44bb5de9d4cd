"""Marks in a file: back as they were, and refused by line."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.core.errors import PromptError
from histoprompt.core.geometry import Box
from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.tiling import TileGrid
from histoprompt.pipelines.text.tile_label_file import read_marks, write_marks


def map_of(*texts: str) -> ScoreMap:
    slide = Box(0, 0, 75, 98)
    places = np.array([[0, 1], [2, 3], [7, 9]], np.int32)
    return ScoreMap(
        texts, np.zeros((3, len(texts)), np.float32), places, TileGrid(slide, 10, 0, slide)
    )


def test_marks_come_back(tmp_path):
    scores = map_of("tumour", "fat")
    marks = {"tumour": {0: True, 2: False}, "fat": {1: True}}
    write_marks(tmp_path / "marks.csv", marks, scores)
    assert read_marks(tmp_path / "marks.csv", scores) == marks


def test_one_text_needs_no_name_and_later_marks_win(tmp_path):
    path = tmp_path / "marks.csv"
    path.write_text("Row, Col ,mark\n5,15,no\n25,35,1\n3,12,YES\n")
    assert read_marks(path, map_of("tumour")) == {"tumour": {0: True, 1: True}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("row,col\n1,2\n", "lacks the columns mark"),
        ("row,col,mark\n5,15,maybe\n", "line 2: a mark is yes or no"),
        ("row,col,mark\n5,15,yes\n5,x,yes\n", "line 3: row and col"),
        ("row,col,mark\n55,15,yes\n", "line 2: .* no tile"),
        ("row,col,mark\n5000,15,yes\n", "line 2: .* no tile"),
        ("row,col,mark,text\n5,15,yes,bone\n", "no text 'bone'"),
    ],
)
def test_bad_lines_are_named(tmp_path, content, said):
    path = tmp_path / "marks.csv"
    path.write_text(content)
    with pytest.raises(PromptError, match=said):
        read_marks(path, map_of("tumour"))


def test_two_texts_need_a_name(tmp_path):
    path = tmp_path / "marks.csv"
    path.write_text("row,col,mark\n5,15,yes\n")
    with pytest.raises(PromptError, match="of which: tumour, fat"):
        read_marks(path, map_of("tumour", "fat"))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(PromptError, match="cannot be read"):
        read_marks(tmp_path / "none.csv", map_of("tumour"))
