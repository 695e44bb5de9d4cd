"""The Keys dock: every key and gesture, as the person has them now."""

from __future__ import annotations

from typing import Any

from napari.utils.action_manager import action_manager
from qtpy.QtWidgets import (
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from histoprompt._qt.shell.keys import LAYERS, TABLE
from histoprompt._qt.shell.shortcuts import keys_of, register, restore
from histoprompt._qt.widgets.base import TabbedWidget

_HINT = (
    "A key works while a layer it belongs to is selected; a tool's button selects it. Undo and "
    "redo work with any layer. Choose other keys in File > Preferences > Shortcuts, among the "
    "viewer key bindings: ours begin with histoprompt. The command palette (Ctrl+Shift+P) does "
    "what keys do, too."
)


class KeysDock(TabbedWidget):
    """What keys and mouse gestures do, group by group.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Given by napari; not needed.
    """

    def __init__(self, napari_viewer: Any = None) -> None:
        super().__init__()
        register()
        rows = len(LAYERS) + len(TABLE)
        self._table = QTableWidget(rows, 2)
        self._table.setAccessibleName("Keys and gestures")
        self._table.setHorizontalHeaderLabels(["key or gesture", "does"])
        self._table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        side = self._table.verticalHeader()
        side.setVisible(False)
        side.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self._table.setWordWrap(True)
        header = self._table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self._default = QPushButton("Default keys", toolTip="Take back all keys that were changed")
        self._default.clicked.connect(restore)
        layout = QVBoxLayout(self)
        layout.addWidget(QLabel(_HINT, wordWrap=True))
        layout.addWidget(self._table)
        layout.addWidget(self._default)
        self._fill()
        action_manager.events.shortcut_changed.connect(self._fill)

    def _fill(self, _: object = None) -> None:
        """Show the keys there are now."""
        head = 0
        for group in LAYERS:
            mine = [gesture for gesture in TABLE if gesture.group == group]
            self._head(head, mine[0].where)
            for line, gesture in enumerate(mine, head + 1):
                self._table.setItem(line, 0, QTableWidgetItem(keys_of(gesture)))
                self._table.setItem(line, 1, QTableWidgetItem(gesture.does))
            head += 1 + len(mine)

    def _head(self, number: int, text: str) -> None:
        """The head of a group."""
        first = QTableWidgetItem(text)
        font = first.font()
        font.setBold(True)
        first.setFont(font)
        self._table.setItem(number, 0, first)
        self._table.setSpan(number, 0, 1, 2)
