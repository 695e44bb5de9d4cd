"""A pointer on the canvas of a shown viewer, as a person moves it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from histoprompt._qt.annotator import Annotator

# napari drops moves that follow each other faster than this, milliseconds.
MOVE_MS = 25
LEFT = Qt.MouseButton.LeftButton


class Pointer:
    """Moves, presses and releases at level-0 positions."""

    def __init__(self, annotator: Annotator) -> None:
        self._annotator = annotator
        self._canvas = annotator.viewer.window._qt_viewer.canvas.native

    def move(self, place: tuple[float, float]) -> None:
        """Move there, and let napari hear of it."""
        QTest.mouseMove(self._canvas, self._pixel(place))
        QTest.qWait(MOVE_MS)

    def click(self, place: tuple[float, float]) -> None:
        """Press and release."""
        self.move(place)
        QTest.mouseClick(self._canvas, LEFT, pos=self._pixel(place))
        QTest.qWait(MOVE_MS)

    @contextmanager
    def dragged(self, places: Sequence[tuple[float, float]]) -> Iterator[None]:
        """Hold the button down along a way; it is released when the context ends."""
        self.move(places[0])
        QTest.mousePress(self._canvas, LEFT, pos=self._pixel(places[0]))
        QTest.qWait(MOVE_MS)
        for place in places[1:]:
            self.move(place)
        yield
        QTest.mouseRelease(self._canvas, LEFT, pos=self._pixel(places[-1]))
        QTest.qWait(MOVE_MS)

    def _pixel(self, place: tuple[float, float]) -> QPoint:
        camera = self._annotator.viewer.scene.camera
        world = np.array(self._annotator.image.data_to_world(place))
        size = np.array([self._canvas.height(), self._canvas.width()])
        row, col = size / 2 + (world - np.array(camera.center[-2:])) * camera.zoom
        return QPoint(round(col), round(row))
