"""The rows that change the form of the chosen object: how far, and four buttons."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from histoprompt._qt.prompts.buttons import FORMS
from histoprompt._qt.widgets.base import row
from histoprompt._qt.widgets.buttons import button_of, grid_of, name_of
from histoprompt._qt.widgets.number_box import NumberBox
from histoprompt.core.parameters import field_of
from histoprompt.pipelines.objects.reshape import ReshapeParams


class FormPanel(QWidget):
    """Asks for a form.

    Attributes
    ----------
    chosen : Signal(str)
        A button was pressed: a `Form`.
    changed : Signal
        The amount is another one.
    """

    chosen = Signal(str)
    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        about = field_of(ReshapeParams, "amount").about
        self._amount = NumberBox(decimals=2, minimum=about.low, maximum=about.high)
        self._amount.setSingleStep(0.1)
        self._amount.setToolTip(about.help)
        self._amount.setAccessibleName(about.label)
        self._buttons: dict[str, QPushButton] = {
            name: button_of(*words) for name, words in FORMS.items()
        }
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(grid_of(list(self._buttons.values())))
        layout.addWidget(row(QLabel(about.label), self._amount))
        self._amount.valueChanged.connect(self._on_amount)
        for button in self._buttons.values():
            button.clicked.connect(self._on_button)

    def show_unit(self, mpp: float | None) -> None:
        """Say what the amount is in."""
        self._amount.setSuffix(" µm" if mpp else " px")

    @property
    def amount(self) -> float:
        """How far."""
        return self._amount.value()

    @amount.setter
    def amount(self, value: float) -> None:
        self._amount.setValue(value)

    def _on_amount(self, _: float) -> None:
        self.changed.emit()

    def _on_button(self) -> None:
        self.chosen.emit(name_of(self.sender(), self._buttons))
