"""How commands end, whatever happens: a line, an exit status, and the next slide."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histoprompt.cli import main
from histoprompt.cli.ending import each, ended, fault_of, write_log
from histoprompt.cli.speech import lines, printable, tell
from histoprompt.core.errors import Cancelled, LabelError
from histoprompt.core.task import Task


class Panic(BaseException):
    """What libraries written in Rust raise is no Exception."""


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for logs, in the test's own."""
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "logs"


def raising(error: BaseException):
    def work() -> None:
        raise error

    return work


UNFORESEEN = [ValueError("no\nplan"), ZeroDivisionError(), RecursionError("deep"), Panic("rust")]


@pytest.mark.parametrize("error", UNFORESEEN, ids=repr)
def test_the_unforeseen_is_a_line_and_a_file_for_a_report(error, logs):
    told = fault_of(raising(error), Task())
    assert "\n" not in told
    assert type(error).__name__ in told
    assert "please report it" in told
    (log,) = logs.iterdir()
    assert str(log) in told
    assert "Traceback (most recent call last)" in log.read_text()
    assert "in work" in log.read_text()


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (LabelError("two\nlines  of text."), "two lines of text."),
        (MemoryError(), "there is not enough memory for this. Close other programs"),
        (MemoryError("Unable to allocate 4 TiB"), "memory for this (Unable to allocate 4 TiB)."),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), "/a/b: Permission denied."),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x"), "x: File name too long."),
        (OSError(errno.ENOSPC, "No space left"), "cannot be used: No space left."),
    ],
    ids=repr,
)
def test_what_a_person_can_mend_is_a_line_without_a_file(error, says, logs):
    assert says in fault_of(raising(error), Task())
    assert not logs.exists()


def test_without_a_place_for_logs_a_temporary_folder_is_taken(logs, tmp_path, monkeypatch):
    logs.parent.mkdir()
    logs.write_text("a file")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert write_log(ValueError("x")).parent == tmp_path
    monkeypatch.setattr("tempfile.tempdir", str(logs))
    assert write_log(ValueError("x")) is None
    assert "could not be written to a file" in fault_of(raising(ValueError("x")), Task())


def test_old_logs_do_not_pile_up(logs):
    logs.mkdir(parents=True)
    for i in range(30):
        (logs / f"error-old{i}.txt").write_text("old")
        os.utime(logs / f"error-old{i}.txt", (i, i))
    log = write_log(ValueError("x"))
    assert log.exists()
    assert len(list(logs.iterdir())) == 20


@pytest.mark.parametrize("error", [*UNFORESEEN, MemoryError(), OSError(5, "bad disk"),
                                   LabelError("damaged")], ids=repr)  # fmt: skip
def test_the_next_file_is_done_whatever_one_of_them_does(error, capsys):
    done = []

    def work(path: str) -> int:
        if path == "b":
            raise error
        done.append(path)
        return 0

    assert each(["a", "b", "c"], work, Task(), ("slide", "slides")) == 1
    assert done == ["a", "c"]
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("histoprompt: b: ")
    assert last == "1 of 3 slides failed: b."


def test_a_cancel_ends_the_whole_and_a_stop_keeps_its_status(capsys):
    def cancelling(path: str) -> int:
        raise Cancelled

    with pytest.raises(Cancelled):
        each(["a", "b"], cancelling, Task(), ("slide", "slides"))
    seen = []
    assert each(["a", "b"], lambda p: seen.append(p) or 130, Task(), ("slide", "slides")) == 130
    assert seen == ["a"]
    assert capsys.readouterr().err == ""


def test_what_a_library_makes_of_an_interrupt_is_an_interrupt(capsys, logs):
    task = Task()

    def command(task: Task) -> int:
        task.cancel()
        raise ImportError("numpy could not be imported")

    assert ended(command, task, whole_process=False) == 130
    assert capsys.readouterr().err == "histoprompt: interrupted; nothing half-written was left.\n"
    assert not logs.exists()


# -- commands with several slides -----------------------------------------------------------------


