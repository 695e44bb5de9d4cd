"""Marks of a slide: saved at once, undone, kept for other grids and words."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.core.errors import ExportError, PromptError
from histoprompt.core.geometry import Box
from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.tiling import TileGrid
from histoprompt.pipelines.text.tile_label_file import read_marks
from histoprompt.pipelines.text.tile_labels import TileLabels, tile_labels_path

SLIDE = Box(0, 0, 80, 100)


def map_of(size: int, *texts: str) -> ScoreMap:
    grid = TileGrid(SLIDE, size, 0, SLIDE)
    places = np.argwhere(np.ones(grid.shape, bool)).astype(np.int32)
    return ScoreMap(texts, np.zeros((len(places), len(texts)), np.float32), places, grid)


@pytest.fixture
def book(tmp_path) -> TileLabels:
    return TileLabels(tmp_path / "marks" / "key.csv")


def test_marks_are_on_disk_at_once_and_read_by_the_command_line(book):
    scores = map_of(10, "tumour", "fat")
    book.set(scores, "tumour", 3, True)
    book.set(scores, "fat", 12, False)
    assert read_marks(book.path, scores) == {"tumour": {3: True}, "fat": {12: False}}
    again = TileLabels(book.path)
    assert again.of(scores, "tumour") == {3: True}
    assert len(again) == 2


def test_a_later_mark_replaces_an_earlier_one_and_none_takes_it_away(book):
    scores = map_of(10, "tumour")
    book.set(scores, "tumour", 3, True)
    book.set(scores, "tumour", 3, False)
    assert book.of(scores, "tumour") == {3: False}
    book.set(scores, "tumour", 3, None)
    assert book.of(scores, "tumour") == {}
    assert len(TileLabels(book.path)) == 0


def test_undo_and_redo_walk_all_changes_and_are_saved(book):
    scores = map_of(10, "tumour")
    for tile in (1, 2):
        book.set(scores, "tumour", tile, True)
    assert book.undo()
    assert TileLabels(book.path).of(scores, "tumour") == {1: True}
    assert book.redo()
    assert book.of(scores, "tumour") == {1: True, 2: True}
    assert book.undo()
    assert book.undo()
    assert not book.undo()
    assert book.of(scores, "tumour") == {}
    book.set(scores, "tumour", 5, True)
    assert not book.redo()


def test_the_same_answer_again_is_no_step(book):
    scores = map_of(10, "tumour")
    book.set(scores, "tumour", 1, True)
    book.set(scores, "tumour", 1, True)
    assert book.undo()
    assert not book.undo()


def test_marks_hold_for_another_grid_and_another_spelling(book):
    fine, coarse = map_of(10, "lymphocytes"), map_of(20, "Lymphocyte")
    book.set(fine, "lymphocytes", int(fine.index_at(35, 45)), True)
    assert book.of(coarse, "Lymphocyte") == {coarse.index_at(35, 45): True}
    assert book.of(coarse, "fat") == {}


def test_marks_off_the_map_are_kept(book):
    scores = map_of(10, "tumour")
    book.set(scores, "tumour", 79, True)
    part = ScoreMap(("tumour",), scores.scores[:5], scores.places[:5], scores.grid)
    assert book.of(part, "tumour") == {}
    book.set(part, "tumour", 2, False)
    assert TileLabels(book.path).of(scores, "tumour") == {79: True, 2: False}


def test_a_mark_that_cannot_be_saved_is_not_made(tmp_path):
    (tmp_path / "marks").write_text("in the way")
    book = TileLabels(tmp_path / "marks" / "key.csv")
    with pytest.raises(ExportError):
        book.set(map_of(10, "tumour"), "tumour", 1, True)
    assert len(book) == 0
    assert not book.undo()


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "key.csv"
    path.write_text("row,col,mark,text\n1,2,perhaps,tumour\n")
    with pytest.raises(PromptError, match=r"line 2.*perhaps"):
        TileLabels(path)


def test_books_lie_beside_the_labels(monkeypatch, tmp_path):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    assert tile_labels_path("abc") == tmp_path / "marks" / "abc.csv"


def test_two_windows_keep_each_others_marks(tmp_path):
    scores = map_of(20, "tumour")
    path = tmp_path / "marks.csv"
    one, two = TileLabels(path), TileLabels(path)
    for tile in range(0, 8, 2):
        one.set(scores, "tumour", tile, True)
        two.set(scores, "tumour", tile + 1, False)
    wanted = {tile: tile % 2 == 0 for tile in range(8)}
    assert TileLabels(path).of(scores, "tumour") == wanted
    assert two.of(scores, "tumour") == wanted
    one.undo()  # its own last mark, not the other's
    assert TileLabels(path).of(scores, "tumour") == {t: y for t, y in wanted.items() if t != 6}
    two.set(scores, "tumour", 0, False)  # a mark of the other's may be changed
    two.undo()
    one.redo()
    assert TileLabels(path).of(scores, "tumour") == wanted
