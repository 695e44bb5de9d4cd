"""The page Unlike: boxes of normal tissue, and what is unlike them."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QListWidget, QPushButton, QVBoxLayout

from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import Panel, row
from histoprompt._qt.widgets.forms import ParameterForm
from histoprompt._qt.widgets.panels import narrow_combo
from histoprompt._qt.widgets.work_strip import NoteLabel
from histoprompt.core.geometry import Box
from histoprompt.pipelines.explore.anomaly.params import UnlikeParams

_LIST_HEIGHT = 66
# What is compared with the reference.
TILES, CROPS, NETWORK = "tiles", "crops", "network"
_LOOKS_AT = (
    ("tiles of tissue", TILES),
    ("counted cells, by pictures of them", CROPS),
    ("counted cells, by their network", NETWORK),
)
_HINT = "Draw boxes around normal tissue: at least 30 tiles or cells, better 200."


class UnlikePage(Panel):
    """Rows of a search for what is unlike normal tissue.

    Attributes
    ----------
    drawing : Signal
        A box of normal tissue shall be drawn.
    forgetting : Signal
        The reference shall be begun anew.
    finding : Signal
    keeping : Signal
        The regions shall be kept as objects.
    """

    drawing, forgetting, finding, keeping = Signal(), Signal(), Signal(), Signal()

    def __init__(self) -> None:
        super().__init__()
        self.reference = QListWidget(toolTip="Boxes of normal tissue on the open slide")
        self.reference.setFixedHeight(_LIST_HEIGHT)
        self._draw = QPushButton("Draw normal tissue", toolTip="Drag a rectangle on the slide")
        self._clear = QPushButton("Clear", toolTip="Begin the reference anew")
        self.looks_at = narrow_combo()
        for text, data in _LOOKS_AT:
            self.looks_at.addItem(text, data)
        self.options = ParameterForm(UnlikeParams())
        self.find = QPushButton("Find", toolTip="Look for tiles unlike the reference")
        self.told = NoteLabel(_HINT)
        self._keep = QPushButton("Commit regions", toolTip="Keep them as objects: unlike normal")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 6, 0, 0)
        column.addWidget(self.reference)
        column.addWidget(row(self._draw, self._clear))
        form = QFormLayout()
        form.addRow("Looks at", self.looks_at)
        column.addLayout(form)
        for widget in (self.options, self.find, self.told, self._keep):
            column.addWidget(widget)
        column.addStretch(1)
        self._draw.clicked.connect(self.drawing)
        self._clear.clicked.connect(self.forgetting)
        self.find.clicked.connect(self.finding)
        self._keep.clicked.connect(self.keeping)
        self.show_found("", 0)

    def show_reference(self, boxes: Sequence[Box]) -> None:
        """List the boxes of normal tissue."""
        self.reference.clear()
        self.reference.addItems([",".join(f"{v:g}" for v in box) for box in boxes])

    def show_found(self, told: str, regions: int) -> None:
        """Say what came of it."""
        self.told.setText(told or _HINT)
        allow(self._keep, "" if regions else "Find first: there is no region that is unlike.")
