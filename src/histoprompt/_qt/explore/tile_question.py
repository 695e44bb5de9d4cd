"""The tile that is offered for a mark, the learning curve, and whether to go on."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout

from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import Panel
from histoprompt._qt.widgets.buttons import grid_of, name_of
from histoprompt._qt.widgets.charts import LearningCurveChart
from histoprompt._qt.widgets.work_strip import NoteLabel
from histoprompt.pipelines.classes.active_learning import ACCEPT, REJECT, UNSURE_KEY
from histoprompt.pipelines.explore.tile_classes.queue import Queue

_ANSWERS = {ACCEPT: "Yes", REJECT: "No", UNSURE_KEY: "Unsure"}
_CURVE_HEIGHT = 110


class TileQuestion(Panel):
    """Rows that ask about a tile.

    Attributes
    ----------
    answered : Signal(str)
        a, r or u.
    look : Signal
        The offered tile shall be shown.
    alike : QPushButton
        Pressed where look-alikes of the chosen class shall be asked about.
    """

    answered, look = Signal(str), Signal()

    def __init__(self) -> None:
        super().__init__()
        self.question, self.hint, self.curve = NoteLabel(), NoteLabel(), LearningCurveChart()
        self.curve.setFixedHeight(_CURVE_HEIGHT)
        self.answers = {key: QPushButton(text) for key, text in _ANSWERS.items()}
        self._look = QPushButton("Show it", toolTip="Go to the tile that is offered")
        self.alike = QPushButton("Ask about look-alikes", checkable=True)
        self.alike.setToolTip("Offer tiles most like the chosen class: is it one?")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(QLabel("<b>The most useful tile to mark next</b>"))
        column.addWidget(self.question)
        column.addLayout(grid_of((*self.answers.values(), self._look)))
        for widget in (self.alike, self.curve, self.hint):
            column.addWidget(widget)
        for button in self.answers.values():
            button.clicked.connect(self._on_answer)
        self._look.clicked.connect(self.look)
        self.show_queue(None)

    def show_queue(self, queue: Queue | None) -> None:
        """Show what is asked; nothing where there is no queue."""
        self.setVisible(queue is not None)
        if queue is None:
            return
        offered = None if queue.question is None else queue.question.suggestion
        for button in (*self.answers.values(), self._look):
            missing = "No tile is offered: mark some tiles first."
            allow(button, "" if offered is not None else missing)
        self.question.setText(
            "No tile is offered."
            if offered is None
            else f"Is it <b>{offered.proposed}</b>? ({offered.probability:.0%}; {offered.why})"
        )
        self.curve.show_points(queue.points)
        self.hint.setText(queue.hint)

    def _on_answer(self) -> None:
        self.answered.emit(name_of(self.sender(), self.answers))
