"""What a free phrase was understood as, with a way to say that it was not meant."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from histoprompt._qt.shell.messages import told
from histoprompt._qt.widgets.base import row
from histoprompt._qt.widgets.work_strip import NoteLabel
from histoprompt.core.errors import PromptError
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.text.phrases import Understood, understood_all


class UnderstoodRow(QWidget):
    """One line: "'lymphoid infiltrate' understood as lymphocyte, .62", and *Not this*.

    Attributes
    ----------
    refused : Signal(str, str)
        The text that was put, and the phrase that stood for it, which was not meant so.
    """

    refused = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self.note, self.button = NoteLabel(), QPushButton("Not this")
        self.button.setToolTip("Take this word out again, and type another one")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(row(self.note, self.button))
        self._put, self._phrase = "", ""
        self.button.clicked.connect(self._on_clicked)
        self.setVisible(False)

    def show_understood(self, put: str, phrase: str, told: str) -> None:
        """Show what a phrase was put as."""
        self._put, self._phrase = put, phrase
        self.note.setText(told)
        self.setVisible(True)

    def _on_clicked(self) -> None:
        self.setVisible(False)
        self.refused.emit(self._put, self._phrase)


def understand(
    phrase: str, card: ModelCard, manager: ModelManager, *, task: Task
) -> tuple[str, tuple[Understood, ...]] | str:
    """What a text is put as and what was understood in it; why not, if it is refused."""
    try:
        texts, meant = understood_all((phrase,), card, manager, task)
    except PromptError as error:
        return told(error)
    return texts[0], meant
