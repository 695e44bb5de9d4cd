"""The columns of a project to choose from, with the kinds they were recognised as."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QInputDialog,
    QTableWidget,
    QTableWidgetItem,
)

from histoprompt.pipelines.relate.columns import KINDS
from histoprompt.pipelines.relate.offer import Offered
from histoprompt.pipelines.relate.texts import REPORTS, TEXT

_KINDS = [k for k in KINDS if k not in ("survival", TEXT)]
# Of a column of numbers: the time until what another column says.
_UNTIL = "time until "
_ORDER = "in an order..."
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
        self._levels: dict[str, tuple[str, ...]] = {}
        self.itemChanged.connect(self._on_changed)

    def show_columns(self, columns: Sequence[Offered], ticked: Sequence[str] = ()) -> None:
        """Show other columns; those that nothing can be related to are grey, with the reason."""
        self.blockSignals(True)
        self.setRowCount(len(columns))
        self._recognised = {c.name: c.kind for c in columns}
        self._levels = {c.name: c.levels for c in columns}
        events = [c.name for c in columns if c.kind == "binary"]
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
            self._set_kind(row, column, events)
        self.blockSignals(False)
        self.resizeColumnToContents(0)
        self.resizeColumnToContents(1)

    def ticked(self) -> tuple[str, ...]:
        """What is ticked: names of columns, ``TIME:EVENT`` where a person paired them."""
        found = []
        for row in range(self.rowCount()):
            item, kind = self.item(row, 0), self._chosen(row)
            if item.checkState() == Qt.CheckState.Checked:
                event = kind.removeprefix(_UNTIL) if kind.startswith(_UNTIL) else ""
                found.append(f"{item.text()}:{event}" if event else item.text())
        return tuple(found)

    def tick(self, names: Sequence[str]) -> None:
        """Tick these and no others; ``TIME:EVENT`` is a kind of the column of times."""
        pairs = {n.split(":")[0]: n.split(":")[1] for n in names if ":" in n}
        for row in range(self.rowCount()):
            item = self.item(row, 0)
            if not item.flags() & Qt.ItemFlag.ItemIsEnabled:
                continue
            on = item.text() in names or item.text() in pairs
            item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
            kinds = self.cellWidget(row, 1)
            if item.text() in pairs and isinstance(kinds, QComboBox):
                kinds.setCurrentText(_UNTIL + pairs[item.text()])

    def corrected(self) -> tuple[str, ...]:
        """Kinds that a person corrected, as ``name=kind``, and columns that are read as text."""
        found = []
        for row in range(self.rowCount()):
            item, kind = self.item(row, 0), self._chosen(row)
            read = kind == TEXT and item.text() != REPORTS
            read &= item.checkState() == Qt.CheckState.Checked
            other = isinstance(self.cellWidget(row, 1), QComboBox) and not kind.startswith(_UNTIL)
            if read or (other and kind != self._recognised[item.text()]):
                found.append(f"{item.text()}={kind}")
        return tuple(found)

    def put_in_order(self, row: int, order: str) -> None:
        """Take a column's words in an order of a person's own, ``low<middle<high``."""
        kinds = self.cellWidget(row, 1)
        if isinstance(kinds, QComboBox):
            if kinds.findText(order) < 0:
                kinds.insertItem(0, order)
            kinds.setCurrentText(order)

    def _chosen(self, row: int) -> str:
        kinds = self.cellWidget(row, 1)
        if isinstance(kinds, QComboBox):
            return str(kinds.currentText())
        return self._recognised[self.item(row, 0).text()]

    def _set_kind(self, row: int, column: Offered, events: Sequence[str]) -> None:
        if column.kind not in _KINDS:
            self.removeCellWidget(row, 1)
            shown = QTableWidgetItem(column.kind or "none")
            shown.setFlags(Qt.ItemFlag.ItemIsEnabled if column.kind else Qt.ItemFlag.NoItemFlags)
            self.setItem(row, 1, shown)
            return
        kinds = QComboBox(toolTip="As recognised; choose another if it is wrong")
        kinds.addItems(_KINDS)
        if column.levels:
            kinds.addItem(_ORDER)
        if column.kind in ("number", "ordinal"):
            kinds.addItems([_UNTIL + name for name in events])
        kinds.setCurrentText(column.kind)
        kinds.currentTextChanged.connect(self._on_changed)
        kinds.textActivated.connect(self._on_kind)
        self.setCellWidget(row, 1, kinds)

    def _on_changed(self, *_: object) -> None:
        self.changed.emit()

    def _on_kind(self, kind: str) -> None:
        """Ask for the order where a person wants one of their own."""
        row = next((r for r in range(self.rowCount()) if self._chosen(r) == _ORDER), -1)
        if kind != _ORDER or row < 0:
            return
        name = self.item(row, 0).text()
        told = "<".join(self._levels[name])
        order, ok = QInputDialog.getText(
            self, f"The order of {name}", "From low to high:", text=told
        )
        self.put_in_order(row, order.strip() if ok and "<" in order else self._recognised[name])