@pytest.fixture
def slides(tmp_path: Path) -> list[str]:
    """Slides that fail in several ways, with two good ones between and behind them."""
    rng = np.random.default_rng(0)
    pixels = np.full((160, 160, 3), (225, 170, 205), np.uint8)
    for r, c in rng.integers(12, 148, (12, 2)):
        pixels[r - 5 : r + 5, c - 5 : c + 5] = 90, 50, 130
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("S24-1.8_ROI1.png", "S24-1.8_ROI2.png"):
        Image.fromarray(pixels).save(folder / name)
    (folder / "broken.png").write_bytes(b"\x89PNG nothing")
    (folder / "empty.tif").touch()
    (folder / "no slide").mkdir()
    names = ["gone.svs", "S24-1.8_ROI1.png", "broken.png", "empty.tif", "no slide", "x" * 300,
             "a\0b", "S24-1.8_ROI2.png"]  # fmt: skip
    return [f"{folder}/{name}" for name in names]


def test_count_goes_on_with_the_next_slide(slides, tmp_path, capsys):
    out = tmp_path / "out"
    argv = ["--segmenter", "classical-cells", "--device", "cpu", "--mpp", "0.25"]
    assert main(["count", *slides, *argv, "--out", str(out)]) == 1
    said = capsys.readouterr()
    assert said.out.count(" cells -> ") == 2
    assert sorted(p.name for p in out.iterdir()) == ["S24-1.8_ROI1", "S24-1.8_ROI2"]
    assert said.err.count("histoprompt: ") == 6
    assert "6 of 8 slides failed: gone.svs, broken.png" in said.err
    assert "Traceback" not in said.err


def test_score_goes_on_with_the_next_slide(slides, tmp_path, capsys):
    out = tmp_path / "out"
    argv = ["--text", "tumour", "--device", "cpu", "--mpp", "2", "--out", str(out)]
    assert main(["score", *slides, *argv]) == 1
    said = capsys.readouterr()
    assert said.err.splitlines()[-1].startswith("6 of 8 slides failed: gone.svs")
    assert sorted(p.name for p in out.iterdir()) == ["S24-1.8_ROI1", "S24-1.8_ROI2"]


# -- what a terminal would obey --------------------------------------------------------------------


def test_nothing_a_terminal_obeys_is_printed(capsys):
    evil = "\x1b[31mred\x07\x9b2J\u202egnp\r\u2028\ud800"
    assert printable(evil + "\n\t") == (
        r"\x1b[31mred\x07\x9b2J\u202egnp\x0d\u2028\ud800\x0a\x09"
    )  # fmt: skip
    assert lines("a\n\tb é 漢") == "a\n\tb é 漢"
    tell(evil)
    main(["info", f"{evil}.svs"])
    with pytest.raises(SystemExit):
        main(["doctor", evil])
    said = capsys.readouterr()
    assert not set(said.out + said.err) & set("\x1b\x07\x9b\u202e\r\u2028")
    assert "\\x1b[31mred" in said.out
    assert said.err.count("\\x1b[31mred") == 3


# -- as a process ----------------------------------------------------------------------------------

# Interrupts itself while a module is imported; a shell's background jobs ignore the signal.
INTERRUPTED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {at!r}:
            sys.meta_path.remove(self)
            for _ in range({times}):
                os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
sys.argv = ["histoprompt", "models", "list"]
{late}
from histoprompt.cli import main
sys.exit(main())
"""
LATE = "import atexit; atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))"


@pytest.mark.parametrize(
    ("at", "times", "late"),
    [
        ("histoprompt.cli.options", 1, ""),
        ("numpy", 1, ""),
        ("scipy", 2, ""),
        ("histoprompt.cli.models", 1, LATE),
    ],
)
def test_an_interrupt_while_the_command_starts_is_a_line(at, times, late):
    code = INTERRUPTED.format(at=at, times=times, late=late)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    said = "histoprompt: interrupted; nothing half-written was left.\n"
    assert (done.returncode, done.stdout, done.stderr) == (130, "", said)


def test_output_that_cannot_be_written_is_a_line():
    command = [sys.executable, "-m", "histoprompt.cli", "models", "list"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_names_that_the_output_cannot_show_are_written_as_codes(tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "histoprompt.cli", "info", str(tmp_path / "漢.svs")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "\\u6f22.svs does not exist" in done.stderr
