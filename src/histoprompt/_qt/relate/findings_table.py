"""All findings as a table: those that do not survive are grey, with the reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem

from histoprompt.pipelines.relate.findings import Finding
from histoprompt.pipelines.relate.report import effect_told, small

_EFFECT = "Effect (95 %), patients"
_HEAD = ("Feature", "Column", _EFFECT, "q", "Site left out: p", "Why")
_GREY = QBrush(QColor(140, 140, 140))
_MOST = 500
# Where a dock is narrow, the effect is in sight: names end with an ellipsis before it does.
_WIDEST = {"Feature": 110, "Column": 75}
_ROWS = 7


class FindingsTable(QTableWidget):
    """A row per test, the best first."""

    def __init__(self) -> None:
        super().__init__(0, len(_HEAD))
        self.setHorizontalHeaderLabels(list(_HEAD))
        self.verticalHeader().setVisible(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setWordWrap(False)
        self.horizontalHeader().setStretchLastSection(True)
        self.setMinimumHeight(
            self.horizontalHeader().sizeHint().height()
            + _ROWS * self.verticalHeader().defaultSectionSize()
        )

    def show_findings(self, found: Sequence[Finding]) -> None:
        """Show these; rows beyond the first 500 are in the file only."""
        self.setRowCount(min(len(found), _MOST))
        for row, one in enumerate(found[:_MOST]):
            tested = one.tested
            texts = (tested.feature, tested.column, _short(one), small(one.q),
                     small(one.p_left_out), one.why)  # fmt: skip
            tips = {_HEAD.index(_EFFECT): effect_told(one)}
            for place, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(tips.get(place, text))
                if not one.survives:
                    item.setForeground(_GREY)
                self.setItem(row, place, item)
        for place, head in enumerate(_HEAD[:-1]):
            self.resizeColumnToContents(place)
            widest = _WIDEST.get(head, self.columnWidth(place))
            self.setColumnWidth(place, min(self.columnWidth(place), widest))
        if found:
            self.selectRow(0)

    def chosen(self) -> int:
        """The row that is chosen; -1 if none is."""
        rows = self.selectionModel().selectedRows()
        return int(rows[0].row()) if rows else -1

    def is_grey(self, row: int) -> bool:
        """Whether a row is greyed out."""
        return bool(self.item(row, 0).foreground() == _GREY)

    def text(self, row: int, column: int) -> str:
        """The text of a cell."""
        return str(self.item(row, column).data(Qt.ItemDataRole.DisplayRole))


def _short(one: Finding) -> str:
    """The effect with interval and patients; on which scale is told of the chosen row, below."""
    t = one.tested
    if not np.isfinite(t.effect):
        return f"none, {t.n:,}"
    return f"{t.effect:.2f} ({t.low:.2f} to {t.high:.2f}), {t.n:,}"
