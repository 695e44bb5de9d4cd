"""When a cancel comes too late."""

from __future__ import annotations

import pytest

from histoprompt.core.errors import Cancelled
from histoprompt.core.task import Task


def test_a_cancel_after_settling_comes_too_late_for_the_whole_task():
    task = Task()
    task.part(0.0, 0.5).settle()
    task.cancel()
    assert not task.cancelled
    task.step(1, 1)


def test_a_cancel_before_settling_stops_the_job():
    task = Task()
    task.cancel()
    with pytest.raises(Cancelled):
        task.settle()
