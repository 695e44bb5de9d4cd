"""A small table to read, such as counts by class."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from histoprompt.core.labels.classes import Colour

_MOST_ROWS = 8


class ShortTable(QTableWidget):
    """Rows that cannot be edited; some columns share what room is left, and no column is cut.

    Parameters
    ----------
    heads : sequence of str
    wide : int, or several
        Columns that take what room is left; a text that is longer ends with an ellipsis.
    """

    def __init__(self, heads: Sequence[str], wide: int | Sequence[int] = 0) -> None:
        super().__init__(0, len(heads))
        self.setWordWrap(False)
        self.setHorizontalHeaderLabels(list(heads))
        self.verticalHeader().setVisible(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        for column in [wide] if isinstance(wide, int) else wide:
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)

    def fit(self) -> None:
        """Make it no taller than its rows, as many as fit beside the rest of a dock."""
        each = self.verticalHeader().defaultSectionSize()
        head = self.horizontalHeader().sizeHint().height()
        self.setFixedHeight(head + each * min(max(self.rowCount(), 1), _MOST_ROWS) + 4)


def class_item(name: str, colour: Colour | None) -> QTableWidgetItem:
    """A class beside its colour, if it has one."""
    item = QTableWidgetItem(name)
    if colour is not None:
        item.setData(Qt.ItemDataRole.DecorationRole, QColor(*colour))
    return item
