"""The Cells dock: a table of all counted cells, and how their features are spread."""

from __future__ import annotations

from qtpy.QtCore import QModelIndex, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSplitter,
    QTableView,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from histoprompt._qt.count.cell_model import CellTableModel
from histoprompt._qt.count.controller import Counting
from histoprompt._qt.count.lying import LyingPanel
from histoprompt._qt.count.neighbour_columns import NeighbourColumns
from histoprompt._qt.widgets.base import Dock
from histoprompt._qt.widgets.charts import Histogram, Scatter
from histoprompt._qt.widgets.panels import narrow_combo
from histoprompt._qt.widgets.work_strip import NoteLabel
from histoprompt.core.cell_table import CellTable

TABLE = "table"
# Enough for a handful of rows, also where the dock lies low under the slide.
_HEIGHT, _ROW = 150, 22
# From this width on the charts stand beside the table, pixels.
_WIDE = 700
_HINT = "Count some cells in the Count dock; they are listed here."


class CellsDock(Dock):
    """Click a row to fly to the cell; click a cell to see its row."""

    def _build(self) -> None:
        self.counting = self.session.part(Counting)
        self.model, self.table = CellTableModel(), QTableView()
        self.table.setModel(self.model)
        self.table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.table.setSortingEnabled(True)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.verticalHeader().setVisible(False)
        self.table.verticalHeader().setDefaultSectionSize(_ROW)
        self.table.setMinimumHeight(_HEIGHT)
        # columns are as wide as the rows in view want them: all rows would take a second
        self.table.horizontalHeader().setResizeContentsPrecision(0)
        self.histogram, self.scatter = Histogram(), Scatter()
        self._x, self._y = narrow_combo(8), narrow_combo(8)
        self._hint = NoteLabel(_HINT)
        self._near = NeighbourColumns(self.session)
        self.lying = LyingPanel(self.session)
        self._neighbours = QCheckBox(
            "Columns of neighbours",
            toolTip="Add columns: cells of each class near each cell, and how far the nearest is",
        )
        charts = QWidget()
        columns = QHBoxLayout(charts)
        columns.setContentsMargins(0, 0, 0, 0)
        columns.addLayout(_titled("Histogram of", self._x, self.histogram))
        columns.addLayout(_titled("Against", self._y, self.scatter))
        self._split = split = QSplitter()
        split.addWidget(self.table)
        split.addWidget(charts)
        split.setSizes([500, 500])
        layout = QVBoxLayout(self.content)
        layout.addWidget(self._hint)
        layout.addWidget(split, 1)
        layout.addWidget(self._neighbours)
        layout.addWidget(self.lying)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Table and charts side by side in a wide dock, one below the other in a narrow one."""
        super().resizeEvent(event)
        across = self.width() >= _WIDE
        self._split.setOrientation(Qt.Orientation.Horizontal if across else Qt.Orientation.Vertical)

    def _connect(self) -> None:
        counting = self.counting
        selection = self.table.selectionModel()
        selection.currentRowChanged.connect(self._on_row)
        self._x.currentIndexChanged.connect(self._draw)
        self._y.currentIndexChanged.connect(self._draw)
        self._neighbours.toggled.connect(self._on_counted)
        self.lying.changed.connect(self._on_radius)
        self.link(self.lying.work.status, self.lying.say)
        self.link(self.lying.work.progress, self.lying.strip.show_progress)
        self.link(self._near.made, self._on_neighbours)
        self.link(self._near.failed, self._on_no_neighbours)
        self.link(counting.counted, self._on_counted)
        self.link(counting.classes.classified, self._on_classified)
        self.link(counting.chosen, self._on_chosen)

    def _start(self) -> None:
        self._on_counted()

    def _on_counted(self, *_: object) -> None:
        self._on_classified()
        self._offer_columns()

    def _offer_columns(self) -> None:
        kept = self._x.currentText(), self._y.currentText()
        with signals_blocked(self._x), signals_blocked(self._y):
            for combo, before, wanted in zip(
                (self._x, self._y), kept, ("area_um2", "haematoxylin_mean"), strict=True
            ):
                combo.clear()
                combo.addItems([c for c in self.model.columns if c not in ("id", "class")])
                combo.setCurrentText(wanted)
                if before and combo.findText(before) >= 0:
                    combo.setCurrentText(before)
        self._draw()
        self.table.resizeColumnsToContents()

    def _on_classified(self) -> None:
        cells = self.counting.cells
        self._show(cells)
        self._hint.setText(_HINT)
        self._hint.setVisible(cells is None)
        if self._neighbours.isChecked():
            self._near.ask(cells, self.lying.radius)

    def _on_radius(self) -> None:
        """Neighbours within another radius are other columns."""
        if self._neighbours.isChecked():
            self._on_counted()

    def _on_neighbours(self, cells: CellTable) -> None:
        if self._neighbours.isChecked():
            self._show(cells)
            self._offer_columns()

    def _on_no_neighbours(self, why: str) -> None:
        self._hint.setText(why)
        self._hint.setVisible(True)

    def _show(self, cells: CellTable | None) -> None:
        with signals_blocked(self.table.selectionModel()):
            self.model.show_cells(cells)
        self.table.resizeColumnToContents(self.model.columns.index("class"))
        self._on_chosen(self.counting.cell)
        self._draw()

    def _on_row(self, current: QModelIndex, _: QModelIndex) -> None:
        if current.isValid():
            self.counting.choose(self.model.id_at(current.row()), TABLE)

    def _on_chosen(self, cell: int, source: object = None) -> None:
        row = self.model.row_of(cell)
        if source == TABLE or row < 0:
            return
        with signals_blocked(self.table.selectionModel()):
            self.table.selectRow(row)
        self.table.scrollTo(self.model.index(row, 0))
        self.table.viewport().update()

    def _draw(self) -> None:
        cells, x, y = self.counting.cells, self._x.currentText(), self._y.currentText()
        if cells is None or not {x, y} <= set(self.model.columns):
            return
        self.histogram.show_values(x, self.model.values(x), cells.code, self.model.rgb)
        self.scatter.show_values((x, y), self.model.pairs(x, y), cells.code, self.model.rgb)


def _titled(text: str, combo: QComboBox, chart: QWidget) -> QVBoxLayout:
    column, head = QVBoxLayout(), QHBoxLayout()
    head.addWidget(QLabel(text))
    head.addWidget(combo, 1)
    column.addLayout(head)
    column.addWidget(chart, 1)
    return column
