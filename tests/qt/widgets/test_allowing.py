"""What is grey says why: in its tip, or above the page it stands on."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import Page

WHY = "Count cells first."


def test_a_grey_button_says_why_before_what_it_does(qtbot):
    button = QPushButton("Write", toolTip="Write the files")
    qtbot.addWidget(button)
    for _ in range(2):
        allow(button, WHY)
        assert not button.isEnabled()
        assert button.toolTip() == f"{WHY}\nWrite the files"
        assert WHY in button.accessibleDescription()
    allow(button)
    assert button.isEnabled()
    assert button.toolTip() == "Write the files"


def test_a_tip_that_is_changed_meanwhile_stays(qtbot):
    button = QPushButton("Install")
    qtbot.addWidget(button)
    allow(button, WHY)
    assert button.toolTip() == WHY
    button.setToolTip("Fetch 4 MB")
    allow(button, WHY)
    assert button.toolTip() == f"{WHY}\nFetch 4 MB"
    allow(button)
    assert button.toolTip() == "Fetch 4 MB"


def test_a_grey_page_says_why_above_its_rows(qtbot):
    content, button = QWidget(), QPushButton("Write")
    QVBoxLayout(content).addWidget(button)
    page = Page(content)
    qtbot.addWidget(page)
    page.allow(WHY)
    assert not button.isEnabled()
    assert page.missing == WHY
    page.allow()
    assert button.isEnabled()
    assert page.missing == ""
