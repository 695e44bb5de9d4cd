"""Wordings of a class, drafted by a language model on this machine or read from a file, ticked."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from histoprompt._qt.shell.jobs import Jobs
from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import row
from histoprompt._qt.widgets.work_strip import NoteLabel
from histoprompt.core.task import Task
from histoprompt.pipelines.text.drafting import Draft, draft, draft_from_file

_HINT = (
    "A language model on this machine proposes wordings, or a file has them. Nothing is used that "
    "you do not tick, and nothing leaves the machine."
)
_FILES = "Wordings (*.txt *.json)"


class DraftDialog(QDialog):
    """Asks for wordings, shows each of them, and hands on those that are ticked.

    Parameters
    ----------
    jobs : Jobs
    parent : QWidget

    Attributes
    ----------
    ticked : Signal(str)
        The class and its ticked wordings as a text, with bars between.
    """

    ticked = Signal(str)

    def __init__(self, jobs: Jobs, parent: QWidget) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self.setWindowTitle("Wordings")
        self.name = QLineEdit(placeholderText="the class, such as lymphocyte")
        self.endpoint = QLineEdit(placeholderText="http://127.0.0.1:11434/v1")
        self.endpoint.setToolTip("Of a language model on this machine: Ollama, llama.cpp")
        self.model = QLineEdit("llama3")
        self.ask = QPushButton("Ask", toolTip="Ask the language model for wordings")
        self.file = QPushButton("File...", toolTip="Wordings from a file, one per line")
        self.list, self.told = QListWidget(), NoteLabel(_HINT)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.use = self.buttons.addButton("Use ticked", QDialogButtonBox.ButtonRole.AcceptRole)
        form = QFormLayout()
        form.addRow("Class", self.name)
        form.addRow("Address", row(self.endpoint, self.file))
        form.addRow("Model", row(self.model, self.ask))
        column = QVBoxLayout(self)
        column.addLayout(form)
        for widget in (self.told, self.list, self.buttons):
            column.addWidget(widget)
        self.ask.clicked.connect(self._on_ask)
        self.file.clicked.connect(self._on_file)
        self.list.itemChanged.connect(self._on_tick)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.resize(440, 420)
        self._on_tick()

    def start(self, name: str) -> None:
        """Show the dialog for a class; what was drafted before for another one goes."""
        if name and name != self.name.text():
            self.name.setText(name)
            self.list.clear()
            self.told.setText(_HINT)
        self._on_tick()
        self.show()

    def read(self, path: Path) -> None:
        """Read wordings from a file."""
        self._submit(partial(_from_file, self.name.text().strip(), path))

    def accept(self) -> None:
        """Hand on what is ticked."""
        self.ticked.emit(" | ".join(dict.fromkeys((self.name.text().strip(), *self._ticks()))))
        super().accept()

    def _on_ask(self) -> None:
        address = self.endpoint.text().strip()
        if not address:
            self.told.setText("Type the address of a language model on this machine first.")
            return
        model = self.model.text().strip()
        self._submit(partial(_from_model, self.name.text().strip(), address, model))

    def _on_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Wordings", "", _FILES)
        if name:
            self.read(Path(name))

    def _submit(self, work: partial[Draft]) -> None:
        if not self.name.text().strip():
            self.told.setText("Type the class first.")
            return
        self.told.setText("Asking ...")
        self._jobs.submit(
            work, lane="files", key="drafting wordings", title="Drafting wordings",
            on_done=self._on_draft, on_error=self.told.setText, aside=True,
        )  # fmt: skip

    def _on_draft(self, found: Draft) -> None:
        self.list.clear()
        for word in found.wordings:
            item = QListWidgetItem(word)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Unchecked)
            self.list.addItem(item)
        parts = [f"{key}: {', '.join(words)}" for key, words in found.attributes.items()]
        parts += [f"not: {', '.join(found.is_not)}"] if found.is_not else []
        self.told.setText("; ".join((f"From {found.source}", *parts)))

    def _on_tick(self, _: object = None) -> None:
        allow(self.use, "" if self._ticks() else "Tick a wording first.")

    def _ticks(self) -> list[str]:
        items = [self.list.item(i) for i in range(self.list.count())]
        return [i.text() for i in items if i.checkState() == Qt.CheckState.Checked]


def _from_model(name: str, address: str, model: str, *, task: Task) -> Draft:
    task.step(0, 0, "Asking the language model")
    return draft(name, address, model)


def _from_file(name: str, path: Path, *, task: Task) -> Draft:
    task.step(0, 0, "Reading wordings")
    return draft_from_file(name, path)
