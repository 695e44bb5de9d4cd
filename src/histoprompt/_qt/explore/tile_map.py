"""A map of all tiles in the plane, a dot a tile: a lasso chooses some, a click one."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPen, QPolygonF

from histoprompt._qt.widgets.charts import Scatter

_HEIGHT = 220
_RING = 6.0
_LINE, _MARKED = QColor(255, 214, 10), QColor(220, 20, 60)


class TileMap(Scatter):
    """Dots that are tiles.

    Attributes
    ----------
    lassoed : Signal(object)
        Rows (k,) intp of the tiles inside a line that was drawn.
    pointed : Signal(int)
        The row of the tile that was clicked.
    """

    lassoed, pointed = Signal(object), Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(_HEIGHT)
        self.setToolTip("Draw around dots to see their tiles on the slide; click one to go there")
        self._path: list[QPointF] = []
        self._marked = -1

    def mark(self, row: int) -> None:
        """Put a ring around the dot of a tile; -1 for none."""
        self._marked = row
        self.update()

    def inside(self, path: list[QPointF]) -> NDArray[np.intp]:
        """Rows of the tiles whose dots lie inside a closed line."""
        if len(path) < 3 or not len(self._at):
            return np.zeros(0, np.intp)
        line = shapely.Polygon([(point.x(), point.y()) for point in path]).buffer(0)
        return np.flatnonzero(shapely.contains_xy(line, *self._dots_at().T))

    def nearest(self, point: QPointF) -> int:
        """The row of the tile whose dot is nearest to a point; -1 without tiles."""
        if not len(self._at):
            return -1
        away = self._dots_at() - np.array([point.x(), point.y()])
        return int(np.square(away).sum(axis=1).argmin())

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Begin a line."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._path = [event.position()]

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Go on with it."""
        if self._path:
            self._path.append(event.position())
            self.update()

    def mouseReleaseEvent(self, _: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Choose what it surrounds, or the nearest dot where it was a click."""
        path, self._path = self._path, []
        self.update()
        if not path or not len(self._at):
            return
        around = QPolygonF(path).boundingRect()
        if max(around.width(), around.height()) < _RING:
            self.mark(self.nearest(path[0]))
            self.pointed.emit(self._marked)
        else:
            self.lassoed.emit(self.inside(path))

    def _dots_at(self) -> NDArray[np.float64]:
        """(n, 2) x and y of all dots in the widget."""
        inside = self._inside()
        x = inside.left() + self._at[:, 0] * inside.width()
        y = inside.top() + (1 - self._at[:, 1]) * inside.height()
        return np.stack([x, y], axis=1)

    def _draw(self, painter: QPainter, inside: QRectF) -> None:
        super()._draw(painter, inside)
        if 0 <= self._marked < len(self._at):
            painter.setPen(QPen(_MARKED, 2))
            painter.drawEllipse(QPointF(*self._dots_at()[self._marked]), _RING, _RING)
        if len(self._path) > 1:
            painter.setPen(QPen(_LINE, 1))
            painter.drawPolyline(QPolygonF(self._path))
