"""The list of objects for Qt's views: asks the roster for the rows in sight, copies nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QItemSelection, QModelIndex, Qt
from qtpy.QtGui import QColor

from histoprompt.annotations.class_list import ObjectClass
from histoprompt.annotations.planes import Plane
from histoprompt.annotations.roster import COLUMNS, Chosen, Roster

_ROLE = Qt.ItemDataRole
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class RosterModel(QAbstractTableModel):
    """Objects as rows: those that match a text, sorted by any column."""

    def __init__(self) -> None:
        super().__init__()
        self._roster: Roster | None = None
        self._rows: NDArray[np.intp] = np.zeros(0, np.intp)
        self._sorted = (COLUMNS.index("id"), Qt.SortOrder.AscendingOrder)
        self._wanted: tuple[str, Plane | None] = ("", None)
        self._colours: Mapping[str, QColor] = {}

    @property
    def roster(self) -> Roster | None:
        """What the rows are taken from."""
        return self._roster

    def show_roster(self, roster: Roster | None, classes: Sequence[ObjectClass]) -> None:
        """List other objects, in the colours of their classes."""
        self.beginResetModel()
        self._roster = roster
        self._colours = {item.name: QColor(*item.colour) for item in classes}
        self._arrange()
        self.endResetModel()

    def want(self, text: str, plane: Plane | None) -> None:
        """List those that match, of one plane or of both."""
        self.beginResetModel()
        self._wanted = (text, plane)
        self._arrange()
        self.endResetModel()

    def row_at(self, index: QModelIndex) -> int:
        """The row of the roster behind a row of the view."""
        return int(self._rows[index.row()])

    def chosen(self, indices: Sequence[QModelIndex]) -> Chosen:
        """The ids of rows of the view, by plane."""
        assert self._roster is not None or not indices
        rows = sorted(self.row_at(index) for index in indices)
        return {} if self._roster is None else self._roster.chosen(rows)

    def selection_of(self, chosen: Chosen) -> QItemSelection:
        """The rows of the view that show some objects, runs of them as one range."""
        selection = QItemSelection()
        if self._roster is None:
            return selection
        shown = np.flatnonzero(np.isin(self._rows, self._roster.rows_of(chosen)))
        last = len(COLUMNS) - 1
        for run in np.split(shown, np.flatnonzero(np.diff(shown) > 1) + 1):
            if len(run):
                selection.select(self.index(int(run[0]), 0), self.index(int(run[-1]), last))
        return selection

    # -- what Qt asks ------------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: N802, B008
        """Objects."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: N802, B008
        """Columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def data(self, index: QModelIndex, role: int = _ROLE.DisplayRole) -> Any:
        """Text, and the colour of a class."""
        column = COLUMNS[index.column()]
        if role == _ROLE.TextAlignmentRole and column in ("id", "area"):
            return _RIGHT
        if self._roster is None or role not in (_ROLE.DisplayRole, _ROLE.DecorationRole):
            return None
        row = self.row_at(index)
        if role == _ROLE.DecorationRole:
            return self._colours.get(self._roster.class_of(row)) if column == "class" else None
        return self._roster.text(row, column) or ("none" if column == "class" else "")

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = _ROLE.DisplayRole
    ) -> Any:
        """Names of columns."""
        if role != _ROLE.DisplayRole or orientation != Qt.Orientation.Horizontal:
            return None
        unit = "" if self._roster is None else self._roster.unit
        name = COLUMNS[section]
        return {"area": f"area {unit}".strip(), "plane": "kind"}.get(name, name)

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column."""
        self.layoutAboutToBeChanged.emit()
        self._sorted = (column, order)
        self._arrange()
        self.layoutChanged.emit()

    def _arrange(self) -> None:
        if self._roster is None:
            self._rows = np.zeros(0, np.intp)
            return
        column, order = self._sorted
        falling = order == Qt.SortOrder.DescendingOrder
        found = self._roster.matching(*self._wanted)
        self._rows = self._roster.order(COLUMNS[column], found, falling)
