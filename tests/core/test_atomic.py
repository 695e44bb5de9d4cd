"""Files and folders appear whole or not at all."""

from __future__ import annotations

import errno
import os

import pytest

from histoprompt.core import atomic
from histoprompt.core.atomic import replacing_file, replacing_folder
from histoprompt.core.errors import ExportError


def test_a_file_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "new" / "a.txt"
    with replacing_file(target) as part:
        part.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert os.listdir(target.parent) == ["a.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail():
        with replacing_file(target) as part:
            part.write_text("ha")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "out"
    for text in ("one", "two"):
        with replacing_folder(target) as part:
            (part / f"{text}.txt").write_text(text)
    assert os.listdir(target) == ["two.txt"]
    assert os.listdir(tmp_path) == ["out"]


def test_a_failure_leaves_the_old_folder(tmp_path):
    target = tmp_path / "out"
    with replacing_folder(target) as part:
        (part / "old").touch()

    def fail():
        with replacing_folder(target) as part:
            (part / "new").touch()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert os.listdir(target) == ["old"]
    assert os.listdir(tmp_path) == ["out"]


def test_if_the_new_folder_cannot_be_renamed_the_old_one_comes_back(tmp_path, monkeypatch):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").touch()
    real = os.replace

    def refuse_parts(source, destination):
        if str(source).endswith(".part"):
            raise OSError(errno.EIO, "Input/output error")
        real(source, destination)

    monkeypatch.setattr(atomic.os, "replace", refuse_parts)
    with pytest.raises(ExportError, match="could not be written"), replacing_folder(target):
        pass
    assert os.listdir(target) == ["old"]
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "no room"), (errno.EACCES, "may not be written"), (errno.EIO, "could not be")],
)
def test_the_cause_is_told_in_words(tmp_path, number, message):
    with pytest.raises(ExportError, match=message), replacing_file(tmp_path / "a"):
        raise OSError(number, os.strerror(number))


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ExportError), replacing_folder(tmp_path / "file" / "out"):
        pass
