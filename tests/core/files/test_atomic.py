"""Files and folders appear whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from histoprompt.core.errors import ExportError
from histoprompt.core.files import atomic
from histoprompt.core.files.atomic import replacing_file, replacing_folder


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


KILLED = """
import os, signal, sys
from pathlib import Path
from histoprompt.core.files import atomic
real, left = os.replace, [int(sys.argv[2])]
def replace(a, b):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(a, b)
os.replace = replace
target = Path(sys.argv[1])
if target.suffix:
    with atomic.replacing_file(target) as part:
        part.write_text("half")
else:
    with atomic.replacing_folder(target) as part:
        (part / "half").touch()
"""


def kill_at_rename(target, number):
    command = [sys.executable, "-c", KILLED, str(target), str(number)]
    assert subprocess.run(command, check=False).returncode == -9


def test_what_a_killed_process_left_of_a_file_goes_with_the_next(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    for _ in range(3):
        kill_at_rename(target, 1)
        assert sorted(os.listdir(tmp_path)) == [".a.txt.1.part", "a.txt"]  # never more than one
    assert target.read_text() == "old"
    with replacing_file(target) as part:
        assert part.read_text() == ""
        part.write_text("new")
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("number", [1, 2])
def test_what_a_killed_process_left_of_a_folder_is_put_right(tmp_path, number):
    """Killed before the old folder is moved away, and between the two renames."""
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").touch()
    kill_at_rename(target, number)

    def fail():
        with replacing_folder(target):
            raise KeyError

    with pytest.raises(KeyError):  # not even this one comes to its end, and the old one is back
        fail()
    assert os.listdir(target) == ["old"]
    assert os.listdir(tmp_path) == ["out"]


def test_who_is_at_work_is_left_alone(tmp_path):
    target = tmp_path / "a.txt"
    with replacing_file(target) as first:
        first.write_text("first")
        with replacing_file(target) as second:
            second.write_text("second")
        assert target.read_text() == "second"
        assert first.read_text() == "first"
    assert target.read_text() == "first"
    with replacing_folder(tmp_path / "out") as one, replacing_folder(tmp_path / "out") as two:
        assert one != two
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "out"]


def test_links_and_folders_in_the_way_are_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / ".a.1.part").symlink_to(victim)
    (tmp_path / ".a.2.part").mkdir()
    os.link(victim, tmp_path / ".a.3.part")
    with replacing_file(tmp_path / "a") as part:
        part.write_text("new")
    assert (tmp_path / "a").read_text() == "new"
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("old", [True, False])
def test_what_was_written_is_there_after_a_power_cut(tmp_path, disk, old):
    place = tmp_path / "disk" / "new folder"
    for text in ("old", "new") if old else ("new",):
        with replacing_file(place / "deep" / "a.txt") as part:
            part.write_text(text)
        with replacing_folder(place / "out") as folder:
            (folder / "sub").mkdir()
            (folder / "sub" / text).write_text(text)
    left = disk.cut(tmp_path / "left") / "new folder"
    assert (left / "deep" / "a.txt").read_text() == "new"
    assert (left / "out" / "sub" / "new").read_text() == "new"
    assert sorted(name for name in os.listdir(left) if name[0] != ".") == ["deep", "out"]


@pytest.mark.parametrize("target", ["victim", "nowhere"])
def test_a_link_in_the_place_of_a_folder_makes_way(tmp_path, target):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").write_text("mine")
    (tmp_path / "out").symlink_to(tmp_path / target, target_is_directory=True)
    with replacing_folder(tmp_path / "out") as part:
        (part / "new").write_text("new")
    assert not (tmp_path / "out").is_symlink()
    assert os.listdir(tmp_path / "out") == ["new"]
    assert (victim / "precious").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["out", "victim"]


def test_a_link_left_half_way_is_put_back(tmp_path):
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "precious").write_text("mine")
    (tmp_path / ".out.1.part.old").symlink_to(tmp_path / "victim", target_is_directory=True)
    with replacing_folder(tmp_path / "out") as part:
        (part / "new").write_text("new")
        assert (tmp_path / "out").is_symlink()
    assert os.listdir(tmp_path / "out") == ["new"]
    assert os.listdir(tmp_path / "victim") == ["precious"]
