"""The Models dock: which models there are, which are in memory, and whether the machine is well."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import Qt
from qtpy.QtGui import QTextCursor
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
)
from superqt.utils import signals_blocked

from histoprompt._qt.models.table import ModelTable
from histoprompt._qt.models.weights_panel import WeightsPanel
from histoprompt._qt.shell.messages import WAYS
from histoprompt._qt.widgets.allowing import BUSY, allow
from histoprompt._qt.widgets.base import Dock, row
from histoprompt._qt.widgets.number_box import WholeBox
from histoprompt._qt.widgets.work_strip import NoteLabel
from histoprompt.core.task import Task
from histoprompt.models import registry, weights
from histoprompt.models.card import ModelCard
from histoprompt.models.doctor import Diagnosis, State, briefly, examine
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.weights.describe import size_of, source_of
from histoprompt.models.weights.find import size_text

_MARKS: dict[State, str] = {"fail": "FAILS: ", "warn": "Look at: ", "ok": ""}


class ModelsDock(Dock):
    """Device, memory budget, models and their weights, load and unload, and a check-up."""

    def _start(self) -> None:
        self._refresh()
        # Finding the device imports torch, which takes seconds: not on the GUI thread.
        self.session.jobs.submit(
            partial(_prepare, self.manager),
            lane="batch",
            key="prepare",
            title="Finding the device",
            on_done=self._on_prepared,
            aside=True,
        )

    @property
    def card(self) -> ModelCard:
        """The model whose row is selected."""
        return self._models.card

    # -- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        self.manager = self.session.manager
        self._device = NoteLabel("Looking for the device ...")
        self._bar = QProgressBar()
        self._budget = WholeBox(minimum=64, maximum=10_000_000, singleStep=256, suffix=" MiB")
        self._budget.setToolTip("What models may take together")
        self._budget.setKeyboardTracking(False)
        allow(self._budget, "Wait a moment: the device is looked for.")
        self._models = ModelTable(registry.all_cards())
        self._table = self._models.table
        self._weights = WeightsPanel(self.session.jobs)
        self._facts = NoteLabel()
        self._facts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._load, self._unload = QPushButton("Load"), QPushButton("Unload")
        self._check = QPushButton("Check-up", toolTip="Examine this machine and time one embedding")
        self._report = QPlainTextEdit(readOnly=True)
        self._report.setPlaceholderText("Press Check-up to examine this machine.")
        layout = QVBoxLayout(self.content)
        layout.addWidget(self._device)
        layout.addWidget(row(self._bar, QLabel("of"), self._budget))
        layout.addWidget(self._models, 3)
        layout.addWidget(self._facts)
        layout.addWidget(self._weights)
        buttons = QHBoxLayout()
        for button in (self._load, self._unload, self._check):
            buttons.addWidget(button)
        layout.addLayout(buttons)
        layout.addWidget(self._report, 1)

    def _connect(self) -> None:
        self._models.chosen.connect(self._describe)
        self._weights.changed.connect(self._on_weights)
        self._load.clicked.connect(self._on_load)
        self._unload.clicked.connect(self._on_unload)
        self._check.clicked.connect(self._on_check)
        self._budget.valueChanged.connect(self._on_budget)
        self.link(self.manager.changed, self._on_residents)
        self.link(self.session.weights_changed, self._refresh)

    # -- what the user does ------------------------------------------------------------------

    def _on_load(self) -> None:
        self.session.jobs.submit(
            partial(_load, self.manager, self.card),
            lane="batch",
            key="load",
            title=f"Loading {self.card.title}",
        )

    def _on_unload(self) -> None:
        self.session.jobs.submit(
            partial(_unload, self.manager, self.card.id),
            lane="batch",
            title=f"Unloading {self.card.title}",
        )

    def _on_check(self) -> None:
        self._report.setPlainText("Examining ...")
        allow(self._check, BUSY)
        self.session.jobs.submit(
            partial(_examine, self.manager),
            lane="batch",
            key="doctor",
            title="The check-up",
            on_done=self._on_examined,
            on_error=self._on_examine_failed,
        )

    def _on_budget(self, mib: int) -> None:
        self.manager.budget_mib = float(mib)

    # -- what is shown -----------------------------------------------------------------------

    def _on_prepared(self, _: object) -> None:
        with signals_blocked(self._budget):
            self._budget.setValue(int(self.manager.budget_mib))
        allow(self._budget)
        self._refresh()

    def _on_residents(self) -> None:
        # Comes from whichever thread loaded or unloaded.
        self.session.jobs.call(self._refresh)

    def _refresh(self) -> None:
        if self.manager.prepared:
            self._device.setText(f"Device: <b>{self.manager.device}</b>")
            self._bar.setMaximum(max(1, int(self.manager.budget_mib)))
            self._bar.setValue(min(int(self.manager.used_mib), self._bar.maximum()))
            self._bar.setFormat(f"{self.manager.used_mib:.0f} MiB")
        self._models.set_cards(registry.all_cards())
        self._models.refresh(self.manager.loaded())
        self._describe()

    def _on_weights(self) -> None:
        self.session.weights_changed.emit()

    def _describe(self, *_: object) -> None:
        card = self.card
        lines = [f"<b>{card.title}</b> ({card.id}). {card.description}"]
        lines.append(f"Licence: {card.licence or 'not stated'}. {card.citation}")
        lines += filter(None, [card.robustness_text])
        if card.approx_bytes is not None:
            lines.append(f"Weights: {size_of(card)} from {source_of(card)}.")
        if card.missing:
            lines.append(f"<b>Not installed:</b> pip install '{card.missing}'")
        if card.terms is not None:
            lines.append(f"<b>Terms:</b> {card.terms.text}")
        lines += [
            f"<b>Missing:</b> {spec.filename}{size_text(spec)}. Install it, or get it from "
            f"{spec.source} and import it or put it at {weights.expected_path(spec)}."
            for spec in weights.locate(card).missing
        ]
        self._facts.setText("<br>".join(lines))
        self._weights.show_card(card)

    def _on_examined(self, findings: list[Diagnosis]) -> None:
        allow(self._check)
        lines = []
        for item in briefly(findings):
            lines.append(f"{_MARKS[item.state]}{item.name}: {item.value}")
            if item.advice:
                then = "" if item.remedy is None else f" {WAYS[item.remedy]}"
                lines.append(f"    {item.advice}{then}")
        self._report.setPlainText("\n".join(lines))
        self._report.moveCursor(QTextCursor.MoveOperation.Start)

    def _on_examine_failed(self, text: str) -> None:
        allow(self._check)
        self._report.setPlainText(text)


def _prepare(manager: ModelManager, task: Task) -> None:
    task.step(0, 1, "Finding the device")
    manager.prepare()


def _load(manager: ModelManager, card: ModelCard, task: Task) -> None:
    manager.load(card, task)


def _unload(manager: ModelManager, card_id: str, task: Task) -> None:
    task.step(0, 1, "Unloading")
    manager.unload(card_id)


def _examine(manager: ModelManager, task: Task) -> list[Diagnosis]:
    return examine(manager, task=task)
