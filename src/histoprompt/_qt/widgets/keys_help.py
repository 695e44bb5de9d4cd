"""The Keys dock: every key and gesture, from the table that binds them."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QHeaderView, QLabel, QTableWidget, QTableWidgetItem, QVBoxLayout

from histoprompt._qt.shell.keys import LAYERS, TABLE
from histoprompt._qt.widgets.base import TabbedWidget

_HINT = "A key works while a layer it belongs to is selected; a tool's button selects it."


class KeysDock(TabbedWidget):
    """What keys and mouse gestures do, group by group.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Given by napari; not needed.
    """

    def __init__(self, napari_viewer: Any = None) -> None:
        super().__init__()
        rows: list[tuple[str, str]] = []
        for group in LAYERS:
            mine = [gesture for gesture in TABLE if gesture.group == group]
            rows.append((mine[0].where, ""))
            rows += [(gesture.title, gesture.does) for gesture in mine]
        self._table = QTableWidget(len(rows), 2)
        self._table.setAccessibleName("Keys and gestures")
        self._table.setHorizontalHeaderLabels(["key or gesture", "does"])
        self._table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        side = self._table.verticalHeader()
        side.setVisible(False)
        side.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self._table.setWordWrap(True)
        for number, (key, does) in enumerate(rows):
            self._fill(number, key, does)
        header = self._table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        layout = QVBoxLayout(self)
        layout.addWidget(QLabel(_HINT, wordWrap=True))
        layout.addWidget(self._table)

    def _fill(self, number: int, key: str, does: str) -> None:
        """One row; without a text for what it does it is the head of a group."""
        first = QTableWidgetItem(key)
        self._table.setItem(number, 0, first)
        if does:
            self._table.setItem(number, 1, QTableWidgetItem(does))
            return
        font = first.font()
        font.setBold(True)
        first.setFont(font)
        self._table.setSpan(number, 0, 1, 2)
