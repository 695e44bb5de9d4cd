"""One writer at a time, whatever is removed meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from histoprompt.core.files.locks import HOLDER, LOCK, FolderLock, InUseError, alone_at, hold_file

HOLD = """
import sys
from pathlib import Path
from histoprompt.core.files.locks import FolderLock
lock = FolderLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the folder; it ends when its input does."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.parametrize("removed", [[], [LOCK], [HOLDER], [LOCK, HOLDER]])
def test_nobody_gets_in_beside_another_process(tmp_path, other, removed):
    for name in removed:
        (tmp_path / name).unlink()
    says = "another program" if HOLDER in removed else f"process {other.pid} on "
    for _ in range(2):  # being refused leaves nothing that lets the next one in
        with pytest.raises(InUseError, match=says):
            FolderLock(tmp_path)


def test_a_killed_process_holds_nothing(tmp_path, other):
    other.kill()
    other.wait()
    FolderLock(tmp_path).close()


def test_two_threads_are_two(tmp_path):
    with FolderLock(tmp_path), pytest.raises(InUseError, match=f"process {os.getpid()} "):
        FolderLock(tmp_path)
    FolderLock(tmp_path).close()


def test_what_was_removed_while_it_was_held_is_no_lock_any_more(tmp_path):
    held = hold_file(tmp_path / "a")
    assert held is not None
    (tmp_path / "a").unlink()
    again = hold_file(tmp_path / "a")
    assert again is not None
    assert hold_file(tmp_path / "a") is None


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="link"):
        hold_file(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_changes_of_many_threads_are_made_one_after_the_other(tmp_path):
    path = tmp_path / "number"
    path.write_text("0")

    def add():
        for _ in range(20):
            with alone_at(path):
                path.write_text(str(int(path.read_text()) + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() == "80"
