"""Closing the window while work goes on: asked about once, and quick."""

from __future__ import annotations

from functools import partial
from typing import Any

from napari.components import ViewerModel
from napari.settings import get_settings
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QMessageBox

from histoprompt._qt.shell.jobs import Jobs


class ClosingGuard(QObject):
    """Asks before a window is closed in which jobs run, then ends them.

    Parameters
    ----------
    viewer : ViewerModel
        With or without a window.
    jobs : Jobs
    """

    def __init__(self, viewer: ViewerModel, jobs: Jobs) -> None:
        super().__init__()
        self._viewer, self._jobs = viewer, jobs
        self._agreed = False
        window: Any = getattr(viewer, "window", None)
        self._window = None if window is None else window._qt_window
        if self._window is not None:
            self._window.installEventFilter(self)

    def stop(self) -> None:
        """Ask no more."""
        window, self._window = self._window, None
        if window is not None and isalive(window):
            window.removeEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Hold back the closing of the window until the person has answered."""
        if event is None or event.type() != QEvent.Type.Close or self._window is None:
            return False
        titles = self._jobs.at_work
        if self._agreed or not titles or self._was_asked(event):
            if not event.spontaneous():  # nobody can say no any more
                self._jobs.leave()
            return False
        event.ignore()
        if self._agrees(titles):
            self._agreed = True
            self._jobs.shutdown()
            # Closed by the program, not by the person: napari asks nothing more.
            QTimer.singleShot(0, partial(self._window.close, self._window._quit_app))
        return True

    def _was_asked(self, event: QEvent) -> bool:
        """Whether a program closes the viewer, or napari has just asked the person itself."""
        if event.spontaneous():
            return False
        asks = get_settings().application.confirm_close_window and self._viewer.layers
        hidden = self._window is not None and self._window._qt_viewer.isHidden()
        return bool(asks) or hidden

    def _agrees(self, titles: list[str]) -> bool:
        """Ask the person."""
        work = ", ".join(dict.fromkeys(titles))
        text = (
            f"Still at work: {work}. What is done so far is kept, and goes on from there another "
            "time. Close napari now?"
        )
        answers = QMessageBox.StandardButton
        return QMessageBox.question(self._window, "Close napari", text) == answers.Yes
