"""Pages of the Count dock that stand on their own: the region, the counts, the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QPushButton,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from histoprompt._qt.count.kept_list import KeptList
from histoprompt._qt.widgets.allowing import BUSY, allow
from histoprompt._qt.widgets.area import AreaPanel
from histoprompt._qt.widgets.base import row
from histoprompt._qt.widgets.buttons import browse_button
from histoprompt._qt.widgets.compact_table import ShortTable, class_item
from histoprompt._qt.widgets.forms import ParameterForm
from histoprompt._qt.widgets.overwriting import may_write
from histoprompt._qt.widgets.work_strip import NoteLabel
from histoprompt.core.labels.classes import Colour
from histoprompt.core.strings.wording import capital
from histoprompt.models import registry
from histoprompt.models.card import ModelCard
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.count.tally import TallyRow

# What a person chooses of a count elsewhere: in the list of models, by the classes, in Models.
_ELSEWHERE = {"segmenter", "weights", "proposer", "classifier", "dab", "device"}


class RegionPanel(QWidget):
    """Where cells are counted, and what finds them.

    Attributes
    ----------
    area : AreaPanel
        Which part of the slide.
    kept : KeptList
        What was counted of it before.
    go : Signal
        Counting shall start.
    """

    go = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._cards: list[ModelCard] = []
        self.area = AreaPanel()
        self.area.setToolTip("Of a whole slide the tissue: glass, pen and blur are left out")
        self._segmenter, self._note = QComboBox(), NoteLabel()
        self.refill()
        self._segmenter.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._rows = ParameterForm(CountChoice(), skip=_ELSEWHERE)
        self._go = QPushButton("Count")
        self.area.form.addRow("Found by", self._segmenter)
        layout = QVBoxLayout(self)
        self.kept = KeptList()
        for widget in (self.area, self._note, self._rows, self._go, self.kept):
            layout.addWidget(widget)
        layout.addStretch(1)
        self._go.clicked.connect(self.go)
        self._segmenter.currentIndexChanged.connect(self._describe)

    def refill(self) -> None:
        """Offer the models there are now; the chosen one stays chosen if it is still there."""
        kept = self._cards[self._segmenter.currentIndex()].id if self._cards else ""
        self._cards = [c for c in registry.all_cards() if c.role in ("cells", "prompt")]
        self._cards.sort(key=lambda card: card.role != "cells")
        with signals_blocked(self._segmenter):
            self._segmenter.clear()
            self._segmenter.addItems([card.short_title for card in self._cards])
            ids = [card.id for card in self._cards]
            wanted = kept if kept in ids else CountChoice().segmenter
            self._segmenter.setCurrentIndex(self._index(wanted))
        self._describe()

    def value(self) -> CountChoice:
        """What the rows say."""
        card = self._cards[self._segmenter.currentIndex()]
        return replace(self._rows.value(), segmenter=card.id)

    def set_value(self, choice: CountChoice) -> None:
        """Show these values in the rows."""
        self._segmenter.setCurrentIndex(self._index(choice.segmenter))
        self._rows.set_value(choice)

    def set_busy(self, busy: bool) -> None:
        """Whether a count is running."""
        allow(self._go, BUSY if busy else "")

    def _index(self, model_id: str) -> int:
        return [card.id for card in self._cards].index(model_id)

    def _describe(self) -> None:
        card = self._cards[self._segmenter.currentIndex()]
        text = "Finds all nuclei."
        if card.role == "prompt":
            text = "Outlines the nuclei that histoprompt cells proposes; slower."
        if card.missing:
            text += f" <b>Not installed:</b> pip install '{card.missing}'"
        self._note.setText(text)


class CountsTable(QWidget):
    """Cells of each class, how many to the square millimetre, and of what."""

    def __init__(self) -> None:
        super().__init__()
        self._rows = ShortTable(["class", "cells", "share", "per mm²"])
        self._rows.setSelectionMode(ShortTable.SelectionMode.NoSelection)
        self._below = NoteLabel()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._rows)
        layout.addWidget(self._below)
        self.setVisible(False)

    def show_lines(
        self,
        lines: Sequence[TallyRow],
        denominator: str,
        *,
        partial: bool = False,
        legend: Mapping[str, str] = MappingProxyType({}),
        colours: Mapping[str, Colour] = MappingProxyType({}),
        by_hand: str = "",
    ) -> None:
        """Show counts, and in which colours what is left out is shown; nothing without lines.

        `colours` are those of the classes; `by_hand` says what a person corrected.
        """
        self.setVisible(bool(lines))
        self._rows.setRowCount(len(lines))
        for i, line in enumerate(lines):
            rgb = colours.get(line.name) if i else None
            self._rows.setItem(i, 0, class_item(line.name, rgb))
            texts = (f"{line.count:,}", _share(line.share), _density(line.per_mm2))
            for column, text in enumerate(texts, start=1):
                self._rows.setItem(i, column, QTableWidgetItem(text))
        self._rows.fit()
        if lines:
            word = "<b>Partial count.</b> " if partial else ""
            keys = (f'<font color="{colour}">■</font> {name}' for name, colour in legend.items())
            left = f"<br>Left out: {', '.join(keys)}" if legend else ""
            shares = " Shares are of all cells, unsure ones too." if len(lines) > 1 else ""
            hand = f"<b>{capital(by_hand)}.</b> " if by_hand else ""
            self._below.setText(
                f"{word}{hand}Per mm² of {denominator}: {lines[0].analysed_mm2:.4f} mm² analysed."
                f"{shares}{left}"
            )


class FilesPanel(QWidget):
    """Where the files of the count are written.

    Attributes
    ----------
    export : Signal(Path)
        They shall be written into this folder.
    """

    export = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.folder = QLineEdit(placeholderText="a folder")
        self._browse, self._go = browse_button("Choose a folder"), QPushButton("Write files")
        form = QFormLayout()
        form.addRow("Folder", row(self.folder, self._browse))
        text = (
            "Writes labels.tif, cells.csv, cells.parquet, "
            "counts.csv, cells.geojson (QuPath) and report.html, with the classes shown now; and "
            "audit.csv after an audit."
        )
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self._go)
        layout.addWidget(NoteLabel(text))
        layout.addStretch(1)
        self._go.clicked.connect(self._on_go)
        self._browse.clicked.connect(self._on_browse)

    def _on_go(self) -> None:
        folder = self.folder.text().strip()
        if not folder:
            self._on_browse()
            folder = self.folder.text().strip()
        if folder and may_write(self, Path(folder)):
            self.export.emit(Path(folder))

    def _on_browse(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Write the count into")
        if name:
            self.folder.setText(name)


def _share(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.1%}"


def _density(value: float) -> str:
    return "" if np.isnan(value) else f"{value:,.0f}"
