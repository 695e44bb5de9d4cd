"""Small pictures of the tiles that fit a text best."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QListView, QListWidget, QListWidgetItem

from histoprompt._qt.widgets.pictures import pixmap_of
from histoprompt.pipelines.text.gallery import TilePicture

_SIDE, _HEIGHT = 56, 164
_TILE = Qt.ItemDataRole.UserRole


class TileGallery(QListWidget):
    """Click a picture to go there.

    Attributes
    ----------
    picked : Signal(int)
        Index of a tile.
    """

    picked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setIconSize(QSize(_SIDE, _SIDE))
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setSpacing(2)
        self.setFixedHeight(_HEIGHT)
        self.setToolTip("The tiles that fit best, with their scores; click one to go there")
        self.itemClicked.connect(self._on_clicked)

    def show_pictures(self, pictures: Sequence[TilePicture]) -> None:
        """Show these tiles, best first."""
        self.clear()
        for found in pictures:
            item = QListWidgetItem(QIcon(pixmap_of(found.picture)), f"{found.score:.2f}", self)
            item.setData(_TILE, found.tile)

    def _on_clicked(self, item: QListWidgetItem) -> None:
        self.picked.emit(item.data(_TILE))
