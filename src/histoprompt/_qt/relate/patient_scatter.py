"""Patients as points: a click on one opens its slide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPen
from qtpy.QtWidgets import QToolTip

from histoprompt._qt.widgets.charts import Chart

_RADIUS, _REACH = 4.5, 9.0


class PatientScatter(Chart):
    """A column of patient data to the right, a feature upwards, a colour per site.

    Attributes
    ----------
    chosen : Signal(str)
        The first slide of a patient that was clicked.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumHeight(190)
        self.setMouseTracking(True)
        self._plot: Mapping[str, Any] | None = None

    def show_points(self, plot: Mapping[str, Any] | None) -> None:
        """Show a plot of `pipelines.relate.plots.scatter`; None clears it."""
        self._plot = plot
        if plot is None:
            self._title, self._ends = "No points to show", ("", "", "", "")
        else:
            marks, heights = plot["marks"], plot["heights"]
            self._title = f"{plot['column']}, {plot['n']} patients"
            self._ends = (marks[0][1], marks[-1][1], heights[0][1], heights[1][1])
        self.update()

    def place(self, index: int) -> QPointF:
        """Where a point lies in the widget."""
        inside = self._inside()
        assert self._plot is not None
        return self._at(self._plot["points"][index], inside)

    def slide_at(self, place: QPointF) -> str:
        """The first slide of the patient at a place; empty where there is none."""
        point = self._point_at(place)
        return "" if point is None else str(point["slides"][0])

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Tell which patient was clicked."""
        slide = self.slide_at(event.position())
        if slide and event.button() == Qt.MouseButton.LeftButton:
            self.chosen.emit(slide)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """A hand over a patient."""
        hand = self._point_at(event.position()) is not None
        self.setCursor(Qt.CursorShape.PointingHandCursor if hand else Qt.CursorShape.ArrowCursor)

    def event(self, event: QEvent) -> bool:
        """Name the patient under the pointer."""
        if isinstance(event, QHelpEvent):
            point = self._point_at(QPointF(event.pos()))
            QToolTip.showText(event.globalPos(), "" if point is None else str(point["title"]), self)
            return True
        return bool(super().event(event))

    def _point_at(self, place: QPointF) -> Mapping[str, Any] | None:
        if self._plot is None:
            return None
        inside = self._inside()
        near = [((self._at(p, inside) - place).manhattanLength(), i)
                for i, p in enumerate(self._plot["points"])]  # fmt: skip
        gap, index = min(near, default=(_REACH + 1, 0))
        return self._plot["points"][index] if gap <= _REACH else None

    def _at(self, point: Mapping[str, Any], inside: QRectF) -> QPointF:
        return QPointF(inside.left() + point["across"] * inside.width(),
                       inside.bottom() - point["up"] * inside.height())  # fmt: skip

    def _draw(self, painter: QPainter, inside: QRectF) -> None:
        if self._plot is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for point in self._plot["points"]:
            colour = QColor(point["colour"])
            painter.setPen(QPen(colour, 1.5))
            painter.setBrush(QColor(0, 0, 0, 0) if point["hollow"] else colour)
            painter.drawEllipse(self._at(point, inside), _RADIUS, _RADIUS)
