"""Small charts painted by Qt: a histogram, a scatter plot, a learning curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

_BINS = 60
_LEFT, _BELOW, _MARGIN = 44, 20, 8
_INK = QColor(150, 150, 150)

Colours = NDArray[np.uint8]
Codes = NDArray[np.int16]


class Chart(QWidget):
    """A frame with the ends of its axes written beside it; what is inside is for subclasses."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumSize(120, 100)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._ends = ("", "", "", "")
        self._title = "Nothing to show yet"

    def paintEvent(self, _: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the frame and what is inside."""
        painter = QPainter(self)
        painter.setPen(QPen(_INK))
        inside = self._inside()
        painter.drawRect(inside)
        low, high, bottom, top = self._ends
        line = painter.fontMetrics().height()
        below = QRectF(inside.left(), inside.bottom() + 2, inside.width(), line)
        left = QRectF(0, inside.top(), _LEFT - 4, line)
        for flag, text in ((_LEFT_SIDE, low), (_RIGHT_SIDE, high), (_MIDDLE, self._title)):
            painter.drawText(below, flag, text)
        painter.drawText(left, _RIGHT_SIDE, top)
        left.moveBottom(inside.bottom())
        painter.drawText(left, _RIGHT_SIDE, bottom)
        self._draw(painter, inside)
        painter.end()

    def _inside(self) -> QRectF:
        width, height = self.width() - _LEFT - _MARGIN, self.height() - _BELOW - _MARGIN
        return QRectF(_LEFT, _MARGIN, max(width, 1), max(height, 1))

    def _draw(self, painter: QPainter, inside: QRectF) -> None:
        raise NotImplementedError


class Histogram(Chart):
    """How values are spread, a stacked colour a class."""

    _counts: NDArray[np.int64] = np.zeros((0, _BINS), np.int64)

    def show_values(
        self, name: str, values: NDArray[np.floating], codes: Codes, colours: Colours
    ) -> None:
        """Show (n,) values of cells with (n,) codes into (c, 3) colours."""
        known = np.isfinite(values)
        low, high = _range(values[known])
        place = ((values[known] - low) / max(high - low, 1e-12) * _BINS).astype(np.int64)
        counts = np.zeros((len(colours), _BINS), np.int64)
        np.add.at(counts, (codes[known], place.clip(0, _BINS - 1)), 1)
        self._counts, self._colours = counts, colours
        self._title = name
        self._ends = (_text(low), _text(high), "0", f"{counts.sum(axis=0).max(initial=0):,}")
        self.update()

    def _draw(self, painter: QPainter, inside: QRectF) -> None:
        tallest = max(int(self._counts.sum(axis=0).max(initial=0)), 1)
        wide, floor = inside.width() / _BINS, np.full(_BINS, inside.bottom())
        for code, counts in enumerate(self._counts):
            colour = QColor(*self._colours[code].tolist())
            for i in np.flatnonzero(counts).tolist():
                tall = counts[i] / tallest * inside.height()
                floor[i] -= tall
                painter.fillRect(QRectF(inside.left() + i * wide, floor[i], wide, tall), colour)


class Scatter(Chart):
    """Two features of all cells, a dot a cell in the colour of its class."""

    _at: NDArray[np.float64] = np.zeros((0, 2))

    def show_values(
        self, names: tuple[str, str], values: NDArray[np.floating], codes: Codes, colours: Colours
    ) -> None:
        """Show (n, 2) values of cells with (n,) codes into (c, 3) colours."""
        known = np.isfinite(values).all(axis=1)
        x, y = (_range(column) for column in values[known].T)
        low, high = np.array([x[0], y[0]]), np.array([x[1], y[1]])
        self._at = ((values[known] - low) / np.maximum(high - low, 1e-12)).clip(0, 1)
        self._dots = colours[codes[known]]
        self._title = f"{names[0]} and {names[1]}"
        self._ends = (_text(x[0]), _text(x[1]), _text(y[0]), _text(y[1]))
        self.update()

    def _draw(self, painter: QPainter, inside: QRectF) -> None:
        if not len(self._at):
            return
        height, width = max(int(inside.height()) - 2, 2), max(int(inside.width()) - 2, 2)
        picture = np.zeros((height, width, 4), np.uint8)
        cols = (self._at[:, 0] * (width - 2)).astype(np.int64)
        rows = ((1 - self._at[:, 1]) * (height - 2)).astype(np.int64)
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            picture[rows + down, cols + right, :3] = self._dots
            picture[rows + down, cols + right, 3] = 255
        image = QImage(picture.data, width, height, 4 * width, QImage.Format.Format_RGBA8888)
        painter.drawImage(QPointF(inside.left() + 1, inside.top() + 1), image)


class LearningCurveChart(Chart):
    """Held-out accuracy and how many cells changed class, against the labels given."""

    _points: NDArray[np.float64] = np.zeros((0, 3))

    def __init__(self) -> None:
        super().__init__()
        self._ends = ("", "", "0 %", "100 %")

    def show_points(self, points: NDArray[np.float64]) -> None:
        """Show (n, 3) labels, accuracy and changed share."""
        self._points = points
        if len(points):
            low, high = points[:, 0].min(), points[:, 0].max()
            self._title = "labels given"
            self._ends = (f"{low:.0f}", f"{high:.0f}", "0 %", "100 %")
        self.update()

    def _draw(self, painter: QPainter, inside: QRectF) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for column, colour, text in ((1, _GREEN, "accuracy"), (2, _ORANGE, "changed")):
            painter.setPen(QPen(colour, 2))
            line = painter.fontMetrics().height()
            middle = inside.center().y() + line * (column - 1.3)
            painter.drawText(
                QRectF(inside.left(), middle, inside.width() - 6, line), _RIGHT_SIDE, text
            )
            points = self._points[np.isfinite(self._points[:, column])]
            if len(points):
                self._line(painter, inside, points[:, 0], points[:, column])

    def _line(
        self, painter: QPainter, inside: QRectF, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> None:
        low, high = self._points[:, 0].min(), self._points[:, 0].max()
        across = inside.left() + (x - low) / max(high - low, 1) * inside.width()
        down = inside.bottom() - y * inside.height()
        at = [QPointF(*pair) for pair in zip(across.tolist(), down.tolist(), strict=True)]
        painter.drawPolyline(at)
        for point in at:
            painter.drawEllipse(point, 2, 2)


_GREEN, _ORANGE = QColor(0, 158, 115), QColor(230, 159, 0)
_LEFT_SIDE = Qt.AlignmentFlag.AlignLeft
_RIGHT_SIDE = Qt.AlignmentFlag.AlignRight
_MIDDLE = Qt.AlignmentFlag.AlignHCenter


def _range(values: NDArray[np.floating]) -> tuple[float, float]:
    """From the 0.5th to the 99.5th percentile: one smear must not flatten all others."""
    if not len(values):
        return 0.0, 1.0
    low, high = np.percentile(values, [0.5, 99.5])
    return float(low), float(high) if high > low else float(low) + 1


def _text(value: float) -> str:
    return f"{value:.3g}"
