"""Numbers typed into boxes, key by key."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from histoprompt._qt.widgets.number_box import NumberBox, WholeBox

pytestmark = pytest.mark.gui


def type_into(box, text: str) -> None:
    box.selectAll()
    QTest.keyClicks(box.lineEdit(), text)
    QTest.keyClick(box, Qt.Key.Key_Return)


@pytest.mark.parametrize(
    ("text", "value"), [("1,0", 1.0), ("0,25", 0.25), ("0.5", 0.5), (",5", 0.5), ("10", 10.0)]
)
def test_a_comma_is_a_decimal_point_in_a_box(qtbot, text, value):
    box = NumberBox((0.05, 10.0), decimals=4, maximum=1e5, suffix=" µm/px")
    box.setSpecialValueText("not known")
    qtbot.addWidget(box)
    type_into(box, text)
    assert box.value() == value


@pytest.mark.parametrize("text", ["250", "0.01", "1,000", "1.2.3"])
def test_a_box_keeps_what_it_had_and_says_why(qtbot, text):
    box = NumberBox((0.05, 10.0), decimals=4, maximum=1e5)
    qtbot.addWidget(box)
    box.setValue(0.25)
    told: list[str] = []
    box.refused.connect(told.append)
    type_into(box, text)
    assert box.value() == 0.25
    assert box.text() == "0.2500"
    assert len(set(told)) == 1


def test_whole_numbers_have_no_comma(qtbot):
    box = WholeBox(minimum=1, maximum=200, value=10)
    qtbot.addWidget(box)
    type_into(box, "1,2")
    assert (box.value(), box.text()) == (12, "12")  # the comma was not typed, which is seen
    box.setMaximum(100_000)
    box.setValue(12_345)
    assert box.text() == "12345"


@pytest.mark.parametrize(("text", "mpp"), [("1,0", 1.0), ("25", 0.25)])
def test_the_pixel_size_of_an_image(dock, text, mpp):
    panel = dock.images
    type_into(panel._mpp, text)
    assert dock.session.slide.slide.mpp == mpp
    assert ("0.05 to 10" in panel._source.text()) == (mpp == 0.25)
