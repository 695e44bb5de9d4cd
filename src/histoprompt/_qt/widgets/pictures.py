"""Arrays as pictures of Qt."""

from __future__ import annotations

from typing import Any

from qtpy.QtGui import QImage, QPixmap


def pixmap_of(picture: Any) -> QPixmap:
    """An (h, w, 3) uint8 array as a picture that needs the array no more."""
    rows, cols = picture.shape[:2]
    image = QImage(picture.tobytes(), cols, rows, 3 * cols, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image.copy())
