"""The Correct page of the Count dock: delete, add, split and merge cells by hand."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
)
from superqt.utils import signals_blocked

from histoprompt._qt.count.cell_tools import Tool
from histoprompt._qt.count.controller import Counting
from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import Panel, row
from histoprompt._qt.widgets.buttons import grid_of, name_of
from histoprompt._qt.widgets.panels import narrow_combo
from histoprompt._qt.widgets.work_strip import NoteLabel
from histoprompt.core.strings.wording import capital
from histoprompt.models import registry
from histoprompt.models.card import ModelCard

_WHY = (
    "Click what the count got wrong. What was found stays on disk: corrections are kept beside it, "
    "and each can be taken back."
)
_FINISH = "Finish the count first: what is not counted yet cannot be corrected."
_TOOLS: dict[Tool, tuple[str, str]] = {
    "add": ("Add", "Click each cell that was missed: a model outlines it (Shift+click)"),
    "delete": ("Delete", "Click each cell that is none (Ctrl+click)"),
    "split": ("Split", "Draw a line through a cell, or click two places in it"),
    "merge": ("Merge", "Click two cells that are one (Alt+click)"),
}
_ALL = "All cells"


class CorrectPanel(Panel):
    """Tools, what they came to, and the bridge to committed objects.

    Attributes
    ----------
    tool : Signal(str)
        Clicks correct with this tool from now on; empty for none.
    send : Signal(str)
        Cells of a class (of all, if empty) shall become committed objects.
    take : Signal
        Committed objects shall become cells.
    """

    tool = Signal(str)
    send = Signal(str)
    take = Signal()

    def __init__(self, counting: Counting) -> None:
        super().__init__()
        self._counting = counting
        self._cards = [card for card in registry.all_cards() if card.role == "prompt"]
        self._state = NoteLabel()
        self._tools = {
            tool: QPushButton(text, checkable=True) for tool, (text, _) in _TOOLS.items()
        }
        self._model = narrow_combo()
        self._model.addItems([card.short_title for card in self._cards])
        self.choose(registry.DEFAULT)
        self._undo, self._redo = QPushButton("Undo"), QPushButton("Redo")
        self._classes = QComboBox()
        self._send = QPushButton("Send to objects")
        self._take = QPushButton("Take objects as cells")
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        for tool, button in self._tools.items():
            button.setToolTip(_TOOLS[tool][1])
        grid = grid_of(self._tools.values())
        self._send.setToolTip(
            "These cells become committed objects of the slide, with their classes, where no "
            "object lies yet. With rectangles or polygons drawn in a Shapes layer that is "
            "selected: only those inside."
        )
        self._take.setToolTip(
            "Committed objects become cells of the count, added by hand, where no cell lies yet"
        )
        form = QFormLayout()
        form.addRow("Outlined by", self._model)
        layout = QVBoxLayout(self)
        layout.addWidget(NoteLabel(_WHY))
        layout.addLayout(grid)
        layout.addLayout(form)
        layout.addWidget(row(self._state, self._undo, self._redo))
        layout.addWidget(QLabel("<b>Cells and committed objects</b>"))
        layout.addWidget(row(self._classes, self._send))
        layout.addWidget(self._take)
        layout.addStretch(1)

    def _connect(self) -> None:
        for button in self._tools.values():
            button.clicked.connect(self._on_tool)
        self._undo.clicked.connect(self._counting.steps.undo)
        self._redo.clicked.connect(self._counting.steps.redo)
        self._send.clicked.connect(self._on_send)
        self._take.clicked.connect(self.take)
        self.left.connect(self.stop)

    @property
    def card(self) -> ModelCard:
        """The model that outlines added cells."""
        return self._cards[self._model.currentIndex()]

    def choose(self, model_id: str) -> None:
        """Let this model outline added cells."""
        self._model.setCurrentIndex([card.id for card in self._cards].index(model_id))

    def stop(self) -> None:
        """Let clicks choose cells again."""
        if any(button.isChecked() for button in self._tools.values()):
            self._check(None)
            self.tool.emit("")

    def refresh(self) -> None:
        """Show what the corrections come to."""
        work, cells = self._counting.work, self._counting.cells
        ready = work is not None and work.complete
        for widget in (*self._tools.values(), self._send, self._take):
            allow(widget, "" if ready else _FINISH)
        if work is not None and not ready:
            self._state.setText(_FINISH)
        else:
            told = "" if work is None else str(work.by_hand)
            self._state.setText(capital(told) or "Nothing is corrected.")
        names = [] if cells is None else [name for name in cells.classes if name]
        kept = self._classes.currentText()
        with signals_blocked(self._classes):
            self._classes.clear()
            self._classes.addItem(_ALL, "")
            for name in names:
                self._classes.addItem(name, name)
            self._classes.setCurrentIndex(max(0, self._classes.findText(kept)))

    def _on_tool(self) -> None:
        chosen = self.sender()
        tool = name_of(chosen, self._tools)
        on = self._tools[tool].isChecked()
        self._check(tool if on else None)
        self.tool.emit(tool if on else "")

    def _check(self, tool: Tool | None) -> None:
        for name, button in self._tools.items():
            button.setChecked(name == tool)

    def _on_send(self) -> None:
        self.send.emit(str(self._classes.currentData() or ""))
