"""Ctrl-C in a command whose library loses the exception."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from histoprompt.cli import export, main
from histoprompt.cli.interrupt import cancelled_by_interrupt
from histoprompt.core.errors import Cancelled
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.sample import SLIDE, sample_file
from histoprompt.core.task import Task


@pytest.fixture(autouse=True)
def _interrupts() -> Iterator[None]:
    """Interrupts raise, though whoever started the tests may have them ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _lost() -> None:
    """An interrupt whose exception nobody sees."""
    with suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_lost_interrupt_ends_the_task_at_its_next_step():
    task = Task()
    with cancelled_by_interrupt(task):
        task.step(0, 2)
        _lost()
        with pytest.raises(Cancelled):
            task.step(1, 2)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_that_is_seen_is_one_as_before():
    task = Task()
    with pytest.raises(KeyboardInterrupt), cancelled_by_interrupt(task):
        signal.raise_signal(signal.SIGINT)
    assert task.cancelled
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_who_ignores_interrupts_goes_on_doing_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    task = Task()
    with cancelled_by_interrupt(task):
        signal.raise_signal(signal.SIGINT)
    assert not task.cancelled
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_command_that_lost_its_interrupt_ends_as_an_interrupted_one(
    monkeypatch, tmp_path, capsys
):
    slide = sample_file(SLIDE)

    def losing(path, **how):
        _lost()
        return open_slide(path, **how)

    monkeypatch.setattr(export, "open_slide", losing)
    monkeypatch.setattr(export, "export_from", lambda *args, **_: args[4].step(0, 1))
    argv = [
        "export",
        "--image",
        str(slide),
        "--labels",
        "b",
        "--format",
        "tiles",
        "--out",
        str(tmp_path),
    ]
    assert main(argv) == 130
    assert capsys.readouterr().err == "histoprompt: interrupted; nothing half-written was left.\n"
