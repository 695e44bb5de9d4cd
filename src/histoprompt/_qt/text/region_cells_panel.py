"""Cells in scored regions: what finds and names them, the button for all of it, and the counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from histoprompt._qt.text.region_cells import CellsRequest
from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.compact_table import ShortTable, class_item
from histoprompt._qt.widgets.forms import ParameterForm
from histoprompt._qt.widgets.panels import narrow_combo
from histoprompt._qt.widgets.work_strip import NoteLabel
from histoprompt.core.cell_table import CellTable
from histoprompt.core.labels.classes import colours_of
from histoprompt.models import registry
from histoprompt.models.card import ModelCard
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.regions.cell_texts import CellTexts
from histoprompt.pipelines.regions.count import RegionCounts

DEFAULT_SEGMENTER = registry.DEFAULT_CELLS
_HEADS = ("Region", "Class", "Cells", "per mm²")


class RegionCellsPanel(QWidget):
    """One button from words to counts, its single steps, and what came of them.

    Attributes
    ----------
    chaining, counting, naming : Signal
        All of it; only count cells in the regions of the text that is shown; only name the cells.
    reviewing : Signal
        The counted cells shall be looked at and corrected.
    """

    chaining, counting, naming, reviewing = Signal(), Signal(), Signal(), Signal()

    def __init__(self) -> None:
        super().__init__()
        self._cards: list[ModelCard] = []
        self._segmenter = narrow_combo()
        self.refill()
        self._words = QLineEdit(placeholderText="words, such as tumour, lymphocyte")
        self._words.setToolTip("Words that tell the cells apart, with commas; none counts them all")
        self._how = ParameterForm(CellTexts())
        self._all = QPushButton("Find regions and count cells")
        self._all.setToolTip(
            "Look at the tiles, cut regions of all texts at their thresholds, count the cells in "
            "them and give each the class that fits"
        )
        self._count = QPushButton("Count only", toolTip="Cells in the regions of the text shown")
        self._name = QPushButton("Name only", toolTip="Give each counted cell the class that fits")
        self._table, self._note = ShortTable(_HEADS), NoteLabel()
        self._review = QPushButton("Review cells")
        self._review.setToolTip("In the Count dock: correct classes, answer A, R or U, write files")
        self._lay_out()
        self._connect()
        self.set_ready(False)
        self.show_counts(None)

    def value(self) -> CellsRequest:
        """What the rows say."""
        words = [word.strip() for word in self._words.text().split(",")]
        card = self._cards[self._segmenter.currentIndex()]
        texts = replace(self._how.value(), texts=tuple(word for word in words if word))
        return CellsRequest(CountChoice(segmenter=card.id), texts)

    def refill(self) -> None:
        """Offer the models there are now; the chosen one stays chosen if it is still there."""
        kept = self._cards[self._segmenter.currentIndex()].id if self._cards else ""
        self._cards = [card for card in registry.all_cards() if card.role == "cells"]
        self._segmenter.clear()
        self._segmenter.addItems([card.short_title for card in self._cards])
        there = kept in [card.id for card in self._cards]
        self.choose(kept if there else DEFAULT_SEGMENTER)

    def choose(self, model_id: str) -> None:
        """Choose the model that finds cells."""
        self._segmenter.setCurrentIndex([card.id for card in self._cards].index(model_id))

    def set_ready(self, ready: bool) -> None:
        """Whether there are regions to count in."""
        allow(self._count, "" if ready else "Find regions first: cells are counted in them.")

    def show_counts(self, counts: RegionCounts | None) -> None:
        """Show the cells of each region by class."""
        rows = [] if counts is None else counts.table()
        cells = CellTable.empty() if counts is None else counts.cells
        classes = () if counts is None else cells.classes
        colours, without = colours_of(cells), "all"
        if len(classes) > 1:
            without = "no class"
        said = [
            (
                region,
                class_item(name or without, colours[name]),
                f"{count:,}",
                "" if math.isnan(density) else f"{density:,.0f}",
            )
            for region, name, count, density in rows
        ]
        self._fill(said)
        for widget in (self._table, self._note, self._review):
            widget.setVisible(counts is not None)
        allow(self._name, "" if counts is not None else "Count cells in the regions first.")

    def _fill(self, rows: list[tuple[str, QTableWidgetItem, str, str]]) -> None:
        """Say what changed; a table that is laid out anew takes the time of a whole answer."""
        anew = len(rows) != self._table.rowCount()
        self._table.setRowCount(len(rows))
        for i, (region, name, count, density) in enumerate(rows):
            cells = (QTableWidgetItem(region), name, _number_item(count), _number_item(density))
            for column, cell in enumerate(cells):
                there = self._table.item(i, column)
                if there is None or any(there.data(r) != cell.data(r) for r in _SAID):
                    self._table.setItem(i, column, cell)
                    anew |= column < 2
        if anew:
            self._table.fit()

    def show_cuts(self, cuts: Mapping[str, float], outdated: Sequence[str]) -> None:
        """Show at which thresholds regions were cut, and which texts have others by now."""
        at = ", ".join(f"{text} {value:.2f}" for text, value in cuts.items())
        text = f"Regions cut at the threshold: {at}."
        if outdated:
            changed = ", ".join(outdated)
            text += (
                f" <b>Changed since for {changed}.</b> Press <i>{self._all.text()}</i> to count "
                "anew: tiles are not looked at again."
            )
        self._note.setText(text)

    # -- building ----------------------------------------------------------------------------

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Cells by", self._segmenter)
        form.addRow("Classes", self._words)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self._how)
        layout.addWidget(self._all)
        layout.addWidget(self._note)
        layout.addWidget(self._table)
        for widget in (self._review, self._steps()):
            layout.addWidget(widget)

    def _steps(self) -> QWidget:
        """The single steps, side by side."""
        holder = QWidget()
        layout = QHBoxLayout(holder)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._count)
        layout.addWidget(self._name)
        return holder

    def _connect(self) -> None:
        self._all.clicked.connect(self.chaining)
        self._count.clicked.connect(self.counting)
        self._name.clicked.connect(self.naming)
        self._review.clicked.connect(self.reviewing)


_SAID = (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.DecorationRole)


def _number_item(text: str) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return item
