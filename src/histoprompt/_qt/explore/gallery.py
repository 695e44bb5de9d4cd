"""Hits as small pictures."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QListView, QListWidget, QListWidgetItem

from histoprompt._qt.widgets.pictures import pixmap_of
from histoprompt.pipelines.explore.study import Picture

_SIDE, _HEIGHT = 56, 240
_NUMBER = Qt.ItemDataRole.UserRole


class HitGallery(QListWidget):
    """Click a picture to go there.

    Attributes
    ----------
    picked : Signal(int)
        The number of a hit, from 0.
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
        self.setToolTip("The best hits with their scores; click one to go there")
        self.itemClicked.connect(self._on_clicked)

    def show_pictures(self, pictures: Sequence[Picture]) -> None:
        """Show these hits, the best first."""
        self.clear()
        for number, one in enumerate(pictures):
            item = QListWidgetItem(f"{one.hit.score:.2f}", self)
            if one.picture is not None:
                item.setIcon(QIcon(pixmap_of(one.picture)))
            item.setToolTip(f"{one.hit.rank}. {one.hit.name}")
            item.setData(_NUMBER, number)

    def _on_clicked(self, item: QListWidgetItem) -> None:
        self.picked.emit(item.data(_NUMBER))
