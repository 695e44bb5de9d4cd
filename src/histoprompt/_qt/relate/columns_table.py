"""The columns of a project to choose from, with the kinds they were recognised as."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QHeaderView, QTableWidget, QTableWidgetItem

from histoprompt.pipelines.relate.columns import KINDS
from histoprompt.pipelines.relate.offer import Offered

_KINDS = [k for k in KINDS if k not in ("survival", "text")]
_ROWS = 6


class ColumnsTable(QTableWidget):
    """A row per column: a tick to relate to it, its kind to be corrected, its values.

    Attributes
    ----------
    changed : Signal
        A person ticked a column, or corrected a kind.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__(0, 3)
        self.setHorizontalHeaderLabels(["Relate to", "Kind", "Values"])
        self.verticalHeader().setVisible(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.horizontalHeader().setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        self.setWordWrap(False)
        self.setMinimumHeight(
            self.horizontalHeader().sizeHint().height()
            + _ROWS * self.verticalHeader().defaultSectionSize()
        )
        self._recognised: dict[str, str] = {}
        self.itemChanged.connect(self._on_changed)

    def show_columns(self, columns: Sequence[Offered], ticked: Sequence[str] = ()) -> None:
        """Show other columns; those that nothing can be related to are grey, with the reason."""
        self.blockSignals(True)
        self.setRowCount(len(columns))
        self._recognised = {c.name: c.kind for c in columns}
        for row, column in enumerate(columns):
            usable = bool(column.kind)
            name = QTableWidgetItem(column.name)
            flags = Qt.ItemFlag.ItemIsUserCheckable
            name.setFlags(flags | Qt.ItemFlag.ItemIsEnabled if usable else flags)
            on = usable and column.name in ticked
            name.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
            told = QTableWidgetItem(column.told)
            told.setToolTip(column.told)
            told.setFlags(Qt.ItemFlag.ItemIsEnabled if usable else Qt.ItemFlag.NoItemFlags)
            self.setItem(row, 0, name)
            self.setItem(row, 2, told)
            self._set_kind(row, column)
        self.blockSignals(False)
        self.resizeColumnToContents(0)
        self.resizeColumnToContents(1)

    def ticked(self) -> tuple[str, ...]:
        """The names of the columns that are ticked."""
        items = (self.item(row, 0) for row in range(self.rowCount()))
        return tuple(i.text() for i in items if i.checkState() == Qt.CheckState.Checked)

    def tick(self, names: Sequence[str]) -> None:
        """Tick these and no others."""
        for row in range(self.rowCount()):
            item = self.item(row, 0)
            if item.flags() & Qt.ItemFlag.ItemIsEnabled:
                on = item.text() in names
                item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)

    def corrected(self) -> tuple[str, ...]:
        """Kinds that a person corrected, as ``name=kind``."""
        found = []
        for row in range(self.rowCount()):
            kind, name = self.cellWidget(row, 1), self.item(row, 0).text()
            if isinstance(kind, QComboBox) and kind.currentText() != self._recognised[name]:
                found.append(f"{name}={kind.currentText()}")
        return tuple(found)

    def _set_kind(self, row: int, column: Offered) -> None:
        if column.kind not in _KINDS:
            self.removeCellWidget(row, 1)
            shown = QTableWidgetItem(column.kind or "none")
            shown.setFlags(Qt.ItemFlag.ItemIsEnabled if column.kind else Qt.ItemFlag.NoItemFlags)
            self.setItem(row, 1, shown)
            return
        kinds = QComboBox(toolTip="As recognised; choose another if it is wrong")
        kinds.addItems(_KINDS)
        kinds.setCurrentText(column.kind)
        kinds.currentTextChanged.connect(self._on_changed)
        self.setCellWidget(row, 1, kinds)

    def _on_changed(self, *_: object) -> None:
        self.changed.emit()
