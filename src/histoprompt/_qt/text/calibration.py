"""Threshold and marks of the text that is shown."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QButtonGroup,
    QPushButton,
    QVBoxLayout,
)
from superqt import QLabeledDoubleSlider
from superqt.utils import signals_blocked

from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import Panel, row
from histoprompt._qt.widgets.buttons import button_of, grid_of
from histoprompt._qt.widgets.number_box import plain_locale
from histoprompt._qt.widgets.work_strip import NoteLabel
from histoprompt.core.scores.map import Threshold
from histoprompt.core.strings.wording import many

_YES = (
    "Then click tiles that are what the text says; click again to unmark. The key {mark_yes} marks "
    "the tile under the pointer so"
)
_NO = (
    "Then click tiles that are not (or Ctrl+click at any time). The key {mark_no} marks the tile "
    "under the pointer so"
)

_SCALE = "Probability of <b>{}</b> from 0 (clear) to 1 (yellow), against {}."


class ScaleNote(NoteLabel):
    """What the colours of a heat map mean."""

    def show_facts(self, text: str, facts: Mapping[str, str]) -> None:
        """Show what the scores of a text are held against, as its map tells."""
        by_user = facts["contrasts chosen by"] == "user"
        rivals = facts["contrasts"] if by_user else "the other texts and usual tissues"
        self.setText(_SCALE.format(text, rivals))
        self.setToolTip(f"Held against: {facts['contrasts']}")


class CalibrationPanel(Panel):
    """The slider of the threshold, who says so, and buttons to mark tiles.

    Attributes
    ----------
    moved : Signal(float)
        The user moved the threshold.
    released : Signal
        The user wants it where text and marks put it.
    answering : Signal(bool)
        Clicks on tiles say yes, or no.
    asked_next, asked_undo, asked_wordings : Signal
        The tile whose mark would teach most; the last step back; that marks choose wordings.
    """

    moved, released, answering = Signal(float), Signal(), Signal(bool)
    asked_next, asked_undo, asked_wordings = Signal(), Signal(), Signal()

    def __init__(self) -> None:
        super().__init__()
        self._slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self._slider.setRange(0.0, 1.0)
        self._slider.setSingleStep(0.01)
        self._slider.setDecimals(2)
        for box in self._slider.findChildren(QAbstractSpinBox):
            plain_locale(box)
        self._reset = QPushButton("Auto", toolTip="Back to what text and marks say")
        self._origin, self._trust = NoteLabel(), NoteLabel()
        self._yes = button_of("Mark yes", _YES, checkable=True)
        self._no = button_of("Mark no", _NO, checkable=True)
        self._next = QPushButton("Most doubtful", toolTip="Go to the tile whose mark teaches most")
        self._undo = button_of("Undo", "{undo}: what was done last, in any dock")
        self._wordings = QPushButton("Choose wordings")
        self._wordings.setToolTip(
            "Keep the wordings of the text that tell tiles marked yes from those marked no"
        )
        self._group = QButtonGroup(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(row(self._slider, self._reset))
        layout.addWidget(self._origin)
        layout.addLayout(grid_of((self._yes, self._no, self._next, self._undo)))
        layout.addWidget(self._trust)
        layout.addWidget(self._wordings)
        self._connect()

    def _connect(self) -> None:
        for button in (self._yes, self._no):
            self._group.addButton(button)
        self._group.buttonClicked.connect(self._on_answer)
        self._slider.valueChanged.connect(self.moved)
        self._reset.clicked.connect(self.released)
        self._next.clicked.connect(self.asked_next)
        self._undo.clicked.connect(self.asked_undo)
        self._wordings.clicked.connect(self.asked_wordings)

    def show_threshold(self, cut: Threshold, origin: str, *, by_hand: bool, regions: int) -> None:
        """Show where regions are cut, who says so, and how many there are."""
        with signals_blocked(self._slider):
            self._slider.setValue(cut.value)
        allow(self._reset, "" if by_hand else "The threshold was not set by hand.")
        count = many(regions, "region")
        self._origin.setText(f"Threshold {cut.value:.2f} <b>{origin}</b>: {count}.")
        self._origin.setToolTip(cut.origin)

    def show_trust(self, text: str) -> None:
        """Show what the marks say of the text."""
        self._trust.setText(text)

    def show_answer(self, yes: bool | None) -> None:
        """Show what a click says; None where clicks do not mark."""
        self._group.setExclusive(False)
        self._yes.setChecked(yes is True)
        self._no.setChecked(yes is False)
        self._group.setExclusive(True)

    def _on_answer(self, button: QPushButton) -> None:
        self.answering.emit(button is self._yes)
