"""Forms made from parameters."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QAbstractSpinBox, QLabel
from superqt import QCollapsible

from histoprompt._qt.widgets.forms import ParameterForm


@pytest.fixture
def form(qtbot):
    from test_parameters import Params

    widget = ParameterForm(Params())
    qtbot.addWidget(widget)
    return widget


def test_rows_show_defaults_and_give_them_back(form):
    from test_parameters import Params

    assert form.value() == Params()


def test_rows_give_back_what_they_are_set_to(form, tmp_path):
    from test_parameters import Params

    params = Params(64, 0.25, "tokens", ("a", "b"), (1.0, 2.0), True, tmp_path / "x")
    form.set_value(params)
    assert form.value() == params


def test_rows_have_the_limits_units_and_names_of_the_fields(form):
    side, mpp = form.row("side"), form.row("mpp")
    assert isinstance(side, QAbstractSpinBox)
    assert (side.minimum(), side.maximum()) == (32, 8192)
    assert mpp.specialValueText() == "as the slide"
    assert "Tile side (px)" in [label.text() for label in form.findChildren(QLabel)]
    assert mpp.accessibleName() == "Pixel size"


def test_a_change_by_hand_is_told_and_one_by_code_is_not(form, qtbot):
    from test_parameters import Params

    heard = []
    form.changed.connect(lambda: heard.append(form.value().side))
    form.set_value(Params(side=128))
    assert heard == []
    form.row("side").setValue(256)
    assert heard == [256]


def test_advanced_rows_are_folded(form):
    (folded,) = form.findChildren(QCollapsible)
    assert not folded.isExpanded()
    assert folded.isAncestorOf(form.row("file"))
    assert not folded.isAncestorOf(form.row("side"))
