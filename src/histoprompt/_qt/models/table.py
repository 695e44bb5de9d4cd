"""The list of models: what each is for, whether its weights are there, whether it is in memory."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from histoprompt._qt.widgets.base import row
from histoprompt.core.prompts.prompt import PromptKind
from histoprompt.models.card import ModelCard, Role
from histoprompt.models.memory.loaded_models import LoadedModel
from histoprompt.models.weights import locate
from histoprompt.models.weights.describe import state_of

COLUMNS = ("Model", "Weights", "Memory")
ROLES: dict[Role, str] = {
    "prompt": "Prompts to masks",
    "cells": "All nuclei",
    "text": "Image and text",
    "encoder": "Tile features",
    "sentence": "Phrases",
}


_TAKES: dict[PromptKind, str] = {
    "point": "clicks points",
    "scribble": "scribbles strokes",
    "box": "boxes rectangles",
}


class ModelTable(QWidget):
    """Models in a table that can be narrowed down by what they are for, and by words.

    Attributes
    ----------
    chosen : Signal
        Another row was selected: read `card`.
    """

    chosen = Signal()

    def __init__(self, cards: Sequence[ModelCard]) -> None:
        super().__init__()
        self._cards = list(cards)
        self._role, self._words = QComboBox(), QLineEdit()
        self._role.setToolTip("Show only models for this")
        self._words.setPlaceholderText("Find a model")
        self._words.setClearButtonEnabled(True)
        self._fill_roles()
        self.table = self._make_table()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(row(self._words, self._role))
        layout.addWidget(self.table)
        self._role.currentIndexChanged.connect(self._narrow)
        self._words.textChanged.connect(self._narrow)
        self.table.currentCellChanged.connect(self._on_cell)

    @property
    def card(self) -> ModelCard:
        """The model whose row is selected."""
        return self._cards[min(max(0, self.table.currentRow()), len(self._cards) - 1)]

    def set_cards(self, cards: Sequence[ModelCard]) -> None:
        """Show these models; the selected one stays selected if it is still there."""
        if list(cards) == self._cards:
            return
        kept = self.card.id
        self._cards = list(cards)
        ids = [card.id for card in self._cards]
        with signals_blocked(self.table):
            self.table.setRowCount(len(ids))
            self.table.setCurrentCell(ids.index(kept) if kept in ids else 0, 0)

    def refresh(self, loaded: Sequence[LoadedModel]) -> None:
        """Show anew where the weights are and what is in memory."""
        mib = {model.card_id: f"{model.mib:.0f} MiB" for model in loaded}
        for i, card in enumerate(self._cards):
            # what is to be typed stands in the tooltip and below: here it would be cut off
            state = "not installed" if card.missing else state_of(card)
            texts = (card.title, state, mib.get(card.id, ""))
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                about = state_of(card) if column == 1 else ROLES[card.role]
                item.setToolTip(f"{card.title} ({card.id}): {about}")
                self.table.setItem(i, column, item)
        self._narrow()

    # -- building ----------------------------------------------------------------------------

    def _fill_roles(self) -> None:
        self._role.addItem("All models", None)
        used = {card.role for card in self._cards}
        for role, title in ROLES.items():
            if role in used:
                self._role.addItem(title, role)
        self._role.addItem("Ready to use", "ready")

    def _make_table(self) -> QTableWidget:
        table = QTableWidget(len(self._cards), len(COLUMNS))
        table.setHorizontalHeaderLabels(COLUMNS)
        table.verticalHeader().setVisible(False)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header = table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        table.setMinimumHeight(180)
        table.setWordWrap(False)
        table.setCurrentCell(0, 0)
        return table

    # -- what happens ------------------------------------------------------------------------

    def _narrow(self, *_: object) -> None:
        shown = [self._fits(card) for card in self._cards]
        for i, fits in enumerate(shown):
            self.table.setRowHidden(i, not fits)
        if any(shown) and not shown[max(0, self.table.currentRow())]:
            # What is described and acted on below must be in sight.
            self.table.setCurrentCell(shown.index(True), 0)

    def _fits(self, card: ModelCard) -> bool:
        words, wanted = self._words.text().lower().split(), self._role.currentData()
        text = f"{card.id} {card.title} {card.licence} {card.description} {_uses(card)}".lower()
        fits = wanted in {None, card.role} or (wanted == "ready" and locate(card).present)
        return fits and all(word in text for word in words)

    def _on_cell(self, *_: object) -> None:
        self.chosen.emit()


def _uses(card: ModelCard) -> str:
    """What a model is for and what it takes, in the words people look for."""
    return " ".join((ROLES[card.role], *card.words, *(_TAKES[kind] for kind in card.accepts)))
