"""What can be done with regions: keep, export, count cells in them, name the cells."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from histoprompt._qt.widgets.base import row
from histoprompt._qt.widgets.panels import narrow_combo
from histoprompt.models import registry
from histoprompt.models.card import ModelCard
from histoprompt.pipelines.score_chain import RegionCounts

DEFAULT_SEGMENTER = "histoprompt-cells"
_HEADS = ("Region", "Kind", "Cells", "per mm²")
_TABLE_HEIGHT = 130


class HandOnPanel(QWidget):
    """Buttons for the regions of the text that is shown, and the counts in them.

    Attributes
    ----------
    committing, counting : Signal
    exporting : Signal(object)
        The folder, a Path.
    naming : Signal(object)
        Words to tell the counted cells apart, a tuple of str.
    """

    committing, counting = Signal(), Signal()
    exporting, naming = Signal(object), Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._cards = [card for card in registry.all_cards() if card.role == "cells"]
        self._commit = QPushButton("Commit regions")
        self._commit.setToolTip("Keep them as objects whose class is the text")
        self._export = QPushButton("Export ...")
        self._export.setToolTip("regions.geojson, heat maps, tiles.csv and counts, into a folder")
        self._count = QPushButton("Count cells in these regions")
        self._segmenter = narrow_combo()
        self._segmenter.addItems([card.title for card in self._cards])
        self.choose(DEFAULT_SEGMENTER)
        self._words = QLineEdit(placeholderText="words, such as tumour, lymphocyte")
        self._name = QPushButton("Name cells", toolTip="Give each counted cell the word that fits")
        self._table = self._make_table()
        self._lay_out()
        self._connect()
        self.show_counts(None)

    @property
    def segmenter(self) -> ModelCard:
        """The model that finds cells."""
        return self._cards[self._segmenter.currentIndex()]

    def choose(self, model_id: str) -> None:
        """Choose the model that finds cells."""
        self._segmenter.setCurrentIndex([card.id for card in self._cards].index(model_id))

    def show_counts(self, counts: RegionCounts | None) -> None:
        """Show the cells of each region by class."""
        rows = [] if counts is None else counts.table()
        self._table.setRowCount(len(rows))
        for i, (region, name, count, density) in enumerate(rows):
            for j, text in enumerate((region, name or "all", f"{count:,}", f"{density:,.0f}")):
                self._table.setItem(i, j, QTableWidgetItem(text))
        self._table.setVisible(counts is not None)
        self._words.setEnabled(counts is not None)
        self._name.setEnabled(counts is not None)

    def set_ready(self, ready: bool) -> None:
        """Whether there are regions."""
        for button in (self._commit, self._count):
            button.setEnabled(ready)

    def _make_table(self) -> QTableWidget:
        table = QTableWidget(0, len(_HEADS))
        table.setHorizontalHeaderLabels(_HEADS)
        table.verticalHeader().setVisible(False)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        table.setFixedHeight(_TABLE_HEIGHT)
        return table

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self._commit)
        buttons.addWidget(self._export)
        form = QFormLayout()
        form.addRow("Cells by", self._segmenter)
        form.addRow("Kinds", row(self._words, self._name))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        layout.addWidget(self._count)
        layout.addLayout(form)
        layout.addWidget(self._table)

    def _connect(self) -> None:
        self._commit.clicked.connect(self.committing)
        self._count.clicked.connect(self.counting)
        self._export.clicked.connect(self._on_export)
        self._name.clicked.connect(self._on_name)
        self._words.returnPressed.connect(self._on_name)

    def _on_export(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Write maps, regions and counts into")
        if name:
            self.exporting.emit(Path(name))

    def _on_name(self) -> None:
        words = [word.strip() for word in self._words.text().split(",")]
        self.naming.emit(tuple(word for word in words if word))
