"""The counts of a slide that are kept, as a list: a double click opens one again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QTableWidgetItem, QVBoxLayout, QWidget
from superqt import QCollapsible

from histoprompt._qt.widgets.compact_table import ShortTable
from histoprompt.pipelines.count.listed import ListedCount

_HEADS = ("Where", "Cells", "Classes", "Model", "Made")
_LONG = ("Where", "Classes", "Model")
_MODEL = _HEADS.index("Model")


class KeptList(QWidget):
    """Region, cells, classes, model and date of each count of the slide.

    Attributes
    ----------
    opened : Signal(ListedCount)
        One shall be shown again.
    """

    opened = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.counts: tuple[ListedCount, ...] = ()
        self.table = ShortTable(_HEADS, wide=[_HEADS.index(head) for head in _LONG])
        self.table.setSelectionBehavior(ShortTable.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(ShortTable.SelectionMode.SingleSelection)
        self.open = QPushButton("Open this count")
        self.holder, content = QCollapsible("Counts of this slide"), QWidget()
        inner = QVBoxLayout(content)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(self.table)
        inner.addWidget(self.open)
        self.holder.setContent(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.holder)
        self.open.clicked.connect(self._on_open)
        self.table.doubleClicked.connect(self._on_open)
        self.show_counts(())

    def show_counts(self, counts: Sequence[ListedCount]) -> None:
        """Show these, the newest first."""
        self.counts = tuple(counts)
        self.setVisible(bool(counts))
        self.holder.setText(f"Counts of this slide ({len(counts)})")
        self.table.setRowCount(len(counts))
        self.table.setColumnHidden(_MODEL, len({c.stored.segmenter for c in counts}) < 2)
        now = datetime.now()
        for row, one in enumerate(counts):
            when = datetime.fromtimestamp(one.stored.made)
            made = f"{when:%d %b %H:%M}" if when.year == now.year else f"{when:%Y-%m-%d}"
            audit = ", audited" if one.audited else ""
            classes = ", ".join(one.classes) + audit
            texts = (one.where, f"{one.cells:,}", classes, one.stored.segmenter, made)
            tips = (*texts[:-1], f"{when:%Y-%m-%d %H:%M}, by {one.stored.segmenter}")
            for column, (text, tip) in enumerate(zip(texts, tips, strict=True)):
                item = QTableWidgetItem(text)
                item.setToolTip(tip)
                self.table.setItem(row, column, item)
        self.table.fit()

    def _on_open(self) -> None:
        row = max(0, self.table.currentRow())
        if row < len(self.counts):
            self.opened.emit(self.counts[row])
