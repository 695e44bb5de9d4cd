"""What a long job tells, and where a cancel acts."""

from __future__ import annotations

import pytest

from histoprompt.core.errors import Cancelled
from histoprompt.core.task import Progress, Task


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (Progress(2, 40, "Counting cells", unit="tile"), "Counting cells: tile 3 of 40"),
        (Progress(40, 40, "Counting cells", unit="tile"), "Counting cells: tile 40 of 40"),
        (Progress(1200, 3400, "Fetching (MB)"), "Fetching (MB): 1,200 of 3,400"),
        (Progress(0, 0, "Looking for tissue"), "Looking for tissue ..."),
    ],
)
def test_progress_in_words(given, told):
    assert given.told == told


def test_a_part_keeps_the_unit_and_moves_the_share():
    told = Progress(1, 2, "Counting", unit="tile").within(0.5, 1.0)
    assert (told.unit, told.share) == ("tile", 0.75)


def test_what_interrupts_a_step_does_not_stay_on_show():
    heard: list[str] = []
    task = Task(lambda p: heard.append(p.text))
    task.step(0, 9, "Counting")
    task.aside().step(0, 0, "Loading a model")
    task.repeat()
    task.quiet().step(3, 4, "Segmenting 4 objects")
    assert heard == ["Counting", "Loading a model", "Counting", "Counting"]


def test_a_cancel_acts_wherever_something_is_told():
    task = Task()
    task.repeat()  # nothing was said yet
    task.step(0, 1, "Counting")
    aside, quiet = task.aside(), task.quiet()
    task.cancel()
    for call in (task.repeat, lambda: aside.step(0, 0), lambda: quiet.step(0, 0)):
        with pytest.raises(Cancelled):
            call()
