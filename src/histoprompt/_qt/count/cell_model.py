"""A table of cells for Qt's views: reads the columns, copies nothing."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtGui import QColor

from histoprompt.core.cell_schema import CLASS, SHOWN, column_of
from histoprompt.core.cell_table import CellTable
from histoprompt.core.labels.classes import colours_of

_FIRST = {column.name: column for column in SHOWN}
_ROLE = Qt.ItemDataRole


class CellTableModel(QAbstractTableModel):
    """Cells as rows, sorted by any column."""

    def __init__(self) -> None:
        super().__init__()
        self._cells: CellTable | None = None
        self._order: NDArray[np.intp] = np.zeros(0, np.intp)
        self._place: NDArray[np.intp] = np.zeros(0, np.intp)
        self._sorted = (0, Qt.SortOrder.AscendingOrder)
        self._colours: dict[str, QColor] = {}

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Their names."""
        if self._cells is None:
            return tuple(_FIRST)
        # The channels of an encoder, name_0, name_1 ..., say nothing to a person.
        named = (n for n in self._cells.feature_names if not n.rpartition("_")[2].isdigit())
        return (*_FIRST, *named)

    def show_cells(self, cells: CellTable | None) -> None:
        """Show other cells, or the same with other classes."""
        self.beginResetModel()
        self._cells = cells
        self.__dict__.pop("columns", None)
        colours = colours_of(cells) if cells is not None else {}
        self._colours = {name: QColor(*rgb) for name, rgb in colours.items()}
        self._arrange()
        self.endResetModel()

    def values(self, column: str) -> NDArray[Any]:
        """The column of this name, in the order of ids; classes as codes."""
        cells = self._cells
        if cells is None:
            return np.zeros(0)
        if column in _FIRST:
            return np.asarray(getattr(cells, _FIRST[column].attribute))
        return cells.features[:, cells.feature_names.index(column)]

    @property
    def rgb(self) -> NDArray[np.uint8]:
        """The colour of each class, (classes, 3), in the order of its codes."""
        cells = self._cells
        if cells is None:
            return np.zeros((0, 3), np.uint8)
        colours = colours_of(cells)
        return np.array([colours[name] for name in cells.classes], np.uint8)

    def pairs(self, x: str, y: str) -> NDArray[Any]:
        """Two columns side by side, (n, 2)."""
        return np.stack([self.values(x), self.values(y)], axis=1)

    def id_at(self, row: int) -> int:
        """The cell in a row of the view."""
        assert self._cells is not None
        return int(self._cells.id[self._order[row]])

    def row_of(self, cell: int) -> int:
        """The row of the view that shows a cell, -1 if none does."""
        if self._cells is None:
            return -1
        rows = np.flatnonzero(self._cells.id == cell)
        return int(self._place[rows[0]]) if len(rows) else -1

    # -- what Qt asks ------------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: N802, B008
        """Cells."""
        return 0 if parent.isValid() or self._cells is None else len(self._cells)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: N802, B008
        """Columns."""
        return 0 if parent.isValid() else len(self.columns)

    def data(self, index: QModelIndex, role: int = _ROLE.DisplayRole) -> Any:
        """Text, and the colour of a class."""
        if self._cells is None or role not in (_ROLE.DisplayRole, _ROLE.DecorationRole):
            return None
        row, column = self._order[index.row()], self.columns[index.column()]
        if column == CLASS.name:
            name = self._cells.classes[self._cells.code[row]]
            return (name or "none") if role == _ROLE.DisplayRole else self._colours[name]
        if role == _ROLE.DecorationRole:
            return None
        return column_of(column).text(self.values(column)[row].item())

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = _ROLE.DisplayRole
    ) -> Any:
        """Names of columns, and what they say."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = column_of(self.columns[section])
        return {_ROLE.DisplayRole: column.header, _ROLE.ToolTipRole: column.says}.get(role)

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column."""
        self.layoutAboutToBeChanged.emit()
        self._sorted = (column, order)
        self._arrange()
        self.layoutChanged.emit()

    def _arrange(self) -> None:
        column, order = self._sorted
        column = min(column, len(self.columns) - 1)
        found = np.argsort(self.values(self.columns[column]), kind="stable")
        self._order = found if order == Qt.SortOrder.AscendingOrder else found[::-1]
        self._place = np.empty_like(self._order)
        self._place[self._order] = np.arange(len(self._order))
