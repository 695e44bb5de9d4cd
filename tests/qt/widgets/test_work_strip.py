"""How long work will take, and what a dock says while it works."""

from __future__ import annotations

import pytest

from histoprompt._qt.shell.pace import Pace, spoken
from histoprompt._qt.widgets.work_strip import WorkStrip
from histoprompt.core.task import Progress


def test_the_time_left_follows_the_speed_since_the_first_report():
    now = [100.0]
    pace = Pace(lambda: now[0])
    assert pace.left(0.5) is None  # a count that goes on: half of it was done before
    now[0] = 103.0
    assert pace.left(0.6) is None  # too early to say
    now[0] = 110.0
    assert pace.left(0.6) == pytest.approx(40.0)  # a tenth in 10 s, four tenths to go
    now[0] = 200.0
    assert pace.left(0.2) is None  # other work began


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (1.0, "about 5 s left"),
        (42.0, "about 40 s left"),
        (130.0, "about 2 min left"),
        (7500.0, "about 2 h 5 min left"),
    ],
)
def test_a_time_in_words(seconds, text):
    assert spoken(seconds) == text


def test_cancel_is_there_from_the_start_and_says_that_it_was_heard(qtbot):
    report, heard = WorkStrip("Press Count."), []
    qtbot.addWidget(report)
    report.cancelling.connect(lambda: heard.append(1))
    report.show()
    assert not report.busy.isVisible()
    report.set_busy(True)
    assert report.cancel.isVisible()
    assert report.cancel.isEnabled()
    report.show_progress(Progress(1, 4, "Counting cells", unit="tile"))
    assert report.status.text() == "Counting cells: tile 2 of 4"
    assert report.bar.value() == 250
    report.cancel.click()
    assert heard == [1]
    assert report.cancel.text() == report.status.text() == "Cancelling ..."
    report.show_progress(Progress(2, 4, "Counting cells", unit="tile"))
    assert report.status.text() == "Cancelling ..."
    report.set_busy(True)  # what was counted is gathered
    assert not report.cancel.isEnabled()
    report.say("Gathering what was counted ...")  # other work, which can be stopped too
    assert report.cancel.isEnabled()
    assert report.cancel.text() == "Cancel"
    report.cancel.click()
    report.set_busy(False)
    report.set_busy(True)
    assert report.cancel.isEnabled()
    assert report.cancel.text() == "Cancel"


def test_a_text_that_is_not_true_any_more_goes_unless_another_one_came(qtbot):
    report = WorkStrip("Press Count.")
    qtbot.addWidget(report)
    report.say("Drag a rectangle.")
    report.unsay("Drag a rectangle.", "Press Count.")
    assert report.status.text() == "Press Count."
    report.say("5 cells counted.")
    report.unsay("Drag a rectangle.", "Press Count.")
    assert report.status.text() == "5 cells counted."
