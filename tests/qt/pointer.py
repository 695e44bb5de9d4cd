"""A pointer and a keyboard on the canvas of a shown viewer, as a person uses them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

# napari drops moves that follow each other faster than this, milliseconds.
MOVE_MS = 25
# A pixel of the canvas is the nearest a place can be pointed at.
_NEAR_PX = 2.0
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
_MODIFIERS = {
    "Control": Qt.KeyboardModifier.ControlModifier,
    "Shift": Qt.KeyboardModifier.ShiftModifier,
    "Alt": Qt.KeyboardModifier.AltModifier,
}


class Pointer:
    """Moves, presses and releases at level-0 positions, with modifier keys held; types keys.

    Parameters
    ----------
    owner : object with `viewer` and `image`
        An annotator, or layers of a count.
    """

    def __init__(self, owner: Any) -> None:
        self._owner = owner
        self._canvas = owner.viewer.window._qt_viewer.canvas.native

    def move(self, place: tuple[float, float]) -> None:
        """Move there, and go on once napari has heard of it."""
        pixel, heard = self._pixel(place), False
        assert self._canvas.rect().contains(pixel), f"{place} is off the canvas"
        while not heard:
            self._send_move(pixel)
            QTest.qWait(MOVE_MS)
            there = self._owner.image.world_to_data(self._owner.viewer.cursor.position)[-2:]
            off = np.abs(np.array(there) - place) * self._owner.image.scale[-1]
            heard = bool(np.all(off * self._owner.viewer.scene.camera.zoom < _NEAR_PX))

    def click(
        self, place: tuple[float, float], *held: str, button: Qt.MouseButton = LEFT, shake: int = 0
    ) -> None:
        """Press and release; the hand shakes by some canvas pixels in between."""
        self.move(place)
        pixel = self._pixel(place)
        QTest.mousePress(self._canvas, button, _held(held), pixel)
        if shake:
            self._send_move(pixel + QPoint(shake, 0))
            QTest.qWait(MOVE_MS)
        QTest.mouseRelease(self._canvas, button, _held(held), pixel + QPoint(shake, 0))
        QTest.qWait(MOVE_MS)

    def click_letting_go_first(self, place: tuple[float, float], held: str) -> None:
        """The key is let go before the button."""
        self.move(place)
        QTest.mousePress(self._canvas, LEFT, _held([held]), self._pixel(place))
        QTest.mouseRelease(self._canvas, LEFT, pos=self._pixel(place))
        QTest.qWait(MOVE_MS)

    def key(self, key: str) -> None:
        """Type a key in napari's spelling: "Control-Shift-Z"."""
        *held, letter = key.split("-")
        QTest.keyClick(self._canvas, getattr(Qt.Key, f"Key_{letter.upper()}"), _held(held))

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

    def drag(self, places: Sequence[tuple[float, float]]) -> None:
        """Press, go along a way, and release."""
        with self.dragged(places):
            pass

    def _send_move(self, pixel: QPoint) -> None:
        """A move as Qt delivers it; the display's own pointer would move once and then no more."""
        none, at = Qt.MouseButton.NoButton, QPointF(pixel)
        everywhere = QPointF(self._canvas.mapToGlobal(pixel))
        held = Qt.KeyboardModifier.NoModifier
        moved = QMouseEvent(QEvent.Type.MouseMove, at, everywhere, none, none, held)
        QApplication.sendEvent(self._canvas, moved)

    def _pixel(self, place: tuple[float, float]) -> QPoint:
        camera = self._owner.viewer.scene.camera
        world = np.array(self._owner.image.data_to_world(place))
        size = np.array([self._canvas.height(), self._canvas.width()])
        row, col = size / 2 + (world - np.array(camera.center[-2:])) * camera.zoom
        return QPoint(round(col), round(row))


def show_with_margin(viewer: Any, image: Any) -> None:
    """Bring all of an image into view once docks have taken their room, and what is beside it."""
    QTest.qWait(MOVE_MS)
    viewer.fit_to_view(layers=[image], margin=0.3)


def _held(names: Sequence[str]) -> Qt.KeyboardModifier:
    held = Qt.KeyboardModifier.NoModifier
    for name in names:
        held |= _MODIFIERS[name]
    return held
