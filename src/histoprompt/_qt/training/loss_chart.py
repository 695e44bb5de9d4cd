"""The loss of a training as it goes."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QPointF, QRectF
from qtpy.QtGui import QColor, QPainter, QPen

from histoprompt._qt.widgets.charts import Chart

_BLUE = QColor(0, 114, 178)


class LossChart(Chart):
    """Loss against steps, from none to all of them."""

    def __init__(self) -> None:
        super().__init__()
        self._points: list[tuple[int, float]] = []
        self._steps = 1
        self.show_points((), 1)

    def show_points(self, points: Sequence[tuple[int, float]], steps: int) -> None:
        """Show steps and losses so far, of so many steps in all."""
        self._points, self._steps = list(points), max(1, steps)
        top = max((loss for _, loss in self._points), default=1.0)
        last = f"loss {self._points[-1][1]:.3f}" if self._points else "loss"
        self._title = last
        self._ends = ("0", f"{self._steps:,} steps", "0", f"{top:.2f}")
        self.update()

    def _draw(self, painter: QPainter, inside: QRectF) -> None:
        if not self._points:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(_BLUE, 2))
        top = max(loss for _, loss in self._points) or 1.0
        at = [
            QPointF(
                inside.left() + step / self._steps * inside.width(),
                inside.bottom() - loss / top * inside.height(),
            )
            for step, loss in self._points
        ]
        painter.drawPolyline(at)
        for point in at if len(at) == 1 else ():
            painter.drawEllipse(point, 2, 2)
