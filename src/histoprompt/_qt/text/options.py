"""The rows of the Text dock that most people leave alone."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QWidget
from superqt import QCollapsible

from histoprompt._qt.widgets.number_box import NumberBox, WholeBox
from histoprompt.pipelines.text.queries import TEMPLATES
from histoprompt.pipelines.text.text_embedding import ScoreParams

_SCALES = (1.0, 2.0)


class TextOptions(QCollapsible):
    """How scores are softened, how words are put, and how tiles are seen; folded at first.

    Attributes
    ----------
    changed : Signal
        Another value.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("Advanced")
        default = ScoreParams()
        self._temperature = NumberBox(decimals=2, minimum=0.01, maximum=100, singleStep=0.1)
        self._temperature.setToolTip(
            "1 leaves scores as they are; more draws them together, less pulls them apart"
        )
        self._templates = QComboBox()
        self._templates.addItems(list(TEMPLATES))
        self._templates.setToolTip("Sentences a text is put into, as published with these models")
        self._surroundings = QCheckBox("with its surroundings")
        self._surroundings.setToolTip(
            "Each tile is also seen at half the magnification: twice the work"
        )
        self._overlap = WholeBox(minimum=1, maximum=8)
        self._overlap.setToolTip("2 makes the map twice as fine, with four times the tiles")
        self._mpp = NumberBox(decimals=2, maximum=16, singleStep=0.25, suffix=" µm/px")
        self._mpp.setSpecialValueText("as the model says")
        content = QWidget()
        form = QFormLayout(content)
        form.addRow("Soften scores by", self._temperature)
        form.addRow("Word put as", self._templates)
        form.addRow("Each tile", self._surroundings)
        form.addRow("Steps per tile", self._overlap)
        form.addRow("Seen at", self._mpp)
        self.addWidget(content)
        self.set_value(default)
        for spin in (self._temperature, self._overlap, self._mpp):
            spin.setKeyboardTracking(False)
            spin.valueChanged.connect(self._on_changed)
        self._templates.currentIndexChanged.connect(self._on_changed)
        self._surroundings.toggled.connect(self._on_changed)

    def applied(self, params: ScoreParams) -> ScoreParams:
        """These values in place of those of `params`."""
        return replace(
            params,
            temperature=self._temperature.value(),
            templates=self._templates.currentText(),
            scales=_SCALES if self._surroundings.isChecked() else _SCALES[:1],
            overlap=self._overlap.value(),
            mpp=self._mpp.value(),
        )

    def set_value(self, params: ScoreParams) -> None:
        """Show the values of `params`."""
        self._temperature.setValue(params.temperature)
        self._templates.setCurrentText(params.templates)
        self._surroundings.setChecked(len(params.scales) > 1)
        self._overlap.setValue(params.overlap)
        self._mpp.setValue(params.mpp)

    def _on_changed(self, *_: object) -> None:
        self.changed.emit()
