"""Putting a model's weights in place from the Models dock: fetch, import, check, take away."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from histoprompt._qt.models.licence_dialog import LicenceDialog
from histoprompt._qt.shell.jobs import Job, Jobs
from histoprompt._qt.shell.messages import told
from histoprompt._qt.widgets.allowing import BUSY, allow
from histoprompt._qt.widgets.work_strip import WorkStrip
from histoprompt.core.errors import HistopromptError
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.card import ModelCard
from histoprompt.models.weights import licence, locate, trust, verify_all
from histoprompt.models.weights.describe import size_of
from histoprompt.models.weights.find import partial_bytes

_FORGET = "Another file of this model can be installed then, where nobody published its hash"
_HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")

Work = Callable[[Task], str]


class WeightsPanel(QWidget):
    """Buttons for the weights of one model, and how far the work on them is.

    Attributes
    ----------
    changed : Signal
        Files came or went.
    """

    changed = Signal()

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs
        self._card: ModelCard = registry.all_cards()[0]
        self._job: Job | None = None
        self._waiting: tuple[str, Work] | None = None
        self._dialog: QDialog | None = None
        self._build()
        self._install.clicked.connect(self._on_install)
        self._import.clicked.connect(self._on_import)
        self._verify.clicked.connect(self._on_verify)
        self._remove.clicked.connect(self._on_remove)
        self._trust.clicked.connect(self._on_trust)
        self.report.cancelling.connect(self._on_cancel)

    def show_card(self, card: ModelCard) -> None:
        """Be about this model from now on; work on another one goes on."""
        self._card = card
        status, idle = locate(card), self._job is None
        ours = any(spec.package is None for spec in card.files)
        self._install.setText("Go on" if partial_bytes(card) else "Install")
        self._install.setToolTip(f"Fetch {size_of(card)} from the internet, and check them")
        busy = "" if idle else BUSY
        package = "" if ours else "These weights come with a package: nothing to fetch or remove."
        here = "The weights are here already." if status.present else ""
        allow(self._install, busy or package or here)
        allow(self._import, busy)
        absent = "" if card.weights is not None and status.present else "There are no weights here."
        allow(self._verify, busy or absent)
        self._trust.setVisible(bool(card.program))
        allow(self._trust, busy or ("Install the package first." if card.missing else ""))
        began = bool(partial_bytes(card)) or len(status.missing) < len(card.files)
        allow(self._remove, busy or package or ("" if began else "There are no weights here."))

    # -- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        self._install = QPushButton("Install")
        self._import = QPushButton("Import...", toolTip="An offline pack, or a file of this model")
        self._verify = QPushButton("Verify", toolTip="Compare with the published hash")
        self._remove = QPushButton("Remove", toolTip="Delete the weights from this disk")
        buttons = QHBoxLayout()
        self._trust = QPushButton("Trust...", toolTip="Allow weights that are a program to run")
        for button in (self._install, self._import, self._verify, self._remove, self._trust):
            buttons.addWidget(button)
        self.report = WorkStrip(tip="What was fetched so far is kept")
        self._note, self._busy, self._cancel = (
            self.report.status,
            self.report.busy,
            self.report.cancel,
        )
        self._note.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._note.setVisible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        layout.addWidget(self.report)

    # -- what the user does ------------------------------------------------------------------

    def _on_install(self) -> None:
        self._agree([self._card], f"Installing {self._card.title}", partial(_install, self._card))

    def _on_import(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, f"Offline pack, or a file of {self._card.title}"
        )
        if not name:
            return
        path = Path(name)
        try:
            cards = _cards_in(path, self._card)
        except HistopromptError as error:
            self._say(told(error))
            return
        self._agree(cards, f"Importing {path.name}", partial(_import, path, cards))

    def _on_verify(self) -> None:
        self._submit(f"Verifying {self._card.title}", partial(_verify, self._card))

    def _on_remove(self) -> None:
        box = QMessageBox(self)
        box.setWindowTitle("Remove weights")
        box.setText(f"Delete the weights of {self._card.title} from this disk?")
        buttons = QMessageBox.StandardButton
        box.setStandardButtons(buttons.Yes | buttons.Cancel)
        forget = QCheckBox("Forget which file it was", box, toolTip=_FORGET)
        forget.toggled.connect(self._wait_to_remove)
        box.setCheckBox(forget)
        self._wait_to_remove(False)
        self._ask(box)

    def _wait_to_remove(self, forget: bool) -> None:
        self._waiting = (f"Removing {self._card.title}", partial(_remove, self._card, forget))

    def _on_trust(self) -> None:
        self._jobs.submit(
            partial(_program, self._card),
            lane="files",
            title=f"Looking for the weights of {self._card.title}",
            on_done=self._ask_trust,
            aside=True,
            on_error=self._say,
        )

    def _ask_trust(self, path: Path) -> None:
        box = QMessageBox(self)
        box.setWindowTitle("Weights that are a program")
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(trust.statement(self._card, path))
        buttons = QMessageBox.StandardButton
        box.setStandardButtons(buttons.Yes | buttons.Cancel)
        box.button(buttons.Yes).setText("Trust it")
        box.setDefaultButton(buttons.Cancel)
        self._waiting = (f"Trusting {path.name}", partial(_trust, path))
        self._ask(box)

    def _on_cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()

    # -- asking ------------------------------------------------------------------------------

    def _agree(self, cards: Sequence[ModelCard], title: str, work: Work) -> None:
        """Do the work once the terms of these models are accepted."""
        try:
            open_terms = [card for card in cards if not licence.is_accepted(card)]
        except HistopromptError as error:
            self._say(told(error))
            return
        if not open_terms:
            self._submit(title, work)
            return
        self._waiting = title, work
        self._ask(LicenceDialog(open_terms, self))

    def _ask(self, dialog: QDialog) -> None:
        self._dialog = dialog
        dialog.finished.connect(self._on_answer)
        dialog.open()

    def _on_answer(self, answer: int) -> None:
        waiting, self._waiting = self._waiting, None
        agreed = answer in {QDialog.DialogCode.Accepted, QMessageBox.StandardButton.Yes}
        if self._dialog is not None:
            self._dialog.deleteLater()
            self._dialog = None
        if agreed and waiting is not None:
            self._submit(*waiting)
        else:
            self._say("Nothing was changed.")

    # -- working -----------------------------------------------------------------------------

    def _submit(self, title: str, work: Work) -> None:
        self._say("")
        self.report.set_busy(True)
        self._note.setVisible(True)
        self._job = self._jobs.submit(
            partial(_run, work),
            lane="files",
            title=title,
            on_done=self._on_done,
            on_error=self._on_done,
            on_cancel=self._on_cancelled,
            on_progress=self.report.show_progress,
        )
        self.show_card(self._card)

    def _on_done(self, text: str) -> None:
        self._job = None
        self.report.set_busy(False)
        self._say(text)
        self.changed.emit()

    def _on_cancelled(self) -> None:
        self._on_done("Cancelled. What was fetched so far is kept: Install goes on from there.")

    def _say(self, text: str) -> None:
        # A whole hash is one word that cannot be broken and would widen the dock.
        self.report.say(_HASH.sub(r"\1…", text))
        self._note.setToolTip(text)
        self._note.setVisible(bool(text))


def _run(work: Work, task: Task) -> str:
    return work(task)


def _install(card: ModelCard, task: Task) -> str:
    from histoprompt.models.weights.install import install

    return "\n".join(str(checked) for checked in install(card, task))


def _import(path: Path, cards: Sequence[ModelCard], task: Task) -> str:
    from histoprompt.models.weights.pack import import_file, import_pack
    from histoprompt.models.weights.pack_format import is_pack

    if is_pack(path):
        return "\n".join(str(checked) for checked in import_pack(path, cards, task))
    return str(import_file(path, cards[0], task))


def _verify(card: ModelCard, task: Task) -> str:
    return "\n".join(str(checked) for checked in verify_all(card, task))


def _program(card: ModelCard, task: Task) -> Path:
    task.step(0, 0, "Looking for the weights")
    path = trust.program_of(card)
    assert path is not None  # the button is there for such models alone
    return path


def _trust(path: Path, task: Task) -> str:
    trust.trust(path, task)
    return f"{path} is trusted from now on, as long as it does not change."


def _remove(card: ModelCard, forget: bool, task: Task) -> str:
    from histoprompt.models.weights.install import remove

    removed = remove(card, task, forget=forget)
    return "\n".join(f"Removed {path}." for path in removed) or "There was nothing to remove."


def _cards_in(path: Path, card: ModelCard) -> list[ModelCard]:
    """The models of a pack that this version knows; for any other file the one selected."""
    from histoprompt.models.weights.pack_format import is_pack, known_cards

    return known_cards(path, registry.all_cards()) if is_pack(path) else [card]
