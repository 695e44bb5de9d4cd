"""A list of small pictures, each with a line of text below; a click picks one."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QListView, QListWidget, QListWidgetItem

from histoprompt._qt.widgets.pictures import pixmap_of

_NUMBER = Qt.ItemDataRole.UserRole


class PictureList(QListWidget):
    """Pictures side by side.

    Parameters
    ----------
    side, spacing : int
        Of a picture and between two, in pixels of the screen.

    Attributes
    ----------
    picked : Signal(int)
        The number of the picture that was clicked.
    """

    picked = Signal(int)

    def __init__(self, side: int, spacing: int = 2) -> None:
        super().__init__()
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setIconSize(QSize(side, side))
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setSpacing(spacing)
        self.itemClicked.connect(self._on_clicked)

    def add(self, picture: Any, text: str, number: int) -> QListWidgetItem:
        """Add an (h, w, 3) uint8 picture, or a line without one for None."""
        item = QListWidgetItem(text, self)
        if picture is not None:
            item.setIcon(QIcon(pixmap_of(picture)))
        item.setData(_NUMBER, number)
        return item

    def _on_clicked(self, item: QListWidgetItem) -> None:
        self.picked.emit(item.data(_NUMBER))
